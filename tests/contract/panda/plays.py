"""Shipped scenarios at small scale: their own rules, narrowed to tasks of one play and with shorter times.

A play is a function that submits tasks and checks that what the scenario's file says has become of them. Plays on tasks
run side by side under one file that holds the rules of all of them; plays on the server follow one after another.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from sandbox.panda.trouble.scenario_commands import SCENARIOS
from tests.contract.panda.outcome import FINAL, Outcome
from tests.contract.panda.recordings import submissions
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.target import Server

TIMES = ("from_s", "to_s", "for_s", "after_s", "wall_s")
SCALE = 0.05
STAMP = f"{int(time.time())}"


def label_of(name: str) -> str:
    """What marks the tasks of a play: only letters and digits."""
    return f"x{name.replace('-', '')}x"


def rules_of(name: str, scale: float = SCALE, **match: Any) -> list[dict[str, Any]]:
    """Rules of a shipped scenario, for the tasks of its play only; `match` replaces numbers, times are scaled."""
    rules = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text(encoding="utf-8"))["rules"]
    for rule in rules:
        found = rule.setdefault("match", {})
        found |= match
        if not set(rule) & {"answer", "rest_jedi", "offline", "unreadable", "aged"}:
            found["task"] = f"(?=.*{label_of(name)}){found.get('task', '')}"
    scaled: list[dict[str, Any]] = _scaled(rules, scale)
    return scaled


def _scaled(value: Any, scale: float) -> Any:
    if isinstance(value, dict):
        return {key: one * scale if key in TIMES else _scaled(one, scale) for key, one in value.items()}
    return [_scaled(one, scale) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Stage:
    """Where a play is played."""

    sandbox: Sandbox
    server: Server
    name: str

    def submit(self, kind: str = "SIM", seeds: int = 2, *, task: str = "", scenario: str = "", **params: Any) -> int:
        """Submit a map of the recordings under names of this play; its id.

        `kind` goes into the task's name (rules look at it), `task` replaces the whole name but the label.
        """
        body = self.map_of(0, kind, seeds, task)
        body["task_parameters"] |= params
        if scenario:
            body["task_parameters"] = self.recorded(scenario) | params
        return self.server.submit(body)

    def map_of(self, number: int, kind: str, seeds: int = 0, task: str = "") -> dict[str, Any]:
        """Map of the recorded chain: SIM (0) of some seeds, or RECO (1)."""
        text = json.dumps(submissions("pairing_shift")[number])
        text = text.replace("A3.lostp", f"{label_of(self.name)}{STAMP}{task}")
        body: dict[str, Any] = json.loads(text)
        params = body["task_parameters"]
        if seeds:
            params |= {"pfnList": [str(seed) for seed in range(1, seeds + 1)], "nFiles": seeds}
        params["taskName"] = params["taskName"].replace(".SIM.", f".{kind}.") if number == 0 else params["taskName"]
        return body

    def recorded(self, scenario: str) -> dict[str, Any]:
        """Parameters of the last recorded map of another scenario, under names of this play."""
        params: dict[str, Any] = submissions(scenario)[-1]["task_parameters"]
        old = params["taskName"].rsplit(".", 1)[-1]
        text = json.dumps(params).replace(f".{old}", f".{label_of(self.name)}{STAMP}")
        found: dict[str, Any] = json.loads(text)
        return found

    def end(self, task_id: int, until: set[str] | None = None) -> Outcome:
        """Everything about a task when it has ended."""
        return self.server.look(task_id, self.server.follow(task_id, until or FINAL))

    def chain(self, seeds: int) -> tuple[Outcome, Outcome]:
        """SIM of some seeds, then RECO on it."""
        sim = self.end(self.submit(seeds=seeds))
        body = self.map_of(1, "RECO")
        body["parent_tid"] = sim.task_id
        return sim, self.end(self.server.submit(body))

    def journal(self, task_id: int | None = None) -> list[str]:
        """What the journal says was done, oldest first."""
        query: Mapping[str, Any] = {"limit": 1000} | ({"task": task_id} if task_id is not None else {})
        rows = httpx.get(f"{self.server.url}/sandbox/scenario/journal", params=query, timeout=30).json()
        return [row["what"] for row in reversed(rows)]


Play = Callable[[Stage], None]


@dataclass(frozen=True)
class Playbill:
    """A play with the rules it needs."""

    play: Play
    rules: list[dict[str, Any]]


ON_TASKS: dict[str, Playbill] = {}
ON_SERVER: dict[str, Playbill] = {}


def on_tasks(name: str, *more: dict[str, Any], scale: float = SCALE, **match: Any) -> Callable[[Play], Play]:
    """Enter a play on tasks; `more` are rules beside the shipped ones."""

    def enter(play: Play) -> Play:
        label = f"(?=.*{label_of(name)})"
        also = [
            one | {"match": one.get("match", {}) | {"task": label}, "name": f"{name} {n}"} for n, one in enumerate(more)
        ]
        ON_TASKS[name] = Playbill(play, rules_of(name, scale, **match) + also)
        return play

    return enter


def on_server(name: str, scale: float = SCALE) -> Callable[[Play], Play]:
    """Enter a play on the server."""

    def enter(play: Play) -> Play:
        ON_SERVER[name] = Playbill(play, rules_of(name, scale))
        return play

    return enter
