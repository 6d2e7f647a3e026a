"""What this room asks of a journal of calls; the ledger has one."""

from __future__ import annotations

from typing import Protocol


class Journal(Protocol):
    """Takes one line for every call to another service."""

    def record(self, *, service: str, call: str, target: str, duration_s: float, outcome: str, detail: str) -> None:
        """Keep one line: what was asked of whom, about what, how long it took [s], how it ended."""
