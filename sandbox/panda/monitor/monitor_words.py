"""Numbers as people read them on the monitor's pages."""

from __future__ import annotations

from datetime import datetime, timedelta

_STEP = 1000


def in_bytes(number: int | None) -> str:
    """Bytes in the largest unit that leaves a digit before the point: ``1.84 GB``."""
    value, unit = float(number or 0), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < _STEP:
            break
        value, unit = value / _STEP, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.2f} {unit}"


def duration(start: datetime | None, end: datetime | None) -> str:
    """Time between two moments as ``h:mm:ss``; empty when one of them is not known."""
    if start is None or end is None:
        return ""
    return str(timedelta(seconds=max(round((end - start).total_seconds()), 0)))
