"""Moments as calls write them: ISO 8601 with an offset, nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

LATEST = timedelta(days=366)


def _written_out(value: Any) -> Any:
    """A bare number would be taken for seconds since 1970: nobody means that."""
    if isinstance(value, datetime) or (isinstance(value, str) and "T" in value.upper()):
        return value
    raise ValueError("write a moment with its offset, such as 2026-12-01T08:00:00Z")


def _within_a_year(moment: datetime) -> datetime:
    if moment > datetime.now(UTC) + LATEST:
        raise ValueError("lies more than a year ahead")
    return moment


Timestamp = Annotated[AwareDatetime, BeforeValidator(_written_out, json_schema_input_type=datetime)]
SoonTimestamp = Annotated[Timestamp, AfterValidator(_within_a_year)]
