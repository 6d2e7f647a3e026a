"""Import: what people wrote becomes requests of the ledger, history with its seeds, the rest as drafts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.requests.file_versions import conflict, old_word, remember_version
from prodsys.errors import IdTaken, SeedsTaken
from prodsys.intake.result import Accepted, Fault, Intake, Note
from prodsys.ledger.ids import lock_ids, template_keeping
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import find_request, move
from prodsys.ledger.seeds import Owned, add_reuse, claim, find_owners, hand_over, lock_configuration, release
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RevisionRow
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import RequestId
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.statuses import STATE_OF_RECORD, RequestState, ReuseKind
from prodsys.model.text import person_name
from prodsys.model.transitions import Action, Permission

OPEN_TO_CHANGE = frozenset({RequestState.DRAFT, RequestState.CHECKED, RequestState.PLANNED, RequestState.RECORDED})


@dataclass
class ImportAnswer:
    """What an import did, request by request."""

    created: list[str] = field(default_factory=list)
    revised: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def import_intake(
    ctx: Context, intake: Intake, *, by_hand: bool | None = None, overwrite: bool = False
) -> ImportAnswer:
    """Import everything that was understood; each request in a transaction of its own, so a bad one harms no other.

    A file that has not changed since it was imported changes nothing, even when the request was revised since; the
    difference is a note. A changed row makes a new revision while the request is open to change.

    Parameters
    ----------
    by_hand
        Whether a person decided to import now; None: whenever it is no service that acts. What a service imports does
        not revise what somebody else revised since.
    overwrite
        What has not changed counts, too.

    Raises
    ------
    NotAllowed
        The person may not create requests.
    """
    ctx.check_permission("import", Permission.CREATE)
    decided = "service" not in ctx.roles if by_hand is None else by_hand
    answer = ImportAnswer(faults=list(intake.faults), notes=list(intake.notes))
    for item in sorted(intake.accepted, key=lambda one: RequestId.parse(one.spec.request_id)):
        try:
            with transaction(ctx.sessions) as session:
                import_one(session, ctx.who, item, answer, by_hand=decided, overwrite=overwrite)
        except IdTaken as error:
            answer.faults.append(Fault(item.file, item.row, item.column, error.request_id, error.reason, error.remedy))
    return answer


def lock_for(session: Session, spec: RequestSpec) -> None:
    """Keep others from the seeds and ids that a request may take: first these, in this order, then rows."""
    lock_configuration(session, Configuration.of(spec).digest())
    lock_ids(session, RequestId.parse(spec.request_id).prefix)


def import_one(
    session: Session, who: str, item: Accepted, answer: ImportAnswer, *, by_hand: bool = True, overwrite: bool = False
) -> None:
    """Import one request in the caller's transaction; what became of it is added to the answer.

    Raises
    ------
    IdTaken
        The id is not for people: a trial's, a recurring template's.
    """
    spec = item.spec
    lock_for(session, spec)
    row = find_request(session, spec.request_id, lock=True)
    if row is None:
        row = create_request(session, who, spec, source_of(item))
        answer.created.append(spec.request_id)
    elif spec.digest() in _known_digests(session, row):
        answer.unchanged.append(spec.request_id)
        answer.notes += filter(None, [old_word(session, row, item)])
        remember_version(session, who, row, item)
        if row.state == RequestState.DELETED:
            answer.notes.append(Note(item.file, item.row, item.column, spec.request_id, f"stays deleted: {row.reason}"))
        return
    elif not overwrite and (note := old_word(session, row, item)):
        answer.unchanged.append(spec.request_id)
        answer.notes.append(note)
        return
    elif row.template:
        raise IdTaken(spec.request_id, f"was made by the recurring template {row.template}", "change the template")
    elif row.trial_of:
        raise IdTaken(spec.request_id, f"is the trial of {row.trial_of}", "take another id")
    elif RequestState(row.state) not in OPEN_TO_CHANGE:
        answer.faults.append(_closed(item, row))
        return
    elif not by_hand and (fault := conflict(session, row, item)):
        answer.faults.append(fault)
        return
    else:
        _revise(session, who, row, item)
        answer.revised.append(spec.request_id)
    remember_version(session, who, row, item)
    answer.faults += _take_seeds(session, who, item)


@dataclass(frozen=True)
class Origin:
    """Where a request comes from, when nobody wrote it: the one it was made of, or its template."""

    cloned_from: str | None = None
    extends: str | None = None
    trial_of: str | None = None
    template: str | None = None
    interval_start: datetime | None = None
    requester: str | None = None  # None: whoever makes it

    @property
    def act(self) -> str:
        """The word of the audit log."""
        if self.template:
            return "recur"
        return "extend" if self.extends else "trial" if self.trial_of else "clone" if self.cloned_from else "import"


def create_request(
    session: Session, who: str, spec: RequestSpec, source: dict[str, Any], origin: Origin | str | None = None
) -> RequestRow:
    """A new request in its first revision, without its seeds; ``origin`` may be the id it was cloned from.

    Raises
    ------
    IdTaken
        The id is kept for a request of a recurring template.
    """
    whence = Origin(cloned_from=origin) if isinstance(origin, str) else origin or Origin()
    _check_id(session, spec.request_id, whence.template)
    row = RequestRow(
        request_id=spec.request_id,
        state=STATE_OF_RECORD[spec.recorded_status],
        recorded_status=spec.recorded_status,
        campaign=spec.campaign,
        priority=spec.priority,
        revision=1,
        requester=person_name(whence.requester or who, "requester"),
        cloned_from=whence.cloned_from,
        extends=whence.extends,
        trial_of=whence.trial_of,
        template=whence.template,
        interval_start=whence.interval_start,
        reason="",
    )
    session.add(row)
    session.flush()
    session.add(revision_row(who, spec, 1, source))
    write_audit(session, who, whence.act, spec.request_id, source=source)
    session.flush()
    return row


def _check_id(session: Session, request_id: str, template: str | None) -> None:
    lock_ids(session, RequestId.parse(request_id).prefix)
    keeper = template_keeping(session, request_id)
    if keeper is not None and keeper.name != template:
        reason = f"its number is kept for requests of the recurring template {keeper.name}"
        numbers = f"{keeper.id_prefix} {keeper.numbers.lower}-{(keeper.numbers.upper or 0) - 1}"
        raise IdTaken(request_id, reason, f"take a number outside {numbers}")


def source_of(item: Accepted) -> dict[str, Any]:
    """Where a request was read, kept with its revision."""
    return {"file": item.file, "row": item.row, "notes": [str(note) for note in item.notes]}


def revision_row(who: str, spec: RequestSpec, revision: int, source: dict[str, Any]) -> RevisionRow:
    """One revision of what is asked for, as the ledger keeps it."""
    configuration = Configuration.of(spec)
    return RevisionRow(
        request_id=spec.request_id,
        revision=revision,
        digest=spec.digest(),
        configuration=configuration.digest(),
        spec=spec.model_dump(mode="json"),
        source=source | {"beam": list(configuration.beam())},
        created_by=who,
    )


def _known_digests(session: Session, row: RequestRow) -> set[str]:
    """What it asks for; of one that is closed to change also what it asked for before, such as before an adoption."""
    wanted = select(RevisionRow.digest).where(RevisionRow.request_id == row.request_id)
    if RequestState(row.state) in OPEN_TO_CHANGE:
        wanted = wanted.where(RevisionRow.revision == row.revision)
    return set(session.scalars(wanted))


def _revise(session: Session, who: str, row: RequestRow, item: Accepted) -> None:
    spec = item.spec
    release(session, spec.request_id)
    row.revision += 1
    move(row, Action.REVISE if STATE_OF_RECORD[spec.recorded_status] is RequestState.DRAFT else Action.RECORD)
    row.not_before = row.launched_at = row.closed_at = None
    row.recorded_status, row.campaign, row.priority = spec.recorded_status, spec.campaign, spec.priority
    session.add(revision_row(who, spec, row.revision, source_of(item)))
    write_audit(session, who, "revise", spec.request_id, revision=row.revision, source=source_of(item))
    session.flush()


def _closed(item: Accepted, row: RequestRow) -> Fault:
    message = f"{row.request_id} is {row.state} and cannot be changed any more"
    if row.state == RequestState.DELETED:
        message = f"{row.request_id} was {row.reason}"
        return Fault(item.file, item.row, "", item.spec.request_id, message, "an id is used once: take another one")
    return Fault(item.file, item.row, "", item.spec.request_id, message, "clone it under a new id")


def _take_seeds(session: Session, who: str, item: Accepted) -> list[Fault]:
    """Claim the seeds: what history shares is recorded as reuse, a draft that asks for taken ones has none."""
    spec, configuration = item.spec, Configuration.of(item.spec).digest()
    if spec.reads:
        return []  # the seeds stay those of the request that simulated
    if STATE_OF_RECORD[spec.recorded_status] is RequestState.DRAFT:
        try:
            claim(session, configuration, spec.request_id, spec.seeds)
        except SeedsTaken as error:
            remedy = "change the seeds, or declare the reuse: prodsys seeds reuse; it stays a draft until then"
            return [Fault(item.file, item.row, "seeds", seed_ranges.show(spec.seeds), str(error), remedy)]
        return []
    try:
        with session.begin_nested():
            _record_history(session, who, spec, configuration)
    except SeedsTaken as error:
        remedy = "move the template's seeds: nothing of it has run there"
        return [Fault(item.file, item.row, "seeds", seed_ranges.show(spec.seeds), str(error), remedy)]
    return []


def _record_history(session: Session, who: str, spec: RequestSpec, configuration: str) -> None:
    """Seeds of history: the lower number is the first owner, whatever the order of import.

    Raises
    ------
    SeedsTaken
        A recurring template keeps some of them for what it will make.
    """
    own = RequestId.parse(spec.request_id)
    reason = "both stand in the experiment's book"
    rest = spec.seeds
    for owned in find_owners(session, configuration, spec.seeds, but=spec.request_id):
        if find_request(session, owned.owner) is None:
            claim(session, configuration, spec.request_id, [owned.seeds])  # refused: it names owner and next free
        elif _yields(session, owned.owner, own):
            hand_over(session, configuration, owned, spec.request_id)
            mine = Owned(spec.request_id, owned.seeds)
            add_reuse(session, configuration, owned.owner, mine, ReuseKind.HISTORY, reason, who)
        else:
            rest = seed_ranges.subtract(rest, [owned.seeds])
            add_reuse(session, configuration, spec.request_id, owned, ReuseKind.HISTORY, reason, who)
    claim(session, configuration, spec.request_id, rest)


def _yields(session: Session, owner: str, to: RequestId) -> bool:
    row = session.get(RequestRow, owner)
    recorded = row is not None and row.state == RequestState.RECORDED
    return recorded and to < RequestId.parse(owner)
