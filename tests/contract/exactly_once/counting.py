"""What a test says of a request when all is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prodsys.actions.core.context import Context
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import newest_task
from prodsys.model.names import TaskName
from tests.chaos.count import Count, count, faults
from tests.chaos.nursery import Worker
from tests.chaos.stage import Stage
from tests.contract.panda.sandbox_target import Sandbox

KIND = "SIM"


def task_of(ctx: Context, request_id: str) -> TaskRow:
    """The intent as the ledger holds it now."""
    with transaction(ctx.sessions) as session:
        task = newest_task(session, request_id, KIND)
    assert task is not None
    return task


def name_of(request_id: str) -> str:
    """Name of the request's first task."""
    return str(TaskName(request_id, KIND))


@contextmanager
def long_jobs(panda: Sandbox) -> Iterator[None]:
    """Jobs that begin now run for an hour: no task ends of itself before somebody looks."""
    panda.play({"name": "long jobs", "match": {"task": "SIM"}, "slow": {"wall_s": 3600}})
    yield
    panda.play()


def ends_well(*workers: Worker) -> None:
    """All these processes come to their end without an error."""
    for worker in workers:
        end = worker.wait_for_end()
        assert (end["event"], end.get("code")) == ("ended", 0), worker.why


def one_task(stage: Stage, ctx: Context, request_id: str, *, late: bool = False) -> Count:
    """Exactly one live task with jobs, each seed once, as PanDA's own tables tell; the count."""
    assert list(faults(stage, ctx, request_id, late=late, kind=KIND)) == []
    return count(stage, request_id, KIND)
