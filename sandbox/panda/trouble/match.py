"""Whom a rule of a scenario means, and when."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from prodsys.model.written_numbers import check_number_field

Numbers = int | list[int] | None


def _holds(wanted: int | list[int] | None, value: int | None) -> bool:
    return wanted is None or (value is not None and value in (wanted if isinstance(wanted, list) else [wanted]))


class Match(BaseModel):
    """Whom a rule strikes; what is not given matches everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    _numbers = field_validator("*", mode="before")(check_number_field)

    task: str = Field(default="", description="regular expression searched in the task name")
    seed: Numbers = Field(default=None, description="seed, or seeds, of the job")
    slot: Numbers = Field(default=None, description="input slot, or slots, of the job within its task, from 0")
    node: Numbers = Field(default=None, description="worker node slot, or slots, of the site, from 1")
    site: str | None = Field(default=None, description="queue the job runs at")
    scout: bool | None = Field(default=None, description="only scout jobs (true), or only others (false)")
    share: float | None = Field(
        default=None, gt=0, le=1, description="this part of the slots, always the same ones (by hash)"
    )
    count: int | None = Field(
        default=None, gt=0, description="exactly so many jobs of each task, always the same ones (by hash)"
    )
    draw: int = Field(default=0, description="another number draws other slots for share and count")
    file: str = Field(default="", description="regular expression searched in a file name (lose_file, spoil_file)")
    endpoint: str = Field(default="", description="regular expression searched in the path after /api/v1/ (answer)")

    @field_validator("task", "file", "endpoint")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _share_or_count(self) -> Match:
        if self.share is not None and self.count is not None:
            raise ValueError("share and count exclude each other")
        return self

    def hits_task(self, task_name: str) -> bool:
        """Whether the task is meant."""
        return bool(re.search(self.task, task_name))

    def hits_endpoint(self, path: str) -> bool:
        """Whether a call of ``module/method`` is meant."""
        return bool(re.search(self.endpoint, path))

    def hits_job(self, task_name: str, seed: int | None, site: str) -> bool:
        """Whether a job of this task, seed and queue is meant, whatever else the rule says."""
        return self.hits_task(task_name) and self.hits_work(seed, site)

    def hits_work(self, seed: int | None, site: str) -> bool:
        """Whether this seed at this queue is meant, of whatever task."""
        return _holds(self.seed, seed) and (self.site is None or self.site == site)

    def hits_place(self, slot: int | None, node: int | None, scout: bool) -> bool:
        """Whether a job of this input slot on this worker node slot is meant."""
        return _holds(self.slot, slot) and _holds(self.node, node) and self.scout in (None, scout)


class During(BaseModel):
    """When a rule is in force: seconds since its scenario was put in force, or moments."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    _numbers = field_validator("*", mode="before")(check_number_field)

    from_s: float = Field(default=0, ge=0, description="begin [s], counted from when the scenario was put in force")
    to_s: float | None = Field(default=None, gt=0, description="end [s], counted likewise")
    from_time: datetime | None = Field(default=None, description="begin, ISO 8601; without a zone UTC")
    to_time: datetime | None = Field(default=None, description="end, ISO 8601; without a zone UTC")

    @field_validator("from_time", "to_time")
    @classmethod
    def _plain_utc(cls, value: datetime | None) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value and value.tzinfo else value

    @model_validator(mode="after")
    def _in_order(self) -> During:
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"to_s {self.to_s} is not after from_s {self.from_s}")
        if self.from_time and self.to_time and self.to_time <= self.from_time:
            raise ValueError(f"to_time {self.to_time} is not after from_time {self.from_time}")
        return self

    def holds(self, now: datetime, since: datetime) -> bool:
        """Whether it is the time, for a scenario in force since `since`; both UTC without a zone."""
        age_s = max((now - since).total_seconds(), 0.0)
        return (
            age_s >= self.from_s
            and (self.to_s is None or age_s < self.to_s)
            and (self.from_time is None or now >= self.from_time)
            and (self.to_time is None or now < self.to_time)
        )
