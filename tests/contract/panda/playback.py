"""A recording that answers as a server: what it checks is the replayer itself, its translation and its normal forms."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.contract.panda.replayer import Replay, Replayed, Tokens
from tests.contract.panda.script import Call, Script, Step
from tests.contract.panda.target import Server
from tests.contract.panda.translation import Translation

SHIFT = 7_000_000
"""Added to every id of a task, so that an id that is not translated shows."""

_KINDS = (
    "valid production", "valid production of user1",
    "valid production of user2", "no role", "not in group", "expired", "wrong audience",
)  # fmt: skip


class PlayedBack(Replay):
    """A replay whose server is the recording."""

    def __init__(self, script: Script, calls: list[Call]) -> None:
        words = Translation(site="ELSEWHERE", user="somebody", vo="vo9", users={"user1": "nobody"})
        tokens = Tokens({f"Bearer <{kind}>": kind for kind in _KINDS}, "vo9.production", "vo9")
        server = Server("http://127.0.0.1:9", "none", "vo9.production", poll_s=0)
        super().__init__(script, calls, server, words, tokens, lambda recorded: (recorded + SHIFT, []))
        self._at: Step | None = None

    def _poll(self, recorded: int) -> tuple[int, list[str]]:
        wanted = self.script.statuses[recorded]
        seen = self.result.seen[recorded]
        seen[:] = wanted
        return len(wanted) - 1, seen

    def _is_known_too_early(self, step: Step) -> bool:
        return False

    def _jobs(self, step: Step, wanted: list[int]) -> list[int]:
        return wanted

    def _wait_for_files(self, step: Step) -> None:
        """All files there will be are there."""

    def _send(self, step: Step, token: str | None, origin: str | None) -> httpx.Response:
        body = step.call["response_body"]
        if step.made is not None:
            self.words.tasks[step.made] = step.made + SHIFT
        text = body if isinstance(body, str) else json.dumps(self._at_target(body))
        request = httpx.Request("GET", "http://127.0.0.1:9", headers={"Authorization": f"{token}", "Origin": "x"})
        headers = {"content-type": step.call["response_content_type"]}
        return httpx.Response(step.call["status"], headers=headers, content=text.encode(), request=request)

    def _at_target(self, value: Any, key: str = "") -> Any:
        """Reply as a server with other names and numbers would give it."""
        if isinstance(value, dict):
            return {name: self._at_target(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self._at_target(one, key) for one in value]
        there = self.words.there({key: value})[key] if key else value
        if isinstance(there, str):
            for task in self.words.tasks:
                for head in ("jediTaskID=", "task ID ", "parent task ", "jedilog/"):
                    there = there.replace(f"{head}{task} ", f"{head}{task + SHIFT} ")
                    there = f"{there}\n".replace(f"{head}{task}\n", f"{head}{task + SHIFT}\n")[:-1]
        return there

    def _moment_is_over(self, step: Step) -> bool:
        return False

    def _look(self) -> None:
        """There is nothing to look at."""


def play_back(script: Script, calls: list[Call]) -> Replayed:
    """Return what came of a script at its own recording: no difference, or the replayer is wrong."""
    return PlayedBack(script, calls).run()
