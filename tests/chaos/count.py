"""What PanDA made of one request, counted in PanDA's own tables, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from prodsys.actions.core.context import Context
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import newest_task, seeds_of_task
from tests.chaos.stage import Stage
from tests.chaos.worker import persist

_TASKS = """
select s.jedi_task_id, s.created, t.status, coalesce(t.error_dialog, '') like '%%duplicated task%%',
    (select min(happened) from task_log l where l.jedi_task_id = s.jedi_task_id and l.status = 'defined'),
    (select count(*) from job j where j.jedi_task_id = s.jedi_task_id)
from submission s left join task t using (jedi_task_id)
where s.params ->> 'taskName' ~ %(pattern)s order by s.created, s.jedi_task_id
"""
_SEEDS = """
select substring(j.parameters from '--seed=([0-9]+)')::bigint as seed, count(distinct j.jedi_task_id)
from job j join submission s using (jedi_task_id)
where s.params ->> 'taskName' ~ %(pattern)s group by seed order by seed
"""
NOT_LIVE = frozenset({None, "registered", "toabort", "aborting", "aborted", "tobroken", "broken"})


@dataclass(frozen=True)
class SentTask:
    """One submission that PanDA's server has stored."""

    jedi_task_id: int
    created: datetime
    status: str | None  # None: JEDI has not taken it up
    is_twin: bool
    visible_at: datetime | None
    jobs: int


@dataclass(frozen=True)
class Count:
    """A request in PanDA's tables."""

    sent: tuple[SentTask, ...]
    tasks_a_seed: dict[int, int]

    @property
    def live(self) -> tuple[SentTask, ...]:
        """Tasks past refinement that live or have brought something."""
        return tuple(one for one in self.sent if one.status not in NOT_LIVE)

    @property
    def twins(self) -> int:
        """Tasks that JEDI ended as duplicates."""
        return sum(one.status == "aborted" and one.is_twin for one in self.sent)


def count(stage: Stage, request_id: str, kind: str = "SIM") -> Count:
    """What PanDA's own tables say of one step of a request."""
    pattern = rf"^{request_id}\.{kind}(\.|$)"
    sent = tuple(SentTask(*row) for row in stage.rows(_TASKS, pattern=pattern))
    return Count(sent, {int(seed): int(tasks) for seed, tasks in stage.rows(_SEEDS, pattern=pattern)})


def faults(stage: Stage, ctx: Context, request_id: str, *, late: bool, kind: str = "SIM") -> Iterator[str]:
    """What breaks the promise; nothing when all is well.

    ``late``: a process slept longer than its turn, so that it may have sent when another had done so already.
    """
    found = count(stage, request_id, kind)
    row = persist(lambda: _intent(ctx, request_id, kind))
    if row is None:
        yield "the ledger has no intent"
        return
    yield from _one_task(found, row)
    wanted = dict.fromkeys(seeds_of_task(row), 1)
    if found.tasks_a_seed != wanted:
        yield f"tasks a seed: {found.tasks_a_seed}, not {wanted}"
    if not late:
        yield from _needless(found, timedelta(seconds=stage.times["answer_max_s"]))


def _intent(ctx: Context, request_id: str, kind: str) -> TaskRow | None:
    with transaction(ctx.sessions) as session:
        return newest_task(session, request_id, kind)


def _one_task(found: Count, row: TaskRow) -> Iterator[str]:
    live = [one.jedi_task_id for one in found.live]
    working = [one.jedi_task_id for one in found.sent if one.jobs]
    if len(live) != 1 or working != live:
        yield f"live tasks {live}, tasks with jobs {working}: not exactly one"
    if [row.jedi_task_id] != live:
        yield f"the ledger says task {row.jedi_task_id}, PanDA runs {live}"
    if row.intent != "confirmed":
        yield f"the intent is {row.intent}, not confirmed"
    unended = [one.jedi_task_id for one in found.sent if one.jedi_task_id not in live and one.status != "aborted"]
    if unended:
        yield f"submissions {unended} have not been ended"


def _needless(found: Count, answer_max: timedelta) -> Iterator[str]:
    """Sent again too early, or although PanDA had shown the first one for long."""
    for elder, later in zip(found.sent, found.sent[1:], strict=False):
        if later.created - elder.created < answer_max / 2:
            gap = (later.created - elder.created).total_seconds()
            yield f"task {later.jedi_task_id} was sent {gap:.2f} s after {elder.jedi_task_id}, which had its turn"
        shown = min((one.visible_at for one in found.sent if one.visible_at), default=None)
        if shown is not None and later.created - shown > answer_max:
            yield f"task {later.jedi_task_id} was sent although PanDA had shown the first one"
