"""Import: what people wrote becomes requests of the ledger, history with its seeds, the rest as drafts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from prodsys.actions.context import Context
from prodsys.errors import SeedsTaken
from prodsys.intake.result import Accepted, Fault, Intake, Note
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import find_request
from prodsys.ledger.seeds import Owned, add_reuse, claim, find_owners, hand_over, lock_configuration, release
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RevisionRow
from prodsys.model import seeds as seeds_of
from prodsys.model.names import RequestId
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.statuses import STATE_OF_RECORD, RequestState, ReuseKind

OPEN_TO_CHANGE = frozenset({RequestState.DRAFT, RequestState.PLANNED, RequestState.RECORDED})


@dataclass
class ImportAnswer:
    """What an import did, request by request."""

    created: list[str] = field(default_factory=list)
    revised: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def import_intake(ctx: Context, intake: Intake) -> ImportAnswer:
    """Import everything that was understood; each request in a transaction of its own, so a bad one harms no other.

    Importing the same again changes nothing; a changed row makes a new revision while the request is open to change.
    """
    answer = ImportAnswer(faults=list(intake.faults), notes=list(intake.notes))
    for item in sorted(intake.accepted, key=lambda one: RequestId.parse(one.spec.request_id)):
        with transaction(ctx.sessions) as session:
            _import_one(session, ctx.who, item, answer)
    return answer


def _import_one(session: Session, who: str, item: Accepted, answer: ImportAnswer) -> None:
    spec = item.spec
    lock_configuration(session, Configuration.of(spec).digest())
    row = find_request(session, spec.request_id, lock=True)
    if row is None:
        create_request(session, who, spec, source_of(item))
        answer.created.append(spec.request_id)
    elif _current_digest(session, row) == spec.digest():
        answer.unchanged.append(spec.request_id)
        return
    elif RequestState(row.state) not in OPEN_TO_CHANGE:
        answer.faults.append(_closed(item, row))
        return
    else:
        _revise(session, who, row, item)
        answer.revised.append(spec.request_id)
    answer.faults += _take_seeds(session, who, item)


def create_request(
    session: Session, who: str, spec: RequestSpec, source: dict[str, Any], cloned_from: str | None = None
) -> RequestRow:
    """A new request in its first revision, without its seeds."""
    row = RequestRow(
        request_id=spec.request_id,
        state=STATE_OF_RECORD[spec.recorded_status],
        recorded_status=spec.recorded_status,
        campaign=spec.campaign,
        priority=spec.priority,
        revision=1,
        requester=who,
        cloned_from=cloned_from,
        reason="",
    )
    session.add(row)
    session.flush()
    session.add(_revision(who, spec, 1, source))
    write_audit(session, who, "import" if cloned_from is None else "clone", spec.request_id, source=source)
    session.flush()
    return row


def source_of(item: Accepted) -> dict[str, Any]:
    """Where a request was read, kept with its revision."""
    return {"file": item.file, "row": item.row, "notes": [str(note) for note in item.notes]}


def _revision(who: str, spec: RequestSpec, revision: int, source: dict[str, Any]) -> RevisionRow:
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


def _current_digest(session: Session, row: RequestRow) -> str:
    found = session.get(RevisionRow, (row.request_id, row.revision))
    return found.digest if found else ""


def _revise(session: Session, who: str, row: RequestRow, item: Accepted) -> None:
    spec = item.spec
    release(session, spec.request_id)
    row.revision += 1
    row.state = STATE_OF_RECORD[spec.recorded_status]
    row.recorded_status, row.campaign, row.priority = spec.recorded_status, spec.campaign, spec.priority
    session.add(_revision(who, spec, row.revision, source_of(item)))
    write_audit(session, who, "revise", spec.request_id, revision=row.revision, source=source_of(item))
    session.flush()


def _closed(item: Accepted, row: RequestRow) -> Fault:
    message = f"{row.request_id} is {row.state} and cannot be changed any more"
    return Fault(item.file, item.row, "", item.spec.request_id, message, "clone it under a new id")


def _take_seeds(session: Session, who: str, item: Accepted) -> list[Fault]:
    """Claim the seeds: what history shares is recorded as reuse, a draft that asks for taken ones has none."""
    spec, configuration = item.spec, Configuration.of(item.spec).digest()
    if STATE_OF_RECORD[spec.recorded_status] is RequestState.DRAFT:
        try:
            claim(session, configuration, spec.request_id, spec.seeds)
        except SeedsTaken as error:
            remedy = "change the seeds, or declare the reuse: prodsys seeds reuse; it stays a draft until then"
            return [Fault(item.file, item.row, "seeds", seeds_of.show(spec.seeds), str(error), remedy)]
        return []
    _record_history(session, who, spec, configuration)
    return []


def _record_history(session: Session, who: str, spec: RequestSpec, configuration: str) -> None:
    """Seeds of history: the lower number is the first owner, whatever the order of import."""
    own = RequestId.parse(spec.request_id)
    reason = "both stand in the experiment's book"
    rest = spec.seeds
    for owned in find_owners(session, configuration, spec.seeds, but=spec.request_id):
        if _yields(session, owned.owner, own):
            hand_over(session, configuration, owned, spec.request_id)
            mine = Owned(spec.request_id, owned.seeds)
            add_reuse(session, configuration, owned.owner, mine, ReuseKind.HISTORY, reason, who)
        else:
            rest = seeds_of.subtract(rest, [owned.seeds])
            add_reuse(session, configuration, spec.request_id, owned, ReuseKind.HISTORY, reason, who)
    claim(session, configuration, spec.request_id, rest)


def _yields(session: Session, owner: str, to: RequestId) -> bool:
    row = session.get(RequestRow, owner)
    recorded = row is not None and row.state == RequestState.RECORDED
    return recorded and to < RequestId.parse(owner)
