"""Times as people and programs read them: in UTC, whatever the zone of the process or database they come from."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_minutes(moment: datetime) -> str:
    """The moment for people, ``2026-11-28 12:00 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def utc_iso(moment: datetime) -> str:
    """The moment for programs, in ISO 8601 with the offset ``+00:00``."""
    return moment.astimezone(UTC).isoformat()
