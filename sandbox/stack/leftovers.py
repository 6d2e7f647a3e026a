"""Processes of a stack that nobody supervises any more, after a supervisor or a scheduler was killed."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

MARK = "SANDBOX_STACK_HOME"
PATIENCE_S = 10


def processes_of(home: Path) -> list[psutil.Process]:
    """Processes that the stack of this home started, by the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == str(home):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    return found


def end_leftovers(home: Path) -> int:
    """End what is left of a stack, first kindly; how many there were."""
    left = processes_of(home)
    for process in left:
        _quietly(process.terminate)
    for process in psutil.wait_procs(left, timeout=PATIENCE_S)[1]:
        _quietly(process.kill)
    psutil.wait_procs(left, timeout=PATIENCE_S)
    return len(left)


def _quietly(action: object) -> None:
    try:
        action()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return
