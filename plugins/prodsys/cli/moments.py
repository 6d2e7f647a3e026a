"""Moments as people write them on the command line: ISO 8601, UTC unless they bring an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import typer

_WRITTEN = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}\S*)?")  # bare numbers are other forms of ISO 8601
REMEDY = "write it as 2026-12-01, 2026-12-01T08:00:00 or 2026-12-01T08:00:00+03:00; without an offset it is UTC"


def parse_moment(written: str) -> datetime:
    """The moment in UTC; anything else is wrong usage."""
    if not _WRITTEN.fullmatch(written):
        raise typer.BadParameter(f"{written!r} is no moment: {REMEDY}")
    try:
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{written!r} is no moment, {error}: {REMEDY}") from error


def parse_future(written: str) -> datetime:
    """The same, and it has to come yet."""
    moment = parse_moment(written)
    if moment <= datetime.now(UTC):
        past = f"{written!r} has passed, it is {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        raise typer.BadParameter(f"{past}: take a later time, or leave --at out to start now")
    return moment
