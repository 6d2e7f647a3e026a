"""How long a session of the suite may take: one clock that bounds every wait."""

from __future__ import annotations

import time

LIVE_S = 18 * 60.0
"""A live server gets this long from the session's start [s]; cleaning up and reporting take the rest of 20 minutes."""

SANDBOX_S = 900.0
"""The sandbox at speed 20 needs two to four minutes; a busy machine gets this long [s]."""


class TooSlow(Exception):
    """The server did not get there before the session's end; the text says where it stood."""


class Deadline:
    """A point in time that all waits of a session share."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until the end, 0 when it has passed."""
        return max(self._end - time.monotonic(), 0.0)

    def check(self, waited_for: str) -> None:
        """Raise `TooSlow` when the time is over."""
        if self.left_s <= 0:
            raise TooSlow(f"the session's time is over while waiting for {waited_for}")
