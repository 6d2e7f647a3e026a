"""What is up, where, since when, and with how much memory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sandbox.stack.programs import Program
from sandbox.stack.supervision import ProcessState, log_tail

GOOD = "healthy"


@dataclass(frozen=True)
class ProgramStatus:
    """One program as it is now.

    ``state`` is ``healthy``, ``unhealthy`` (runs, but the check says no), ``starting``, ``stopped`` or ``failed``.
    """

    name: str
    state: str
    reason: str
    address: str
    pid: int | None
    since: float | None
    memory_bytes: int
    log: Path

    def as_row(self) -> dict[str, Any]:
        """Return the status as JSON prints it; times in seconds since 1970."""
        return {**self.__dict__, "log": str(self.log)}


@dataclass(frozen=True)
class StackStatus:
    """A whole stack as it is now."""

    home: Path
    programs: Sequence[ProgramStatus]
    left_over: Sequence[int] = ()  # processes that nobody supervises

    @property
    def is_up(self) -> bool:
        """Whether anything of it runs."""
        return any(program.pid for program in self.programs)

    @property
    def is_healthy(self) -> bool:
        """Whether all of it works."""
        return bool(self.programs) and all(program.state == GOOD for program in self.programs)

    def as_row(self) -> dict[str, Any]:
        """Return the status as JSON prints it."""
        programs = [program.as_row() for program in self.programs]
        memory = sum(program.memory_bytes for program in self.programs)
        state = {"up": self.is_up, "healthy": self.is_healthy, "memory_bytes": memory}
        return {"home": str(self.home), **state, "programs": programs, "left_over": list(self.left_over)}


def look_at(programs: Iterable[Program], states: dict[str, ProcessState], logs: Path) -> list[ProgramStatus]:
    """Status of every program; all are asked at the same time."""
    chosen = list(programs)
    with ThreadPoolExecutor(max_workers=max(len(chosen), 1)) as pool:
        return list(pool.map(lambda one: _look(one, states.get(one.name), logs / f"{one.name}.log"), chosen))


def _look(program: Program, known: ProcessState | None, log: Path) -> ProgramStatus:
    state, reason = _judge(program, known, log)
    pid, since = (known.pid, known.since) if known else (None, None)
    memory = memory_of(pid) if pid else 0
    return ProgramStatus(program.name, state, reason, program.address, pid, since, memory, log)


def _judge(program: Program, known: ProcessState | None, log: Path) -> tuple[str, str]:
    if known is None or known.word == "stopped":
        return "stopped", ""
    if known.word in ("fatal", "exited", "backoff"):
        return "failed", last_words(log) or known.reason
    trouble = program.check()
    if trouble is None:
        return GOOD, ""
    is_young = known.since is not None and time.time() - known.since < program.start_timeout_s
    return ("starting" if is_young else "unhealthy"), trouble


def last_words(log: Path) -> str:
    """Last line of a log that says something."""
    lines = [line.strip() for line in log_tail(log).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def memory_of(pid: int) -> int:
    """Memory of a process and all below it [bytes]: its own share of what is shared (PSS)."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_pss(process) for process in family)


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, OSError):
        return 0
