"""All recorded scenarios played at one target, their scripts side by side."""

from __future__ import annotations

import functools
from concurrent.futures import Future

from tests.contract.panda import recordings
from tests.contract.panda.playback import play_back
from tests.contract.panda.replayer import Replay, Replayed
from tests.contract.panda.script import Script, read_scripts
from tests.contract.panda.side_by_side import Running
from tests.contract.panda.targets import Target

LATER = (
    "seed_list",
    "random_seed_pool",
    "random_seed_pool_shift",
    "twins",
    "pairing_shift",
    "kill_slow",
    "retry_after_done",
)
"""Recorded later, on a server that counted its tasks from 10 again: never lenders of tasks."""

BORROWERS = ("wrong_state_commands", "listing")
"""They speak of tasks of other scenarios, so they come after them."""

AFTER = {"listing": ("chain_done",)}
"""Scenarios that need others without naming their ids."""

MEDDLED = ("empty_reads", "retry_after_done")
"""Somebody did something to the server between the calls: these are played by other tests."""

STOCK = ("stock_refiner", "stock_ddm")
"""Recorded on servers with other plug-ins: played at sandboxes of their own (`test_stock_replay`)."""

SCENARIOS = (
    *(one for one in recordings.scenarios() if one not in (*BORROWERS, *MEDDLED, *STOCK, "unknown_ids")),
    *BORROWERS,
)
"""Those that are played; ``unknown_ids`` has no tasks, each of its calls is a test (`test_probes`)."""


@functools.cache
def scripts_of(scenario: str) -> list[Script]:
    """Scripts of a scenario."""
    return read_scripts(scenario, recordings.calls(scenario))


@functools.cache
def lender_of(recorded: int) -> str | None:
    """Return the scenario that made a recorded task."""
    for scenario in SCENARIOS:
        if scenario in LATER:
            continue
        if any(step.made == recorded for script in scripts_of(scenario) for step in script.steps):
            return scenario
    return None


class Playing:
    """Scripts in their threads."""

    def __init__(self, target: Target, running: Running) -> None:
        self.target, self._running = target, running
        self._futures: dict[str, list[Future[Replayed]]] = {}

    def start(self, scenario: str) -> None:
        """Start a scenario's scripts, and those of the scenarios it borrows tasks from."""
        if scenario in self._futures or not self.target.can_show(scenario):
            return
        scripts = scripts_of(scenario)
        for recorded in sorted({one for script in scripts for one in script.foreign}):
            self.start(lender_of(recorded) or scenario)
        for other in AFTER.get(scenario, ()):
            self.start(other)
        self._futures[scenario] = [
            self._running.start(f"scenario {scenario} {index}", functools.partial(self._play, script))
            for index, script in enumerate(scripts)
        ]

    def _play(self, script: Script) -> Replayed:
        for other in AFTER.get(script.scenario, ()):
            self.result(other)
        server = self.target.server.another()
        words = self.target.translation(script.scenario)
        calls, target = recordings.calls(script.scenario), self.target
        return Replay(script, calls, server, words, target.tokens, self._borrow, target.live).run()

    def _borrow(self, recorded: int) -> tuple[int, list[str]] | None:
        """Task at the target that stands for a recorded one of another scenario, once that scenario is over."""
        lender = lender_of(recorded)
        if lender is None or not self.target.can_show(lender):
            return None
        for result in self.result(lender):
            if recorded in result.tasks:
                return result.tasks[recorded], result.seen[recorded]
        return None

    def result(self, scenario: str) -> list[Replayed]:
        """Wait for a scenario's scripts."""
        self.start(scenario)
        return [
            self._running.result_of(f"scenario {scenario} {index}") for index in range(len(self._futures[scenario]))
        ]

    @staticmethod
    def of_recording(scenario: str) -> list[Replayed]:
        """Return the scripts played at the recording itself: names and ids translated there and back."""
        return [play_back(script, recordings.calls(scenario)) for script in scripts_of(scenario)]
