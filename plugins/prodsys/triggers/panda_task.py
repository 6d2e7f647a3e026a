"""Wait for a PanDA task without holding a worker."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prodsys.errors import PandaError, SpecInvalid
from prodsys.model.names import TaskName
from prodsys.model.statuses import FINAL, TaskStatus
from prodsys.panda.feed import Cycle
from prodsys.triggers.feeds import Ask
from prodsys.triggers.waiting import DEADLINE, WaitingTrigger

if TYPE_CHECKING:
    from prodsys.actions.submission.waiting import WaitTarget
    from prodsys.model.specs import TimesSpec

NOT_SHOWN = frozenset({TaskStatus.UNSEEN, TaskStatus.UNKNOWN})  # nothing that could be recorded


class PandaTaskTrigger(WaitingTrigger):
    """Fires ``{"jedi_task_id", "status", "reason"}`` once: when the task is final, or first seen, or too late.

    Parameters
    ----------
    jedi_task_id, task_name
        The task; the name tells the request when the wait is let go.
    until_final
        True: fires when the status is final, read twice with ``finality_gap_s`` between. False: fires as soon as PanDA
        shows the task, whatever its status.
    deadline_ts
        When the wait gives up, seconds of the epoch; the event says ``deadline``, PanDA's task is untouched.
    conn_id
        Airflow connection of type ``panda``.
    poll_s
        Between two looks at all waiting tasks [s].
    window_s
        How far back modified tasks are listed [s].
    finality_gap_s
        Between the two readings that make a final status final [s].
    resume_min_s
        Earliest event after the wait began [s].
    """

    classpath = f"{__name__}.PandaTaskTrigger"
    arguments = (
        "jedi_task_id",
        "task_name",
        "until_final",
        "deadline_ts",
        "conn_id",
        "poll_s",
        "window_s",
        "finality_gap_s",
        "resume_min_s",
    )
    shared = ("conn_id", "poll_s", "window_s")

    def __init__(
        self,
        *,
        jedi_task_id: int,
        task_name: str,
        deadline_ts: float,
        conn_id: str,
        poll_s: float,
        window_s: float,
        finality_gap_s: float,
        resume_min_s: float,
        until_final: bool = True,
    ) -> None:
        super().__init__(deadline_ts=deadline_ts, conn_id=conn_id, poll_s=poll_s, resume_min_s=resume_min_s)
        self.jedi_task_id, self.task_name, self.until_final = jedi_task_id, task_name, until_final
        self.window_s, self.finality_gap_s = window_s, finality_gap_s
        self.request_id = _request_of(task_name)
        self._final_since: tuple[TaskStatus, float] | None = None
        self._strange = False

    @classmethod
    def to_wait_for(cls, target: WaitTarget, times: TimesSpec, deadline_ts: float, conn_id: str) -> PandaTaskTrigger:
        """The trigger for a task in the ledger: until PanDA shows it, or, once it was shown, until it is final."""
        shown = target.status not in NOT_SHOWN
        return cls(
            jedi_task_id=target.jedi_task_id,
            task_name=target.task_name,
            until_final=shown,
            deadline_ts=deadline_ts if shown else min(deadline_ts, time.time() + times.unseen_max_s),
            conn_id=conn_id,
            poll_s=times.poll_s,
            window_s=times.modified_window_s,
            finality_gap_s=times.finality_gap_s,
            resume_min_s=times.resume_min_s,
        )

    @classmethod
    def connect(cls, arguments: Mapping[str, Any]) -> Ask:
        """Statuses of all waiting tasks in a few calls."""
        from prodsys.hooks.panda import PandaHook

        client = PandaHook(arguments["conn_id"]).get_conn()
        return lambda keys: client.list_statuses(keys, float(arguments["window_s"]))

    def keys(self) -> tuple[int, ...]:
        """The task."""
        return (self.jedi_task_id,)

    def judge(self, cycle: Cycle[int, TaskStatus]) -> dict[str, Any] | None:
        """Event when the wait is over; no news and unknown words mean that it goes on."""
        status = cycle.news_of(self.jedi_task_id)
        if status is None:
            return None
        if status is TaskStatus.UNKNOWN and not self._strange:
            self._strange = True
            self.log.warning("PanDA task %s has a status we do not know: waiting goes on", self.jedi_task_id)
        over = self._is_final(status) if self.until_final else status not in NOT_SHOWN
        return self._event(status, "") if over else None

    def late(self) -> dict[str, Any]:
        """Event after the deadline."""
        shown = "reached a final status" if self.until_final else "been shown by PanDA"
        return self._event(DEADLINE, f"task {self.jedi_task_id} ({self.task_name}) has not {shown} in time")

    def _is_final(self, status: TaskStatus) -> bool:
        """Whether the status was final a while ago already: a retry in the monitor may move it on."""
        if status not in FINAL:
            self._final_since = None
            return False
        if self._final_since is None or self._final_since[0] is not status:
            self._final_since = (status, time.monotonic())
        return time.monotonic() - self._final_since[1] >= self.finality_gap_s

    def _event(self, status: str, reason: str) -> dict[str, Any]:
        return {"jedi_task_id": self.jedi_task_id, "status": str(status), "reason": reason}


def check_in_time(event: Any) -> None:
    """Nothing, unless the event says that the wait took too long.

    Raises
    ------
    PandaError
        It did; PanDA's task is untouched.
    """
    if isinstance(event, dict) and event.get("status") == DEADLINE:
        reason = event.get("reason") or "the wait took too long"
        raise PandaError(f"{reason}; PanDA's task is untouched: clear this airflow task to go on waiting")


def _request_of(task_name: str) -> str:
    try:
        return TaskName.parse(task_name).request_id
    except SpecInvalid:
        return task_name
