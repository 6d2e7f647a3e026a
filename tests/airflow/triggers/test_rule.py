"""RucioRuleTrigger by both ways Airflow may run it; what Rucio says is written by the test."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.airflow.triggers.conftest import POLL_S, Run, _Subscribers

from airflow.sdk.module_loading import import_string  # isort: skip
from prodsys.ddm.facts import RuleInfo  # isort: skip
from prodsys.errors import RucioUnavailable  # isort: skip
from prodsys.model.statuses import RuleState  # isort: skip
from prodsys.triggers.rule import RucioRuleTrigger  # isort: skip

RULES = {"r1": [2, 3], "r2": [2, 3]}


@dataclass
class Rucio:
    """Rules as the test wants them: (state, locks that are OK)."""

    rules: dict[str, tuple[RuleState, int]] = field(default_factory=dict)
    down: bool = False
    asked: list[int] = field(default_factory=list)

    def rule_states(self, rule_ids: Collection[str]) -> Mapping[str, RuleInfo]:
        self.asked.append(len(rule_ids))
        if self.down:
            raise RucioUnavailable("maintenance")
        return {one: RuleInfo(one, *self.rules[one]) for one in rule_ids if one in self.rules}


class WrittenTrigger(RucioRuleTrigger):
    """The trigger before a Rucio that the test writes."""

    rucio: Rucio

    @classmethod
    def connect(cls, arguments: Mapping[str, Any]) -> Any:
        return cls.rucio.rule_states


@pytest.fixture
def rucio() -> Rucio:
    WrittenTrigger.rucio = Rucio(dict.fromkeys(RULES, (RuleState.REPLICATING, 3)))
    return WrittenTrigger.rucio


def _trigger(**changed: Any) -> WrittenTrigger:
    arguments: dict[str, Any] = {
        "request_id": "PROD2025-016",
        "rules": RULES,
        "deadline_ts": time.time() + 20,
        "conn_id": "rucio_default",
        "poll_s": POLL_S,
        "resume_min_s": 0.0,
    }
    return WrittenTrigger(**(arguments | changed))


async def _events(run: Run, trigger: WrittenTrigger) -> list[dict[str, Any]]:
    return [event.payload async for event in run(trigger)]


async def test_it_ends_when_every_file_of_every_rule_has_its_copies(rucio: Rucio, start: Run):
    waiting = asyncio.create_task(_events(start, _trigger()))
    steps = [
        {"r1": (RuleState.OK, 6)},
        {"r2": (RuleState.STUCK, 4)},  # Rucio's to repair
        {"r2": (RuleState.OK, 4)},  # OK of a dataset that has grown since: not all locks
    ]
    for step in steps:
        rucio.rules |= step
        await asyncio.sleep(POLL_S * 5)
        assert not waiting.done()
    rucio.down = True
    await asyncio.sleep(POLL_S * 5)
    assert not waiting.done()
    rucio.down, rucio.rules["r2"] = False, (RuleState.OK, 6)
    assert await waiting == [{"request_id": "PROD2025-016", "status": "complete", "reason": ""}]


async def test_a_rule_on_an_empty_dataset_is_never_complete(rucio: Rucio, start: Run):
    rucio.rules["r1"] = (RuleState.OK, 0)
    events = await _events(start, _trigger(rules={"r1": [2, 0]}, deadline_ts=time.time() + 0.4))
    assert events[0]["status"] == "deadline"
    assert "1 of 1 rules" in events[0]["reason"]


async def test_a_rule_that_is_gone_ends_the_wait(rucio: Rucio, start: Run):
    rucio.rules["r2"] = (RuleState.GONE, 0)
    events = await _events(start, _trigger())
    assert (events[0]["status"], "r2" in events[0]["reason"]) == ("gone", True)


async def test_many_requests_share_one_question(rucio: Rucio):
    run = _Subscribers().start
    wanted = {f"r{number}": [2, 3] for number in range(200)}
    rucio.rules = dict.fromkeys(wanted, (RuleState.REPLICATING, 0))
    waits = [
        asyncio.create_task(_events(run, _trigger(request_id=one, rules={one: [2, 3]}, poll_s=0.1))) for one in wanted
    ]
    await asyncio.sleep(0.6)
    rucio.rules = dict.fromkeys(wanted, (RuleState.OK, 6))
    events = await asyncio.gather(*waits)
    assert [event[0]["request_id"] for event in events] == list(wanted)
    assert max(rucio.asked) == 200
    assert len(rucio.asked) < 20


def test_arguments_go_out_as_they_came_in():
    trigger = RucioRuleTrigger(request_id="R", rules=RULES, deadline_ts=1.0, conn_id="c", poll_s=2.0, resume_min_s=3.0)
    classpath, arguments = trigger.serialize()
    again = import_string(classpath)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (classpath, arguments)
    assert again.shared_stream_key() == trigger.shared_stream_key()
