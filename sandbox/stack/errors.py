"""What can go wrong while the sandbox is started or stopped."""

from __future__ import annotations

from pathlib import Path

from prodsys.errors import ProductionError


class StackError(ProductionError):
    """The sandbox cannot do what it was asked to do; the text says why and what helps."""


class PartFailed(StackError):
    """One part of the sandbox failed; its log tells the rest."""

    def __init__(self, part: str, reason: str, log: Path | None = None) -> None:
        self.part, self.reason, self.log = part, reason, log
        super().__init__(f"{part} failed: {reason}" + (f" (log: {log})" if log else ""))
