"""Compare the ledger with Rucio: rules and datasets of delivered requests, which people may change behind our back.

Each pass compares those that were not compared for longest, and notes that it did, whatever it saw. Rules whose
lifetime has passed, and data that nothing but such rules kept, are gone on purpose: they are not asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update

from prodsys.actions.core.context import Context
from prodsys.actions.reconciliation.findings import NOT_COMPARED, Finding, check_request
from prodsys.ddm.facts import RuleInfo
from prodsys.ddm.questions import SINGLE_RULES
from prodsys.ledger.findings import close_others, close_subjects, decided_facts
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, RequestRow, RuleRow
from prodsys.model.names import DataKind, Did
from prodsys.model.statuses import DELIVERED, RuleState, Severity
from prodsys.model.times import utc_minutes

EXPIRY, STATE = "rule expiry", "rule state"  # comparisons of one rule, as its findings name them
EXPIRES = "expires "  # how the fact of an expiry begins
RULES, DATASETS = "compare_rules", "compare_datasets"
TOLERANCE = timedelta(days=1)  # between the expiry that was asked for and the one that Rucio keeps
AT_ONCE = 20  # datasets between two notes of what was compared
_DELIVERED = RequestRow.state.in_([str(state) for state in DELIVERED])
_BIRTH = func.least(RuleRow.created_at, RuleRow.checked_at)
_HAS_PASSED = and_(
    RuleRow.lifetime_days.is_not(None),
    _BIRTH + func.make_interval(0, 0, 0, RuleRow.lifetime_days) <= func.now(),
)


# --- rules ------------------------------------------------------------------------------------------------------------
def compare_rules(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Rules of delivered requests that are not as they were made: gone, not complete, or with another expiry."""
    rows, agreed = _rules_to_compare(ctx)
    seen, found, compared = dict[str, RuleInfo](), list[Finding](), list[RuleRow]()
    known = ctx.rucio.list_own_rules() if len(rows) > SINGLE_RULES else {}
    now = datetime.now(UTC)
    try:
        for row in rows:
            compared.append(row)
            ends = agreed.get(row.rule_id, ())
            look = _compare_rule(ctx, row, known.get(row.rule_id), ends, now, seen)
            found += _about(row.rule_id, f"rule {row.rule_id} of {row.did}", check_request(row.request_id, look))
    finally:
        _note_rules(ctx, compared, seen, found, repair)
    yield from found


def _rules_to_compare(ctx: Context) -> tuple[Sequence[RuleRow], dict[str, list[str]]]:
    """Rules that were not compared for longest, and what people decided about their expiry.

    Those whose lifetime has passed are remembered as expired; what was found about rules that are not kept any more, or
    whose request is opened again, is closed.
    """
    kept = select(RuleRow.rule_id).join(RequestRow, RequestRow.request_id == RuleRow.request_id)
    kept = kept.where(_DELIVERED, RuleRow.state != RuleState.EXPIRED)
    with transaction(ctx.sessions) as session:
        over = (RuleRow.rule_id.in_(kept), _HAS_PASSED)
        session.execute(update(RuleRow).where(*over).values(state=str(RuleState.EXPIRED)))
        close_others(session, [EXPIRY, STATE, RULES], kept)
        wanted = select(RuleRow).where(RuleRow.rule_id.in_(kept))
        wanted = wanted.order_by(RuleRow.compared_at.nulls_first(), RuleRow.rule_id)
        rows = session.scalars(wanted.limit(ctx.catalogue.policy.reconcile.catalogue_calls)).all()
        return rows, decided_facts(session, EXPIRY, [row.rule_id for row in rows])


def _compare_rule(
    ctx: Context,
    row: RuleRow,
    known: RuleInfo | None,
    agreed: Sequence[str],
    now: datetime,
    seen: dict[str, RuleInfo],
) -> Iterator[Finding]:
    info = _with_end(known or ctx.rucio.rule_state(row.rule_id), agreed, now)
    seen[row.rule_id] = info
    yield from judge_rule(row, info)


def _about(subject: str, name: str, found: Iterable[Finding]) -> list[Finding]:
    """Findings about one subject; one that could only not be compared is named."""
    return [
        replace(one, subject=subject, what=f"{name} could not be compared") if one.fact == NOT_COMPARED else one
        for one in found
    ]


def _with_end(info: RuleInfo, agreed: Sequence[str], now: datetime) -> RuleInfo:
    """The rule, EXPIRED when it is gone after an expiry that a person has agreed to."""
    ends = [datetime.fromisoformat(fact.removeprefix(EXPIRES)) for fact in agreed if fact.startswith(EXPIRES)]
    if info.state is RuleState.GONE and any(end <= now for end in ends):
        return RuleInfo(info.rule_id, RuleState.EXPIRED)
    return info


def judge_rule(row: RuleRow, info: RuleInfo) -> Iterator[Finding]:
    """What is wrong with a rule as Rucio shows it now. Pure."""
    about, rule_id = f"rule {row.rule_id} of {row.did}", row.rule_id
    if info.state in {RuleState.EXPIRED, RuleState.UNKNOWN}:
        return
    if info.state is RuleState.GONE:
        end = "it was to be kept" if row.lifetime_days is None else f"its {row.lifetime_days} days have not passed"
        advice = "settle the request again to make it anew, or decide the finding"
        yield Finding(
            row.request_id, f"{about} is {info.state}", f"deleted or expired in Rucio, though {end}", False, advice,
            rule_id, str(info.state), Severity.ERROR, STATE,
        )  # fmt: skip
        return
    if info.state is not RuleState.OK:
        severity = Severity.NOTE if info.state is RuleState.REPLICATING else Severity.WARNING
        what = f"{about} is {info.state}, {info.locks_ok} of {row.copies * row.length} copies are there"
        cause = info.error or "changed in Rucio"
        advice = "look at it in Rucio"
        yield Finding(
            row.request_id, what, cause, False, advice, rule_id, str(info.state), severity, STATE
        )  # fmt: skip
    yield from _judge_expiry(row, info, about)


def _judge_expiry(row: RuleRow, info: RuleInfo, about: str) -> Iterator[Finding]:
    meant = None
    if row.lifetime_days is not None:
        meant = min(row.created_at, row.checked_at).astimezone(UTC) + timedelta(days=row.lifetime_days)
    given = info.expires_at
    if meant is None and given is None:
        return
    if meant is not None and given is not None and abs(given - meant) <= TOLERANCE:
        return
    asked = "to keep it" if meant is None else f"an expiry at {utc_minutes(meant)}"
    shorter = given is not None and (meant is None or given < meant)
    what = f"{about} {f'expires at {utc_minutes(given)}' if given else 'does not expire'}"
    advice = "take the expiry away in Rucio, or decide the finding" if shorter else "decide the finding"
    yield Finding(
        row.request_id, what, f"changed in Rucio; the certificate says {asked}", False, advice, row.rule_id,
        f"{EXPIRES}{given.isoformat()}" if given else "kept", Severity.WARNING if shorter else Severity.NOTE, EXPIRY,
    )  # fmt: skip


def _note_rules(
    ctx: Context, rows: Sequence[RuleRow], seen: dict[str, RuleInfo], found: Sequence[Finding], repair: bool
) -> None:
    """Note that these rules were compared, what is remembered of them, and close what was wrong and is not any more."""
    told, now = {(one.look or RULES, one.subject) for one in found}, datetime.now(UTC)
    known = [rule_id for rule_id, info in seen.items() if info.state is not RuleState.UNKNOWN]
    with transaction(ctx.sessions) as session:
        compared = RuleRow.rule_id.in_([row.rule_id for row in rows])
        session.execute(update(RuleRow).where(compared).values(compared_at=now))
        for look in (EXPIRY, STATE, RULES):
            close_subjects(session, [look], [one for one in known if (look, one) not in told])
        for row in rows:
            info = seen.get(row.rule_id)
            if info is not None and (
                info.state is RuleState.EXPIRED or (repair and info.state not in {row.state, RuleState.UNKNOWN})
            ):
                new = {"state": str(info.state), "error": info.error, "checked_at": now}
                session.execute(update(RuleRow).where(RuleRow.rule_id == row.rule_id).values(new))


# --- datasets ---------------------------------------------------------------------------------------------------------
def compare_datasets(ctx: Context, repair: bool) -> Iterator[Finding]:  # noqa: ARG001 - nothing is mended here
    """Datasets of delivered requests that are not in Rucio as they were read back, but those that were to expire."""
    kept = select(DatasetRow.did).join(RequestRow, RequestRow.request_id == DatasetRow.request_id)
    kept = kept.where(_DELIVERED, DatasetRow.kind == DataKind.DATASET, _is_kept())
    wanted = select(DatasetRow).where(DatasetRow.did.in_(kept))
    wanted = wanted.order_by(DatasetRow.compared_at.nulls_first(), DatasetRow.read_back_at, DatasetRow.did)
    with transaction(ctx.sessions) as session:
        close_others(session, [DATASETS], kept)
        rows = session.scalars(wanted.limit(ctx.catalogue.policy.reconcile.catalogue_calls)).all()
    for start in range(0, len(rows), AT_ONCE):
        asked, right, found = list[str](), list[str](), list[Finding]()
        try:
            for row in rows[start : start + AT_ONCE]:
                asked.append(row.did)
                wrong = _about(row.did, row.did, check_request(row.request_id, _compare_dataset(ctx, row)))
                found += wrong
                right += [] if wrong else [row.did]
        finally:
            _note_datasets(ctx, asked, right)
        yield from found


def _is_kept() -> ColumnElement[bool]:
    """Whether something keeps a dataset, or nothing ever did: not all of its rules have expired as they were to."""
    rules = exists().where(RuleRow.did == DatasetRow.did)
    return or_(~rules, rules.where(RuleRow.state != RuleState.EXPIRED, ~func.coalesce(_HAS_PASSED, False)))


def _compare_dataset(ctx: Context, row: DatasetRow) -> Iterator[Finding]:
    info = ctx.rucio.dataset_info(Did.parse(row.did))
    if info is not None and (info.length, info.bytes) == (row.files, row.bytes):
        return
    held = "gone" if info is None else f"{info.length} files of {info.bytes} bytes"
    what = f"{row.did} is {held} in Rucio, the certificate says {row.files} files of {row.bytes} bytes"
    advice = "settle the request again, or mend it there"
    less = info is None or info.length < row.files or info.bytes < row.bytes
    severity = Severity.ERROR if less else Severity.WARNING
    yield Finding(row.request_id, what, "changed in Rucio", False, advice, row.did, held, severity)


def _note_datasets(ctx: Context, asked: Sequence[str], right: Sequence[str]) -> None:
    """Note that these datasets were compared, whatever was seen, and close what was wrong and is not any more."""
    with transaction(ctx.sessions) as session:
        session.execute(update(DatasetRow).where(DatasetRow.did.in_(asked)).values(compared_at=datetime.now(UTC)))
        close_subjects(session, [DATASETS], right)
