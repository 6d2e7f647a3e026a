"""Where every call to another service leaves a line; the ledger implements it (DESIGN decision 9)."""

from __future__ import annotations

import logging
from typing import Protocol

LOG = logging.getLogger(__name__)


class Journal(Protocol):
    """A journal of calls to outside services; never told a secret."""

    def record(self, *, service: str, call: str, target: str, duration_s: float, outcome: str, detail: str) -> None:
        """Keep one line."""


def note(
    journal: Journal | None, *, service: str, call: str, target: str, duration_s: float, outcome: str, detail: str
) -> None:
    """Keep one line, if there is a journal; a journal that fails never costs an answer that has come."""
    if journal is None:
        return
    try:
        journal.record(service=service, call=call, target=target, duration_s=duration_s, outcome=outcome, detail=detail)
    except Exception:  # whatever stands behind the journal, the answer must not be lost
        LOG.warning("no line in the journal for %s %s %s (%s)", service, call, target, outcome, exc_info=True)
