"""Plan and approve: what will happen is shown, and approval binds to exactly that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.planning.approval_needs import approval_needs, find_missing_trial, size_of, stored_estimate
from prodsys.actions.planning.duplicate_samples import refuse_doubles
from prodsys.actions.planning.estimates import foresee
from prodsys.actions.planning.external_checks import Own, look_outside, what_is_known
from prodsys.actions.planning.input_discovery import Reading, find_reading
from prodsys.actions.requests.new_configurations import configuration_questions
from prodsys.actions.requests.seed_claims import (
    borrow_seeds,
    cover_seeds,
    find_open_seeds,
    lock_with_seeds,
    seed_warnings,
)
from prodsys.errors import PlanChanged
from prodsys.ledger.inputs import list_inputs, replace_inputs
from prodsys.ledger.journal import write_audit
from prodsys.ledger.plans import changes_of, store_plan
from prodsys.ledger.publications import publish
from prodsys.ledger.requests import find_plan, get_request, get_revision, get_spec, list_steps, move, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow, RequestRow, StepRow
from prodsys.model.estimate import Estimate
from prodsys.model.plan import Plan, build_plan
from prodsys.model.plan_changes import Change
from prodsys.model.statuses import RequestState
from prodsys.model.text import same_person
from prodsys.model.transitions import Action, Permission, find_move


@dataclass(frozen=True)
class PlanAnswer:
    """A plan, its digest, and what whoever approves it should know."""

    plan: Plan
    digest: str
    warnings: tuple[str, ...]
    estimate: Estimate | None = None  # no part of the digest
    changes: tuple[Change, ...] = ()  # against the plan before this one
    state: str = ""
    waits_for: str = ""  # what an approval still lacks, in words


def plan(ctx: Context, request_id: str) -> PlanAnswer:
    """Plan the current revision; planning the same again changes nothing but the estimate.

    Raises
    ------
    InvalidTransition
        The request is past planning, or history.
    SeedsTaken
        Some of its seeds belong to others and no reuse is declared.
    SpecInvalid
        A chain, software or partition that the specs do not know, a script or image that is not on CVMFS.
    NamesTaken, InsufficientSpace
        A name it writes is in use; its data do not fit.
    InputsUnusable, SampleExists
        What it reads is not there, or not complete; somebody has reconstructed it with the same configuration.
    PandaUnavailable, RucioUnavailable, FilesUnavailable
        Who must be asked does not answer: try again.
    """
    ctx.check_permission("plan", Permission.PLAN)
    built, own, reading = _build(ctx, request_id)
    estimate = foresee(ctx, built)
    said = look_outside(ctx, built, estimate, own)
    with transaction(ctx.sessions) as session:
        row = lock_with_seeds(session, request_id)
        move(row, Action.PLAN)
        now = build_plan(get_spec(session, request_id), row.revision, ctx.catalogue, built.reading)
        if now.digest() != built.digest():  # somebody revised it while we looked around
            raise PlanChanged(request_id, built.digest(), now.digest())
        cover_seeds(session, built.spec)
        if reading is not None:
            _keep_reading(session, ctx.who, built, reading)
            said = (*reading.warnings, *said)
        notes = (*configuration_questions(session, built.spec), *_notes_of_import(session, request_id))
        warnings = (*notes, *seed_warnings(session, request_id), *said)
        stored, new = store_plan(session, built, estimate, warnings, ctx.who)
        if new:
            write_audit(session, ctx.who, "plan", request_id, digest=stored.digest)
        needs = approval_needs(session, ctx, row, built, estimate, stored.approved_by)
        return _answer(session, row, stored, "; ".join(needs))


def _notes_of_import(session: Session, request_id: str) -> tuple[str, ...]:
    """What was understood otherwise than it was written, when this revision was read from a file."""
    return tuple(f"as it was read: {note}" for note in get_revision(session, request_id).source.get("notes") or ())


def _keep_reading(session: Session, who: str, built: Plan, reading: Reading) -> None:
    """Write down what the request reads, and whose seeds these are."""
    replace_inputs(session, built.request_id, reading.files)
    refuse_doubles(session, built, reading.files)
    borrow_seeds(session, built, who)


def _build(ctx: Context, request_id: str) -> tuple[Plan, Own, Reading | None]:
    """The plan, the names that the request made itself, and what it reads."""
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        if find_move(RequestState(row.state), Action.PLAN) is None:
            raise refusal(row, Action.PLAN)
        ctx.catalogue.policy.check_prefix(request_id)
        built = build_plan(get_spec(session, request_id), row.revision, ctx.catalogue)
        find_open_seeds(session, built.spec)
        own = what_is_known(session, request_id)
    reading = find_reading(ctx, built.spec)
    if reading is not None:
        built = build_plan(built.spec, built.revision, ctx.catalogue, reading.planned)
    return built, own, reading


def _answer(session: Session, row: RequestRow, stored: PlanRow, waits_for: str = "") -> PlanAnswer:
    return PlanAnswer(
        plan=Plan.model_validate(stored.body),
        digest=stored.digest,
        warnings=tuple(stored.warnings or ()),
        estimate=stored_estimate(stored),
        changes=changes_of(session, stored),
        state=row.state,
        waits_for=waits_for,
    )


def approve(ctx: Context, request_id: str, digest: str | None = None) -> PlanAnswer:
    """Approve the plan that was shown and publish it as a DAG; of a large one the first approval is only kept.

    Raises
    ------
    PlanChanged
        The specs have changed since, or ``digest`` is not that of the plan: look again.
    TrialMissing
        Policy wants a trial of its configuration first.
    SampleExists
        What it reads has been reconstructed with the same configuration since it was planned.
    SeedsTaken
        Its seeds came free by a withdrawal, and somebody took some of them.
    """
    ctx.check_permission("approve", Permission.APPROVE)
    with transaction(ctx.sessions) as session:
        row = lock_with_seeds(session, request_id)
        stored = find_plan(session, request_id)
        if RequestState(row.state) is RequestState.APPROVED and stored and stored.digest == (digest or stored.digest):
            return _answer(session, row, stored)
        if stored is None or find_move(RequestState(row.state), Action.APPROVE) is None:
            raise refusal(row, Action.APPROVE)
        shown = Plan.model_validate(stored.body)
        current = build_plan(get_spec(session, request_id), row.revision, ctx.catalogue, shown.reading)
        if current.digest() != stored.digest or (digest and digest != stored.digest):
            raise PlanChanged(request_id, digest or stored.digest, current.digest())
        if current.reading is not None:
            refuse_doubles(session, current, list_inputs(session, request_id))
        cover_seeds(session, current.spec)  # a withdrawal gave them back
        core_hours, volume = size_of(stored_estimate(stored), current)
        if (missing := find_missing_trial(session, ctx, row, current, core_hours)) is not None:
            raise missing
        if waits_for := _sign(session, ctx, stored, core_hours, volume):
            return _answer(session, row, stored, waits_for)
        move(row, Action.APPROVE)
        publish_plan(session, ctx.who, row, stored, current)
        return _answer(session, row, stored)


def _sign(session: Session, ctx: Context, stored: PlanRow, core_hours: float, volume_bytes: int) -> str:
    """Put down who approves; "" when that is enough, else who is waited for.

    Above the size of `second_person` the first name waits in `approved_by` without its time: `approved_at` tells since
    when the plan is approved.
    """
    limit = ctx.catalogue.policy.second_person
    if limit is None or not limit.is_needed(core_hours, volume_bytes):
        stored.approved_by = ctx.who
        return ""
    if stored.approved_by is None or same_person(stored.approved_by, ctx.who):
        if stored.approved_by is None:
            stored.approved_by = ctx.who
            write_audit(session, ctx.who, "approve as first", stored.request_id, digest=stored.digest)
        size = f"{core_hours:,.0f} core hours, {volume_bytes / 1e12:,.1f} TB"
        return f"approved by {stored.approved_by}, waits for a second person ({size})"
    stored.seconded_by, stored.seconded_at = ctx.who, datetime.now(UTC)
    return ""


def publish_plan(session: Session, who: str, row: RequestRow, stored: PlanRow, approved: Plan) -> None:
    """Publish an approved plan as a DAG, with the rows of its steps."""
    stored.approved_at = datetime.now(UTC)
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
