"""RucioRuleSensor on a real ledger, before a Rucio whose rules the test writes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.airflow.sensors.conftest import CONTEXT, REQUEST, Book
from tests.airflow.triggers.conftest import Grid
from tests.contract.client.replay import Answer

from airflow.sdk.exceptions import AirflowFailException, TaskDeferred  # isort: skip
from prodsys.sensors.rucio_rule import RucioRuleSensor  # isort: skip
from prodsys.triggers.rule import RucioRuleTrigger  # isort: skip

DEADLINE_TS = time.time() + 3600


@pytest.fixture
def sensor(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> RucioRuleSensor:
    connection = {"conn_type": "rucio", "host": grid.replay.url, "login": "production", "password": "s3cret"}
    connection["extra"] = {"issuer": grid.replay.url, "account": "production", "timeout_s": 0.5}  # type: ignore[assignment]
    monkeypatch.setenv("AIRFLOW_CONN_RUCIO_DEFAULT", json.dumps(connection))
    return RucioRuleSensor(task_id="wait_replicas", request_id=REQUEST)


def _say(grid: Grid, **rules: tuple[str, int]) -> None:
    """Let Rucio show these rules: id -> (state, locks that are OK)."""
    usual = grid.replay.find

    def find(method: str, path: str, query: Any, body: Any) -> Answer:
        rule_id = path.rpartition("/rules/")[2]
        if rule_id in rules:
            state, locks = rules[rule_id]
            shown: dict[str, Any] = {"id": rule_id, "state": state, "locks_ok_cnt": locks, "error": None}
            shown |= {"locks_replicating_cnt": 6 - locks, "locks_stuck_cnt": 0}
            return Answer(200, json.dumps(shown).encode(), content_type="application/json")
        if "/rules/" in path:
            return Answer(503, b"maintenance")
        return usual(method, path, query, body)

    grid.replay.find = find  # type: ignore[method-assign]


def _event(status: str, reason: str = "") -> dict[str, Any]:
    return {"request_id": REQUEST, "status": status, "reason": reason}


def _deferred(call: Any, *arguments: Any, **named: Any) -> RucioRuleTrigger:
    with pytest.raises(TaskDeferred) as caught:
        call(*arguments, **named)
    assert isinstance(caught.value.trigger, RucioRuleTrigger)
    return caught.value.trigger


def test_all_rules_of_the_request_are_waited_for(book: Book, sensor: RucioRuleSensor):
    book.add_rules("r1", "r2")
    trigger = _deferred(sensor.execute, CONTEXT)
    assert trigger.rules == {"r1": [2, 3], "r2": [2, 3]}
    assert trigger.deadline_ts == pytest.approx(time.time() + book.ledger.catalogue.profile.times.wait_max_s, abs=5)


def test_complete_rules_end_the_wait_and_are_noted(book: Book, grid: Grid, sensor: RucioRuleSensor):
    book.add_rules("r1", "r2")
    _say(grid, r1=("OK", 6), r2=("OK", 6))
    assert sensor.resume(CONTEXT, _event("complete"), deadline_ts=DEADLINE_TS) == 2
    assert (book.rule("r1").state, book.rule("r1").locks_ok) == ("OK", 6)


def test_an_event_is_not_believed_before_rucio_says_so_too(book: Book, grid: Grid, sensor: RucioRuleSensor):
    book.add_rules("r1", "r2")
    _say(grid, r1=("OK", 6), r2=("REPLICATING", 4))
    for event in (_event("complete"), None, {"request_id": "OTHER2025-001", "status": "gone", "reason": "x"}):
        trigger = _deferred(sensor.resume, CONTEXT, event, deadline_ts=DEADLINE_TS)
        assert trigger.deadline_ts == DEADLINE_TS


def test_a_rucio_that_is_away_is_no_failure(book: Book, grid: Grid, sensor: RucioRuleSensor):
    book.add_rules("r1")
    _say(grid)
    assert _deferred(sensor.resume, CONTEXT, _event("complete"), deadline_ts=DEADLINE_TS).rules == {"r1": [2, 3]}


def test_past_the_deadline_it_fails_unless_all_is_there(book: Book, grid: Grid, sensor: RucioRuleSensor):
    book.add_rules("r1")
    _say(grid, r1=("STUCK", 4))
    with pytest.raises(AirflowFailException, match="not complete in time; clear this airflow task"):
        sensor.resume(CONTEXT, _event("deadline", "1 of 1 rules are not complete in time"), deadline_ts=DEADLINE_TS)
    assert book.rule("r1").state == "STUCK"
    _say(grid, r1=("OK", 6))
    assert sensor.resume(CONTEXT, _event("deadline", "late"), deadline_ts=DEADLINE_TS) == 1


def test_a_request_without_rules_is_a_fault(book: Book, sensor: RucioRuleSensor):
    with pytest.raises(AirflowFailException, match="no replication rules"):
        sensor.execute(CONTEXT)
