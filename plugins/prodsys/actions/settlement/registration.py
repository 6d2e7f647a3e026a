"""The data of a settled step in Rucio: verified or registered.

PanDA's adder may have registered everything already, or nothing (both are right); what we register we close last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.settlement.missing_files import (
    MissingFile,
    forget_erased,
    look_for_missing,
    never_arrived,
    write_missing,
)
from prodsys.actions.submission.dataset_contents import Part, Source, dataset_row, hold, rse_of_seeds
from prodsys.ddm.verbs import Held
from prodsys.errors import SeedsLost
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import approved_plan, get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, StepRow
from prodsys.ledger.tasks import list_files, list_outcomes
from prodsys.model.names import DataKind, Did
from prodsys.model.outcome import SeedState, judge
from prodsys.model.plan import Plan
from prodsys.model.statuses import GOOD, Verdict

REASONS_SHOWN = 3


@dataclass(frozen=True)
class DataAnswer:
    """One dataset of a step, as read back."""

    did: str
    data_type: str
    files: int
    events: int


def ensure_step_data(ctx: Context, request_id: str, kind: str, bunch: int | None = None) -> tuple[DataAnswer, ...]:
    """The datasets of a step in Rucio, complete, closed, read back and compared; run again, nothing changes.

    A seed one of whose files is not to be had is counted missing, and its other files are kept out.

    Raises
    ------
    DatasetConflict
        Rucio holds something else than PanDA reported.
    SeedsLost
        Without the seeds whose files are not in Rucio the step is not good enough: it has to be settled again.
    """
    with transaction(ctx.sessions) as session:
        plan = approved_plan(session, request_id)
        step = get_step(session, request_id, kind, bunch)
        if step.verdict not in GOOD:
            raise SeedsLost(request_id, kind, step.verdict or "not settled", "it has to be settled first")
        parts = _parts(session, plan, step)
        parts += _earlier_parts(session, step, parts)
        source = Source(plan, step.step_id, kind, rse_of_seeds(session, ctx, step.step_id))
    found = look_for_missing(ctx, parts, source)
    parts = _drop(ctx, plan, step, parts, found.missing)
    parts = tuple(part for part in parts if part.did not in found.erased)
    held = {part.did: hold(ctx, part, source) for part in parts}
    raced = [never_arrived(part.files[lfn]) for part in parts for lfn in held[part.did].lost]
    if raced:  # their dataset was closed between our look and their registration
        parts = _drop(ctx, plan, step, parts, raced)
        held = {part.did: hold(ctx, part, source) for part in parts}  # their partners are kept out
    return _write_down(ctx, plan, step, parts, held, found.erased)


def _drop(
    ctx: Context, plan: Plan, step: StepRow, parts: tuple[Part, ...], missing: Sequence[MissingFile]
) -> tuple[Part, ...]:
    """The parts without the seeds of files that are not to be had; the ledger knows why."""
    if not missing:
        return parts
    _give_up(ctx, plan, step, missing)
    return tuple(part.without({one.file.seed for one in missing}) for part in parts)


def _earlier_parts(session: Session, step: StepRow, parts: Sequence[Part]) -> tuple[Part, ...]:
    """Datasets that the step filled before and none of whose files counts any more, each as a part without files."""
    here = {str(part.did) for part in parts}
    own = (
        DatasetRow.step == step.kind,
        DatasetRow.bunch.is_not_distinct_from(step.bunch),
        DatasetRow.kind == DataKind.DATASET,
    )
    rows = session.scalars(select(DatasetRow).where(DatasetRow.request_id == step.request_id, *own))
    return tuple(Part(Did.parse(row.did), row.data_type or "", {}) for row in rows if row.did not in here)


def _parts(session: Session, plan: Plan, step: StepRow) -> tuple[Part, ...]:
    good = {one.seed for one in list_outcomes(session, step.step_id) if one.state == SeedState.DELIVERED}
    files = [file for file in list_files(session, step.step_id) if file.seed in good]
    datasets = sorted({(file.data_type, file.dataset) for file in files})
    return tuple(
        Part(
            Did(plan.partition, dataset),
            data_type,
            {file.lfn: file for file in files if file.data_type == data_type and file.dataset == dataset},
        )
        for data_type, dataset in datasets
    )


def _give_up(ctx: Context, plan: Plan, step: StepRow, missing: Sequence[MissingFile]) -> None:
    """Seeds with a file that is not to be had, or not yet, do not count; the verdict is said again."""
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)  # one at a time writes down what became of a request
        row = get_step(session, plan.request_id, step.kind, step.bunch)
        deciding = write_missing(session, row, missing, list_files(session, row.step_id))
        session.flush()
        _judge_again(session, plan, row)
        row.notes = [*row.notes, *(f"seed {seed}: {one.reason}" for seed, one in sorted(deciding.items()))]
        verdict, seeds = row.verdict or "", sorted(deciding)
        why = {str(one.why) for one in deciding.values()}
        words = {"step": step.kind, "seeds": seeds, "verdict": verdict, "why": sorted(why)}
        write_audit(session, ctx.who, "seeds lost", plan.request_id, **words)
    if verdict not in GOOD:
        said = "; ".join(one.reason for one in list(deciding.values())[:REASONS_SHOWN])
        raise SeedsLost(plan.request_id, step.kind, verdict, f"files of seeds {seeds} do not count: {said}")


def _judge_again(session: Session, plan: Plan, row: StepRow) -> None:
    rows = list_outcomes(session, row.step_id)
    good = [one for one in rows if one.state == SeedState.DELIVERED]
    verdict = judge((SeedState(one.state) for one in rows), row.asked, plan.accept_percent)
    row.verdict = Verdict.PARTIAL if verdict is Verdict.FAILED and row.waived and good else verdict
    row.seeds_delivered, row.events = len(good), sum(one.events for one in good)


def _write_down(
    ctx: Context,
    plan: Plan,
    step: StepRow,
    parts: tuple[Part, ...],
    held: Mapping[Did, Held],
    erased: Collection[Did],
) -> tuple[DataAnswer, ...]:
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)
        forget_erased(session, erased)
        rows = [dataset_row(step, part, held[part.did], DataKind.DATASET) for part in parts]
        for row in rows:
            session.merge(row)
        get_step(session, plan.request_id, step.kind, step.bunch).data_ready_at = datetime.now(UTC)
        write_audit(session, ctx.who, "data", plan.request_id, step=step.kind, datasets=[row.did for row in rows])
        return tuple(DataAnswer(row.did, row.data_type or "", row.files, row.events) for row in rows)
