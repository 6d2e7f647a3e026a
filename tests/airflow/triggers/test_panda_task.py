"""PandaTaskTrigger over a real HTTP server, by both ways Airflow may run it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from tests.airflow.triggers.conftest import POLL_S, Grid, Run

from airflow.sdk.module_loading import import_string  # isort: skip
from prodsys.model.statuses import FINAL, TaskStatus  # isort: skip
from prodsys.triggers.panda_task import PandaTaskTrigger  # isort: skip

TASK = 364


def _trigger(**changed: Any) -> PandaTaskTrigger:
    arguments: dict[str, Any] = {
        "jedi_task_id": TASK,
        "task_name": "PROD2025-014.SIM",
        "deadline_ts": time.time() + 20,
        "conn_id": "panda_default",
        "poll_s": POLL_S,
        "window_s": 7200.0,
        "finality_gap_s": POLL_S,
        "resume_min_s": 0.0,
    }
    return PandaTaskTrigger(**(arguments | changed))


async def _events(run: Run, trigger: PandaTaskTrigger) -> list[dict[str, Any]]:
    return [event.payload async for event in run(trigger)]


@pytest.mark.parametrize("status", sorted(FINAL))
async def test_every_final_status_ends_the_wait_with_one_event(grid: Grid, start: Run, status: TaskStatus):
    grid.statuses[TASK] = status
    assert await _events(start, _trigger()) == [{"jedi_task_id": TASK, "status": status, "reason": ""}]


async def test_it_waits_while_the_task_runs_and_while_the_word_is_strange(grid: Grid, start: Run):
    grid.statuses[TASK] = "running"
    waiting = asyncio.create_task(_events(start, _trigger()))
    for word in ("running", "brand-new", "prepared"):
        grid.statuses[TASK] = word
        await asyncio.sleep(POLL_S * 4)
        assert not waiting.done()
    grid.statuses[TASK] = "done"
    assert (await waiting)[0]["status"] == "done"


async def test_a_status_is_final_when_it_was_read_so_twice(grid: Grid, start: Run):
    grid.statuses[TASK] = "finished"
    waiting = asyncio.create_task(_events(start, _trigger(finality_gap_s=POLL_S * 8)))
    await asyncio.sleep(POLL_S * 4)
    grid.statuses[TASK] = "running"  # somebody retried it in the monitor
    await asyncio.sleep(POLL_S * 10)
    assert not waiting.done()
    grid.statuses[TASK] = "done"
    assert (await waiting)[0]["status"] == "done"


async def test_the_first_sight_of_a_task_is_an_event_too(grid: Grid, start: Run):
    waiting = asyncio.create_task(_events(start, _trigger(until_final=False)))
    await asyncio.sleep(POLL_S * 6)
    grid.statuses[TASK] = "brand-new"
    await asyncio.sleep(POLL_S * 6)
    assert not waiting.done()
    grid.statuses[TASK] = "registered"
    assert (await waiting)[0]["status"] == "registered"


async def test_a_panda_that_is_away_is_waited_for(grid: Grid, start: Run):
    grid.statuses[TASK] = "running"
    waiting = asyncio.create_task(_events(start, _trigger()))
    await asyncio.sleep(POLL_S * 4)
    grid.down()
    await asyncio.sleep(POLL_S * 8)
    assert not waiting.done()
    grid.statuses[TASK] = "done"
    grid.up()
    assert (await waiting)[0]["status"] == "done"


@pytest.mark.parametrize("trouble", ["running", "down", "frozen"])
async def test_the_deadline_holds_whatever_panda_does(grid: Grid, start: Run, trouble: str):
    grid.statuses[TASK] = "running"
    if trouble == "down":
        grid.down()
    grid.slow_s = 6.0 if trouble == "frozen" else 0.0
    started = time.monotonic()
    events = await _events(start, _trigger(deadline_ts=time.time() + 0.5))
    assert time.monotonic() - started < 5  # before a frozen answer; a busy machine may be late
    assert [(event["jedi_task_id"], event["status"]) for event in events] == [(TASK, "deadline")]
    assert "PROD2025-014.SIM" in events[0]["reason"]


async def test_a_deadline_that_has_passed_still_looks_or_says_so(grid: Grid, start: Run):
    grid.statuses[TASK] = "running"
    events = await _events(start, _trigger(deadline_ts=time.time() - 1))
    assert events[0]["status"] == "deadline"


async def test_a_connection_that_cannot_be_read_is_no_failure(grid: Grid, start: Run):
    grid.statuses[TASK] = "done"
    waiting = asyncio.create_task(_events(start, _trigger(conn_id="panda_nowhere", deadline_ts=time.time() + 0.5)))
    assert (await waiting)[0]["status"] == "deadline"


async def test_a_thousand_waits_share_one_poll_loop(grid: Grid):
    from tests.airflow.triggers.conftest import _Subscribers

    run = _Subscribers().start
    tasks = range(1, 1001)
    grid.statuses.update(dict.fromkeys(tasks, "running"))
    started = time.monotonic()
    waits = [asyncio.create_task(_events(run, _trigger(jedi_task_id=one, poll_s=0.2))) for one in tasks]
    await asyncio.sleep(1.5)
    assert not any(wait.done() for wait in waits)
    grid.statuses.update(dict.fromkeys(tasks, "done"))
    events = await asyncio.gather(*waits)
    assert [event[0]["jedi_task_id"] for event in events] == list(tasks)
    assert grid.lists <= 2 + (time.monotonic() - started) / 0.2
    assert not [one for one in grid.replay.seen if one.path.endswith("get_status")]


async def test_a_wait_that_is_cancelled_leaves_the_others_alone(grid: Grid):
    from tests.airflow.triggers.conftest import _Subscribers

    run = _Subscribers().start
    grid.statuses.update({1: "running", 2: "running"})
    one, two = (asyncio.create_task(_events(run, _trigger(jedi_task_id=number))) for number in (1, 2))
    await asyncio.sleep(POLL_S * 4)
    one.cancel()
    await asyncio.wait({one})
    grid.statuses[2] = "done"
    assert (await two)[0]["status"] == "done"
    # the next wait starts a loop of its own: the old one ended with its last subscriber
    grid.statuses[1] = "failed"
    assert (await _events(run, _trigger(jedi_task_id=1)))[0]["status"] == "failed"


def test_arguments_go_out_as_they_came_in_and_hold_no_secret(grid: Grid):
    trigger = _trigger(until_final=False)
    classpath, arguments = trigger.serialize()
    again = import_string(classpath)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (classpath, arguments)
    assert again.shared_stream_key() == trigger.shared_stream_key()
    assert "s3cret" not in str(arguments)
    assert _trigger(poll_s=9.0).shared_stream_key() != trigger.shared_stream_key()
    assert _trigger(jedi_task_id=1).shared_stream_key() == trigger.shared_stream_key()


async def test_letting_go_aborts_nothing_and_minds_no_missing_ledger(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    uri = "postgresql://nobody:x@127.0.0.1:1/nowhere?connect_timeout=1"
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", uri)
    await asyncio.wait_for(_trigger().on_kill(), 25)
    assert "the wait for PROD2025-014 was let go" in capsys.readouterr().out
    assert grid.replay.seen == []


async def test_no_event_comes_before_airflow_has_heard_that_the_worker_let_go(grid: Grid, start: Run):
    grid.statuses[TASK] = TaskStatus.DONE
    began = time.monotonic()
    (event,) = await _events(start, _trigger(resume_min_s=1.0))
    assert event["status"] == "done"
    assert time.monotonic() - began >= 1.0
