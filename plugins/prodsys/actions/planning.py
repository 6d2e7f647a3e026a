"""Plan and approve: what will happen is shown, and approval binds to exactly that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.context import Context
from prodsys.errors import PlanChanged, SeedsTaken
from prodsys.ledger.journal import write_audit
from prodsys.ledger.publications import publish
from prodsys.ledger.requests import find_plan, get_request, get_spec, list_steps, move
from prodsys.ledger.seeds import (
    claim,
    find_owners,
    from_range,
    lock_configuration,
    next_free,
    reused_by,
    same_beam_elsewhere,
    uncovered,
)
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow, RequestRow, StepRow
from prodsys.model.moves import Act, Right
from prodsys.model.plan import Plan, build_plan
from prodsys.model.statuses import RequestState


@dataclass(frozen=True)
class PlanAnswer:
    """A plan, its digest, and what whoever approves it should know."""

    plan: Plan
    digest: str
    warnings: tuple[str, ...]


def plan(ctx: Context, request_id: str) -> PlanAnswer:
    """Plan the current revision; planning the same again changes nothing.

    Raises
    ------
    MoveRefused
        The request is past planning, or history.
    SeedsTaken
        Some of its seeds belong to others and no reuse is declared.
    SpecInvalid
        A chain, software or partition that the specs do not know.
    """
    ctx.check_right("plan", Right.PLAN)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        move(row, Act.PLAN)
        built = build_plan(get_spec(session, request_id), row.revision, ctx.catalogue)
        _cover_seeds(session, built)
        digest = built.digest()
        if session.get(PlanRow, (request_id, digest)) is None:
            body = built.model_dump(mode="json")
            session.add(
                PlanRow(request_id=request_id, digest=digest, revision=row.revision, body=body, planned_by=ctx.who)
            )
            write_audit(session, ctx.who, "plan", request_id, digest=digest)
        return PlanAnswer(built, digest, _warnings(session, built))


def _cover_seeds(session: Session, built: Plan) -> None:
    """Claim what nobody owns; refuse what somebody does and no reuse covers."""
    lock_configuration(session, built.configuration_digest)
    open_seeds = uncovered(session, built.request_id, built.seeds)
    owners = find_owners(session, built.configuration_digest, open_seeds, but=built.request_id)
    if owners:
        taken = [(owned.owner, owned.seeds.first, owned.seeds.last) for owned in owners]
        raise SeedsTaken(built.request_id, taken, next_free(session, built.configuration_digest))
    claim(session, built.configuration_digest, built.request_id, open_seeds)


def _warnings(session: Session, built: Plan) -> tuple[str, ...]:
    reused = [
        f"seeds {from_range(row.seeds)} are also those of {row.owner} ({row.kind}: {row.reason}): "
        "never add the two samples together"
        for row in reused_by(session, built.request_id)
    ]
    beam = [
        f"seeds {common} were also used by {other}: same generator and beam, other detector or version; "
        "the generator events are equal"
        for other, common in same_beam_elsewhere(session, built.request_id)
    ]
    return tuple(reused + beam)


def approve(ctx: Context, request_id: str, digest: str | None = None) -> PlanAnswer:
    """Approve the plan that was shown and publish it as a DAG.

    Raises
    ------
    PlanChanged
        The specs have changed since, or ``digest`` is not that of the plan: look again.
    """
    ctx.check_right("approve", Right.APPROVE)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        stored = find_plan(session, request_id)
        if RequestState(row.state) is RequestState.APPROVED and stored and stored.digest == (digest or stored.digest):
            return PlanAnswer(Plan.model_validate(stored.body), stored.digest, ())
        move(row, Act.APPROVE)
        assert stored is not None  # a planned request has a plan
        current = build_plan(get_spec(session, request_id), row.revision, ctx.catalogue)
        if current.digest() != stored.digest or (digest and digest != stored.digest):
            raise PlanChanged(request_id, digest or stored.digest, current.digest())
        _publish(session, ctx.who, row, stored, current)
        return PlanAnswer(current, stored.digest, _warnings(session, current))


def _publish(session: Session, who: str, row: RequestRow, stored: PlanRow, approved: Plan) -> None:
    stored.approved_by, stored.approved_at = who, datetime.now(UTC)
    wanted = {
        (step.kind, bunch): place for place, step in enumerate(approved.steps) for bunch in approved.bunch_numbers
    }
    for step in list_steps(session, row.request_id):  # of an approval that was withdrawn
        if wanted.pop((step.kind, step.bunch), None) is None:
            session.delete(step)
    session.add_all(
        StepRow(request_id=row.request_id, revision=row.revision, kind=kind, ordinal=place, bunch=bunch, notes=[])
        for (kind, bunch), place in wanted.items()
    )
    publish(session, row.request_id, row.revision, stored.digest, who)
    write_audit(session, who, "approve", row.request_id, digest=stored.digest)
