"""What the suite submitted is ended with the session."""

from __future__ import annotations

import contextlib
import time

import httpx

from tests.contract.panda.outcome import FINAL
from tests.contract.panda.target import Server
from tests.contract.panda.targets import Target

WAIT_S = {"live": 60.0, "sandbox": 5.0}
"""How long killed tasks are waited for [s]."""


def clean_up(target: Target) -> str:
    """Kill every task of this session that has not ended; return a sentence that tells how many were left."""
    tasks = dict(target.server.submitted.items())
    left = {task_id: owner for task_id, owner in tasks.items() if not _ended(owner, task_id)}
    killed, end = len(left), time.monotonic() + WAIT_S[target.name]
    asked: dict[int, float] = {}
    while left and time.monotonic() < end:
        for task_id, owner in list(left.items()):
            if _ended(owner, task_id):
                del left[task_id]
            elif time.monotonic() - asked.get(task_id, 0) > 15:  # a kill sent before JEDI knows the task is lost
                asked[task_id] = time.monotonic()
                with contextlib.suppress(httpx.HTTPError, AssertionError):
                    owner.post("task/kill", task_id=task_id)
        time.sleep(target.server.poll_s)
    said = f"{len(tasks)} tasks submitted, {killed} were still alive and killed"
    return f"{said}, not yet ended: {sorted(left)}" if left else f"{said}, all have ended"


def _ended(owner: Server, task_id: int) -> bool:
    try:
        return owner.status(task_id) in FINAL
    except (httpx.HTTPError, AssertionError):
        return False
