"""Pause, resume, priority, finish and abort: the ledger and PanDA move together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from prodsys.actions.aborting import abort
from prodsys.actions.context import Context
from prodsys.actions.controlling import finish, set_priority
from prodsys.actions.pausing import pause, resume
from prodsys.actions.reconciling import reconcile
from prodsys.actions.rehearsing import rehearse
from prodsys.actions.submitting import ensure_submitted
from prodsys.errors import PandaUnavailable, RequestUnavailable, TaskUnknown
from prodsys.model.statuses import FINAL, TaskStatus
from prodsys.orchestrator.client import AirflowClient
from tests.contract.actions.airflow_api import Airflow, serve
from tests.contract.chain.driving import patiently, take_wheel, wait_for_task
from tests.contract.chain.productions import SLOW_ONES
from tests.contract.chain.site import Site


@pytest.fixture
def hands(sites: dict[str, Site], started: object) -> Iterator[Context]:
    """Yield hands at the quieter site, with an Airflow that notes what it is told."""
    with serve(Airflow()) as url:
        ctx = sites["none"].context()
        yield replace(ctx, clients=replace(ctx.clients, airflow=lambda: AirflowClient(url, "prodsys", "p", 5)))


def running(site: Site, ctx: Context, request_id: str) -> int:
    """JEDI id of the SIM task of a request whose jobs run, slowly."""
    site.approved(request_id, seed_count=3)
    take_wheel(site.context(), request_id)

    def submitted() -> int | None:
        try:
            return ensure_submitted(ctx, request_id, "SIM")[0]
        except PandaUnavailable:
            return None

    task = patiently(submitted, "the submission")
    until(ctx, task, TaskStatus.RUNNING)
    return task


def until(ctx: Context, task: int, *wanted: TaskStatus) -> None:
    def look() -> bool | None:
        try:
            return ctx.panda.get_status(task) in wanted or None
        except TaskUnknown:
            return None

    patiently(look, f"task {task} to be one of {wanted}")


def test_a_pause_rests_the_task_and_nothing_is_submitted_meanwhile(sites: dict[str, Site], hands: Context) -> None:
    task = running(sites["none"], hands, SLOW_ONES[0])
    assert pause(hands, SLOW_ONES[0]).tasks == (task,)
    until(hands, task, TaskStatus.PAUSED)
    with pytest.raises(RequestUnavailable):
        ensure_submitted(hands, SLOW_ONES[0], "SIM")
    assert resume(hands, SLOW_ONES[0]).tasks == (task,)
    until(hands, task, TaskStatus.RUNNING, TaskStatus.DONE)
    assert set_priority(hands, SLOW_ONES[0], 950).tasks == (task,)
    assert hands.panda.get_task(task).priority in {900, 950}
    wait_for_task(hands, SLOW_ONES[0], "SIM")
    assert ensure_submitted(hands, SLOW_ONES[0], "SIM") == (task,)


def test_a_pause_that_panda_had_not_heard_is_said_again_by_the_reconciler(
    sites: dict[str, Site], hands: Context
) -> None:
    task = running(sites["none"], hands, SLOW_ONES[1])
    with rehearse(hands) as rehearsal:  # the ledger's part alone
        assert pause(rehearsal.ctx, SLOW_ONES[1]).state == "paused"
    assert rehearsal.effects == [f"airflow pause dag prod__{SLOW_ONES[1]}", f"panda pause {task}"]
    assert hands.panda.get_status(task) is not TaskStatus.PAUSED
    pause(hands, SLOW_ONES[1])
    until(hands, task, TaskStatus.PAUSED)
    hands.panda.resume(task)
    until(hands, task, TaskStatus.RUNNING)
    found = [one for one in reconcile(hands, repair=True) if one.request_id == SLOW_ONES[1]]
    assert any("went on while it is paused" in one.what for one in found)
    until(hands, task, TaskStatus.PAUSED)
    assert abort(hands, SLOW_ONES[1], "enough").tasks == (task,)
    until(hands, task, TaskStatus.ABORTED)


def test_a_finish_ends_the_task_with_what_it_has(sites: dict[str, Site], hands: Context) -> None:
    task = running(sites["none"], hands, SLOW_ONES[2])
    assert finish(hands, SLOW_ONES[2], "the beam time is over").tasks == (task,)
    until(hands, task, *FINAL)
    assert finish(hands, SLOW_ONES[2]).refused
