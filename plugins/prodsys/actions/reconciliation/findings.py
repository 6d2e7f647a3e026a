"""What a comparison of ledger and services brings to light, and how comparisons are made: none ends another.

What a comparison leaves for a person is a row of the ledger: told each time until somebody has decided, closed when
its cause went away by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from prodsys.actions.core.context import Context
from prodsys.errors import FindingDecided, LedgerUnavailable, NotFound, ProductionError, ServiceUnavailable
from prodsys.ledger import findings as stored
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import FindingRow
from prodsys.model.statuses import Severity
from prodsys.model.text import clean_reason
from prodsys.model.times import utc_minutes
from prodsys.model.transitions import Permission

LOG = logging.getLogger(__name__)
NOT_COMPARED = "not compared"  # fact of a finding that only says so


@dataclass(frozen=True)
class Finding:
    """One disagreement.

    `subject` is what it is about beside the request, `fact` what was seen without what changes from time to time: both
    default to what the texts say. The rest is the ledger's: number 0 for what is not stored.
    """

    request_id: str
    what: str
    cause: str
    repaired: bool
    advice: str = ""
    subject: str = ""
    fact: str = ""
    severity: Severity = Severity.WARNING
    look: str = ""
    finding_id: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    decided_by: str = ""
    decided_at: datetime | None = None
    reason: str = ""

    @property
    def key(self) -> stored.Key:
        """Comparison, subject and fact: the same again is the same finding."""
        return self.look, self.subject or self.request_id, self.fact or self.what


Check = Callable[[Context, bool], Iterator[Finding]]
"""One comparison; the second argument says whether safe disagreements are mended."""


@dataclass(frozen=True)
class Looked:
    """What one comparison found; `whole`: it came to its end, and what it did not find is not so any more."""

    name: str
    found: tuple[Finding, ...]
    whole: bool


def run_check(look: Check, ctx: Context, repair: bool) -> Looked:
    """Make a comparison; an error that ends it is a finding too, so that the others are made all the same."""
    name, found, error = look.__name__.strip("_"), list[Finding](), None
    try:
        for one in look(ctx, repair):
            found.append(replace(one, look=one.look or name))
    except LedgerUnavailable:
        raise
    except Exception as caught:  # noqa: BLE001 - one comparison's mistake must not hide what the others find
        error = caught
        found.append(replace(_not_compared("", f"{name} could not be compared", caught), look=name))
    return Looked(name, tuple(found), error is None and not any(one.fact == NOT_COMPARED for one in found))


def check_request(request_id: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """The findings about one request; an error is one too, and ends the look at this request alone.

    Raises
    ------
    ServiceUnavailable
        It would be away for the next request, too.
    """
    try:
        yield from found
    except ServiceUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the other requests are looked at all the same
        yield _not_compared(request_id, "it could not be compared", error)


def _not_compared(request_id: str, what: str, error: Exception) -> Finding:
    if isinstance(error, ProductionError):
        advice = "wait" if isinstance(error, ServiceUnavailable) else "look at it there"
        return Finding(request_id, what, str(error), False, advice, fact=NOT_COMPARED)
    LOG.error("%s %s", request_id, what, exc_info=error)
    cause, advice = f"{type(error).__name__}: {error}", "a mistake of Prodsys: report it with the log of this pass"
    return Finding(request_id, what, cause, False, advice, fact=NOT_COMPARED, severity=Severity.ERROR)


def keep_findings(ctx: Context, looked: Sequence[Looked], *, closing: bool) -> list[Finding]:
    """What was seen and nobody has decided, in the order it was seen; what is left for a person is stored.

    With ``closing`` what comparisons that came to their end did not see any more is closed.
    """
    left = {one.key: one for look in looked for one in look.found if not one.repaired}
    with transaction(ctx.sessions) as session:
        rows = stored.record_findings(session, {key: _stored(one) for key, one in left.items()})
        stored.close_other_facts(session, {key for key in left if key[2] != NOT_COMPARED})
        ended = {look.name for look in looked if look.whole}
        if closing:
            stored.close_unseen(session, ended, [row.finding_id for row in rows.values()])
        else:
            stored.close_subjects(session, ended, [""])  # it could not be compared before, and was now
    found = [one if one.repaired else _shown(rows[one.key]) for look in looked for one in look.found]
    return [one for one in found if not one.decided_by]


def _stored(one: Finding) -> dict[str, str]:
    names = ("request_id", "severity", "what", "cause", "advice")
    return {name: str(getattr(one, name)) for name in names}


def _shown(row: FindingRow) -> Finding:
    return Finding(
        row.request_id,
        row.what,
        row.cause,
        False,
        row.advice,
        row.subject,
        row.fact,
        Severity(row.severity),
        row.look,
        row.finding_id,
        row.first_seen,
        row.last_seen,
        row.decided_by or "",
        row.decided_at,
        row.reason,
    )


def open_findings(ctx: Context, request_id: str | None = None) -> tuple[Finding, ...]:
    """Findings that wait for a person, the oldest first."""
    with transaction(ctx.sessions) as session:
        return tuple(_shown(row) for row in stored.list_findings(session, request_id))


def decide(ctx: Context, finding_id: int, reason: str) -> Finding:
    """The finding, decided: it is not told any more while the same is seen. The same word again changes nothing.

    Raises
    ------
    NotFound
        There is no finding of this number.
    FindingDecided
        Somebody else decided it, or its cause went away.
    SpecInvalid
        The reason holds a control character, or is too long.
    """
    ctx.check_permission("decide a finding", Permission.REPAIR)
    reason = clean_reason(reason)
    with transaction(ctx.sessions) as session:
        row = session.get(FindingRow, finding_id, with_for_update=True)
        if row is None:
            raise NotFound("finding", str(finding_id))
        if row.decided_by is None and row.closed_at is None:
            stored.decide_finding(session, row, ctx.who, reason)
            detail = {"finding": finding_id, "what": row.what, "reason": reason}
            write_audit(session, ctx.who, "decide finding", row.request_id or None, **detail)
        elif (row.decided_by, row.reason) != (ctx.who, reason):
            raise FindingDecided(finding_id, _why_not(row))
        return _shown(row)


def _why_not(row: FindingRow) -> str:
    if row.decided_by is not None:
        return f"{row.decided_by} decided it at {_in_utc(row.decided_at)}: {row.reason}"
    return f"its cause went away by itself at {_in_utc(row.closed_at)}"


def _in_utc(moment: datetime | None) -> str:
    return "" if moment is None else utc_minutes(moment)
