"""What a step brought, put together from its tasks and written down seed by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.settlement.event_counting import unite_counted
from prodsys.actions.submission.external_inputs import borrowed_seeds, unread_seeds
from prodsys.actions.submission.job_evidence import Record, TaskOutcome, read_record, settle_task
from prodsys.actions.submission.output_datasets import known_outputs
from prodsys.ledger.absent_files import files_never_arrived, gone_files, late_files, seeds_of_lost_files
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import FileRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tasks import list_files, list_outcomes, replace_outcome, seeds_of_task
from prodsys.model import seeds as seed_ranges
from prodsys.model.outcome import InputCount, SeedOutcome, SeedState, StepOutcome, StepQuestion
from prodsys.model.plan import LOG, Plan
from prodsys.model.statuses import GOOD, EventSource, Verdict


def settle_tasks(ctx: Context, plan: Plan, step: StepRow, tasks: Sequence[TaskRow]) -> StepOutcome:
    """Outcome of a step whose tasks are at rest, written into the ledger.

    Raises
    ------
    PandaUnavailable
        PanDA does not show all that it counts, or that it showed before: nothing is concluded from that.
    OutputsUnknown
        A task wrote into a dataset whose name does not follow from its map.
    """
    with transaction(ctx.sessions) as session:
        questions = [(task, _question(session, plan, step, task)) for task in tasks]
        absent, asked = _absent(session, plan, step)
        record = read_record(session, get_step(session, plan.request_id, step.kind, step.bunch))
    brought = [settle_task(ctx, task, question, record) for task, question in questions]
    parts = [(one.task_row_id, one.outcome) for one in brought]
    outcome = _keep_finished(unite_counted(ctx, plan, parts, absent, asked), record)
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)  # one at a time writes down what became of a request
        _note_jobs(session, brought)
        settled = get_step(session, plan.request_id, step.kind, step.bunch)
        settled.core_s = _core_s(plan, step, brought, settled.core_s)
        write_outcome(session, settled, outcome)
        words = {"step": step.kind, "bunch": step.bunch, "verdict": outcome.verdict, "notes": list(outcome.notes)}
        write_audit(session, ctx.who, "settle", plan.request_id, **words)
    return outcome


def _keep_finished(outcome: StepOutcome, record: Record) -> StepOutcome:
    """A seed of which a job finished once stays so, whatever is shown now."""
    finished = record.finished
    seeds = [replace(one, count=InputCount.FINISHED) if one.seed in finished else one for one in outcome.seeds]
    return replace(outcome, seeds=tuple(seeds))


def _note_jobs(session: Session, brought: Iterable[TaskOutcome]) -> None:
    """Note how many jobs were seen; fewer than before is no news."""
    for one in brought:
        row = session.get(TaskRow, one.task_row_id)
        if row is not None and one.jobs is not None:
            row.job_count = max(len(one.jobs), row.job_count or 0)


def _core_s(plan: Plan, step: StepRow, brought: Iterable[TaskOutcome], before: float | None) -> float | None:
    """Core time of all tasks [s]; what was known before, where not all jobs are shown."""
    spent = [one.core_seconds(plan.step(step.kind).cores) for one in brought]
    return before if None in spent else sum(one for one in spent if one is not None)


def _question(session: Session, plan: Plan, step: StepRow, task: TaskRow) -> StepQuestion:
    before = plan.before(step.kind)
    return StepQuestion(
        seeds=seeds_of_task(task),
        asked=len(seeds_of_task(task)),
        events_per_job=plan.step(step.kind).events_per_job,
        output_types=known_outputs(task),
        accept_percent=plan.accept_percent,
        input_seeds=_input_seeds(session, plan, step, before.kind if before else None),
        lost=files_never_arrived(session, step.step_id),
        gone=gone_files(session, step.step_id),
        late=late_files(session, step.step_id),
    )


def _input_seeds(session: Session, plan: Plan, step: StepRow, before: str | None) -> Mapping[str, int] | None:
    """LFN of every file that is read -> its seed; None for a step that reads none."""
    if before is None:
        return borrowed_seeds(session, plan) if plan.reading else None
    wrote = get_step(session, plan.request_id, before, step.bunch)
    present = {file.lfn: file.seed for file in list_files(session, wrote.step_id) if file.data_type != LOG}
    return seeds_of_lost_files(session, wrote.step_id) | present  # a job may have read what was lost since


def _absent(session: Session, plan: Plan, step: StepRow) -> tuple[list[SeedOutcome], int]:
    """What is said of seeds before any task is looked at; and how many seeds count for the verdict.

    A seed that the step before lost cannot come here; where a person waived it there, it does not count here.
    """
    seeds = list(seed_ranges.iterate(plan.seeds_of_bunch(step.bunch)))
    before = plan.before(step.kind)
    if before is None and plan.reading is not None:
        return unread_seeds(plan, step, plan.reading)
    if before is None:
        return [_never_run(seed) for seed in seeds], len(seeds)
    wrote = get_step(session, plan.request_id, before.kind, step.bunch)
    source = {one.seed: one for one in list_outcomes(session, wrote.step_id)}
    absent = [_unread(seed, before.kind, source.get(seed)) for seed in seeds]
    waived = sum(1 for one in absent if one.lost_in) if wrote.waived else 0
    return absent, len(seeds) - waived


def _never_run(seed: int) -> SeedOutcome:
    return SeedOutcome(seed, SeedState.MISSING, reason="no job was made for this seed", count=InputCount.NO_TASK)


def _unread(seed: int, before: str, row: SeedOutcomeRow | None) -> SeedOutcome:
    if row is not None and row.state == SeedState.DELIVERED:
        return _never_run(seed)
    reason = row.reason if row is not None else f"{before} has not been settled"
    return SeedOutcome(seed, SeedState.MISSING, reason=reason, lost_in=(row.lost_in if row else "") or before)


def write_outcome(session: Session, step: StepRow, outcome: StepOutcome) -> None:
    """Write a step's outcome in place of an earlier one; what Rucio holds is to be compared with it again."""
    rows = [_seed_row(step, seed) for seed in outcome.seeds]
    bound = [seed for seed in outcome.seeds if seed.state is not SeedState.MISPAIRED]  # those have files of two seeds
    files = [row for seed in bound for row in _file_rows(step, seed)]
    replace_outcome(session, step.step_id, rows, files)
    step.verdict = outcome.verdict
    if step.waived and outcome.delivered and outcome.verdict not in GOOD:
        step.verdict = Verdict.PARTIAL
    step.asked, step.seeds_delivered, step.events = outcome.asked, len(outcome.delivered), outcome.events
    step.notes = list(outcome.notes)
    step.counted_files = sum(seed.events_source is EventSource.COUNTED for seed in outcome.seeds)
    step.settled_at, step.data_ready_at = datetime.now(UTC), None


def waive_missing(rows: Iterable[SeedOutcomeRow], words: str, before: Mapping[int, str]) -> None:
    """Say of what is missing that nobody waits for it any more, and why; in the caller's transaction.

    ``before`` has the words for seeds that were let go before this step.
    """
    for row in rows:
        row.waived = "" if row.state == SeedState.DELIVERED else before.get(row.seed, words)


def waived_before(session: Session, plan: Plan, step: StepRow) -> dict[int, str]:
    """Seeds that were let go before a step, by the step that lost them or with the plan -> why."""
    before = plan.before(step.kind)
    if before is not None:
        wrote = get_step(session, plan.request_id, before.kind, step.bunch)
        return {one.seed: one.waived for one in list_outcomes(session, wrote.step_id) if one.waived}
    lacking = seed_ranges.iterate(plan.reading.lacking) if plan.reading else ()
    return dict.fromkeys(lacking, "the plan was approved without it: its input is not complete")


def _seed_row(step: StepRow, seed: SeedOutcome) -> SeedOutcomeRow:
    return SeedOutcomeRow(
        step_id=step.step_id,
        seed=seed.seed,
        task_row_id=seed.task,
        state=seed.state,
        reason=seed.reason,
        lost_in="" if seed.state is SeedState.DELIVERED else seed.lost_in or step.kind,
        waived="",
        panda_job_id=seed.panda_job_id,
        site=seed.site,
        events=seed.events,
        events_source=seed.events_source,
        finished=seed.count is InputCount.FINISHED,
    )


def _file_rows(step: StepRow, seed: SeedOutcome) -> list[FileRow]:
    return [
        FileRow(
            lfn=file.lfn,
            step_id=step.step_id,
            seed=seed.seed,
            data_type=data_type,
            dataset=file.dataset,
            panda_job_id=seed.panda_job_id or 0,
            bytes=file.bytes,
            adler32=file.adler32,
            guid=file.guid,
            events=0 if data_type == LOG else seed.events,
            events_source=seed.events_source,
        )
        for data_type, file in sorted(seed.files.items())
    ]
