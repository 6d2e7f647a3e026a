"""Wait for the PanDA task of a step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from prodsys.errors import IdentityUnavailable, PandaUnavailable, TaskEnded, TaskUnknown
from prodsys.hooks.failing import final_errors_fail, record_failures
from prodsys.hooks.links import PandaTaskLink
from prodsys.hooks.outages import WaitsForServices, outages_waited
from prodsys.hooks.panda import PandaHook
from prodsys.model.statuses import FINAL, WITH_OUTPUT, TaskStatus
from prodsys.triggers.panda_task import PandaTaskTrigger, check_in_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context
    from prodsys.actions.submission.waiting import WaitTarget

WHO = "airflow"
WORDS_LENGTH = 500  # characters of PanDA's words that the error shows


class PandaTaskSensor(WaitsForServices, BaseSensorOperator):
    """Waits, deferred, until the tasks of a step are final; their ids are told by the ledger.

    First until PanDA shows the task, so that what it stored is compared with what was sent while there is time; then
    until it is final. Done and finished are the same to it: what came back is settled by the next airflow task. Broken,
    failed, aborted and exhausted fail at once with PanDA's own words. A PanDA that is away is waited for.

    Parameters
    ----------
    request_id, step, bunch
        Whose task; no bunch where the request runs in one piece.
    panda_conn_id
        Airflow connection of type ``panda``.
    """

    template_fields = ("request_id", "step")
    operator_extra_links = (PandaTaskLink(),)
    ui_color = "#dfeaf2"

    def __init__(
        self,
        *,
        request_id: str,
        step: str,
        bunch: int | None = None,
        panda_conn_id: str = PandaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id, self.step, self.bunch, self.panda_conn_id = request_id, step, bunch, panda_conn_id
        self.jedi_task_id: int | None = None

    def execute(self, context: AirflowContext) -> int:
        """JEDI task id when the task is final already; else wait. Every try starts here."""
        with final_errors_fail():
            ctx = self._hands()
            with record_failures(ctx, context, self.request_id, self.task_id), outages_waited(self, ctx, context):
                target = self._target(ctx)
                now = {"jedi_task_id": target.jedi_task_id, "status": str(_status_now(ctx, target))}
        return self.resume(context, now, time.time() + ctx.catalogue.profile.times.wait_max_s)

    def resume(  # noqa: RET503 - it defers
        self, context: AirflowContext, event: Any, deadline_ts: float | None = None
    ) -> int:
        """JEDI task id once the task is final with output; goes on waiting when it is not.

        A resumption without its arguments (`dag.test` keeps none) begins its time anew.
        """
        with final_errors_fail():
            ctx = self._hands()
            with record_failures(ctx, context, self.request_id, self.task_id), outages_waited(self, ctx, context):
                target = self._target(ctx)
                still: WaitTarget | None = target
                try:
                    still = self._follow(ctx, target, event)
                    if still is None:
                        return self._end(ctx, self._target(ctx).jedi_task_id)
                except (PandaUnavailable, IdentityUnavailable) as error:
                    self.log.warning("task %s is waited for a little longer: %s", target.jedi_task_id, error)
            until = deadline_ts or time.time() + ctx.catalogue.profile.times.wait_max_s
            self._wait(ctx, still or target, until)

    def _follow(self, ctx: Context, target: WaitTarget, event: Any) -> WaitTarget | None:
        """The task to go on waiting for after this event; None when it is final."""
        check_in_time(event)
        still = self._record(ctx, target, self._read(event, target))
        if still is not None:
            return still
        following = self._target(ctx)  # of several tasks of the step, the next that has not ended
        return following if following.jedi_task_id != target.jedi_task_id and following.status not in FINAL else None

    def _is_recovered(self, ctx: Context) -> bool:
        """Whether a person asked to run again what is missing: then `settle` does, whatever became of this task."""
        from prodsys.actions.submission.waiting import recovery_granted

        return recovery_granted(ctx, self.request_id, self.step, self.bunch)

    def _hands(self) -> Context:
        from prodsys.hooks.context import build_context

        return build_context(who=WHO)

    def _target(self, ctx: Context) -> WaitTarget:
        from prodsys.actions.submission.waiting import task_to_wait_for

        target = task_to_wait_for(ctx, self.request_id, self.step, self.bunch)
        self.jedi_task_id = target.jedi_task_id
        return target

    def _read(self, event: Any, target: WaitTarget) -> TaskStatus:
        """Status that an event tells; one that is not about our task brings no news."""
        about = event.get("jedi_task_id") if isinstance(event, dict) else None
        if about != target.jedi_task_id:
            self.log.warning("an event that is not about task %s is ignored: %r", target.jedi_task_id, event)
            return TaskStatus.UNKNOWN
        return TaskStatus(str(event.get("status")))

    def _record(self, ctx: Context, target: WaitTarget, status: TaskStatus) -> WaitTarget | None:
        """The task to go on waiting for, None when it is final."""
        from prodsys.actions.submission.waiting import record_status

        still = record_status(ctx, target.jedi_task_id, status)
        self.log.info("PanDA task %s (%s) is %s", target.jedi_task_id, target.task_name, status)
        return still

    def _wait(self, ctx: Context, target: WaitTarget, deadline_ts: float) -> NoReturn:
        self.jedi_task_id = target.jedi_task_id
        times = ctx.catalogue.profile.times
        trigger = PandaTaskTrigger.to_wait_for(target, times, deadline_ts, self.panda_conn_id)
        kept: Mapping[str, Any] = {"deadline_ts": deadline_ts}
        self.defer(trigger=trigger, method_name=self.resume.__name__, kwargs=dict(kept))

    def _end(self, ctx: Context, jedi_task_id: int) -> int:
        """The id, or the error of a task that ended without output."""
        try:
            task = ctx.panda.get_task(jedi_task_id)
        except TaskUnknown as error:
            raise PandaUnavailable(f"task {jedi_task_id} was final and is not shown any more") from error
        if task.status in WITH_OUTPUT or self._is_recovered(ctx):
            return jedi_task_id
        if task.status not in FINAL:
            raise PandaUnavailable(f"task {jedi_task_id} was final and is {task.status} again")
        raise TaskEnded(jedi_task_id, task.status, one_line(task.error_dialog))


def _status_now(ctx: Context, target: WaitTarget) -> TaskStatus:
    """What PanDA says of a task now; a PanDA that is away says nothing new."""
    try:
        return ctx.panda.get_status(target.jedi_task_id)
    except (TaskUnknown, PandaUnavailable, IdentityUnavailable):
        return TaskStatus.UNSEEN


def one_line(words: str) -> str:
    """PanDA's words in one line of bounded length: they may hold a stack trace."""
    line = " ".join(words.split())
    return line if len(line) <= WORDS_LENGTH else line[: WORDS_LENGTH - 3] + "..."
