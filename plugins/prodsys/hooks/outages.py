"""An outage is waited for: the airflow task defers, a little longer each time, and begins again when its time has come.

A deferred airflow task holds no worker, survives restarts of everything and burns no try, so that an outage of a night
ends no run. Airflow's own tries are left for workers that die.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from prodsys.errors import OutageTooLong, ProductionError, ServiceUnavailable
from prodsys.hooks.run_notes import note_run

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context
    from prodsys.model.specs import TimesSpec

    _Base = BaseOperator
else:
    _Base = object

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outage:
    """What an airflow task waits for."""

    service: str
    since_ts: float  # seconds of the epoch
    waits: int  # so many until now


class WaitsForServices(_Base):
    """Mixin of operators and sensors that wait while a service is not available."""

    kept_in_outage: ClassVar[tuple[str, ...]] = ()  # attributes that the airflow task has again afterwards
    outage: Outage | None = None
    request_id: str

    def after_outage(
        self,
        context: AirflowContext,
        event: Any = None,  # noqa: ARG002 - it says what time it is
        outage: Mapping[str, Any] | None = None,
        kept: Mapping[str, Any] | None = None,
    ) -> Any:
        """Begin again after a wait; what was not done yet is done now."""
        self.outage = Outage(**outage) if outage else None
        for name, value in (kept or {}).items():
            setattr(self, name, value)
        return self.execute(context)


@contextmanager
def outages_waited(task: WaitsForServices, ctx: Context, context: AirflowContext) -> Iterator[None]:
    """Defer the airflow task when a service is not available, and say so on the request and the run.

    Raises
    ------
    TaskDeferred
        Airflow's: the wait.
    OutageTooLong
        It has been waited for as long as the profile allows (`wait_max_s`).
    """
    try:
        yield
    except ServiceUnavailable as error:
        _wait(task, ctx, context, error)
    except BaseException:  # a wait of another kind, another error: the service was there
        _end(task, ctx, context)
        raise
    _end(task, ctx, context)


def pause_s(waits: int, times: TimesSpec) -> float:
    """How long to wait when it was waited so often already [s]: twice as long each time, within the profile."""
    growing = times.outage_first_s * 2.0 ** min(waits, 60)
    return max(times.resume_min_s, min(growing, times.outage_longest_s))


def _wait(task: WaitsForServices, ctx: Context, context: AirflowContext, error: ServiceUnavailable) -> NoReturn:
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    times, now = ctx.catalogue.profile.times, time.time()
    before = task.outage or Outage(error.service, now, 0)
    if now - before.since_ts >= times.wait_max_s:
        raise OutageTooLong(error, now - before.since_ts) from error
    pause = pause_s(before.waits, times)
    log.warning("%s; looked at again in %.0f s", error, pause)
    _tell(task, ctx, context, str(error), first=task.outage is None)
    outage = Outage(error.service, before.since_ts, before.waits + 1)
    task.defer(
        trigger=DateTimeTrigger(moment=datetime.now(UTC) + timedelta(seconds=pause)),
        method_name=task.after_outage.__name__,
        kwargs={
            "outage": asdict(outage),
            "kept": {name: getattr(task, name) for name in task.kept_in_outage},
        },
    )
    raise AssertionError("deferring raises")


def _tell(task: WaitsForServices, ctx: Context, context: AirflowContext, words: str, *, first: bool) -> None:
    from prodsys.actions.runs.outages import note_outage

    run = context["dag_run"]
    try:
        note_outage(ctx, task.request_id, (run.dag_id, run.run_id), f"{task.task_id} waits: {words}", first=first)
    except ProductionError as silence:
        log.warning("the ledger does not know that run %s waits: %s", run.run_id, silence)
    if first:
        note_run(ctx, context, f"{task.task_id} waits: {words}")


def _end(task: WaitsForServices, ctx: Context, context: AirflowContext) -> None:
    """Take the reason back when it was waited for; where that fails the next change of the request does."""
    from prodsys.actions.runs.outages import note_return

    if task.outage is None:
        return
    outage, task.outage, run = task.outage, None, context["dag_run"]
    waited = timedelta(seconds=round(time.time() - outage.since_ts))
    words = f"{outage.service} is available again after {waited}: {task.task_id} goes on"
    log.info("%s", words)
    try:
        note_return(ctx, task.request_id, (run.dag_id, run.run_id), words)
    except ProductionError as silence:
        log.warning("the ledger does not know that run %s goes on: %s", run.run_id, silence)
    note_run(ctx, context, words)
