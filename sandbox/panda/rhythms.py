"""How often the sandbox's JEDI does what: the rhythms of the recorded server, divided by the speed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from prodsys.intake.yaml_file import load_yaml
from prodsys.model.written_numbers import check_number_field


class Rhythms(BaseModel):
    """Periods and delays [s]; the defaults are those of the recordings (``contract/panda/README.md``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    _numbers = field_validator("*", mode="before")(check_number_field)

    unknown_s: float = Field(default=2.0, description="least time a submitted task stays unknown")
    refine_s: float = Field(default=5.0, description="period of the refiner")
    feed_s: float = Field(default=5.0, description="period of the contents feeder (input files of a task)")
    generate_s: float = Field(default=5.0, description="period of the job generator")
    command_s: float = Field(default=5.0, description="period at which commands are executed")
    step_s: float = Field(default=1.0, description="time between the two steps of a command (`aborting`, `toretry`)")
    abort_s: float = Field(default=300.0, description="how long a killed task with running jobs stays `aborting`")
    finish_s: float = Field(default=60.0, description="period of the post-processor")
    pending_s: float = Field(default=90.0, description="after which a pending task is looked at again")
    parent_s: float = Field(default=600.0, description="after which a task that waits for its parent is looked at")
    soft_finish_s: float = Field(default=300.0, description="how long a soft finish stays `finishing`")
    activate_s: float = Field(default=1.0, description="time from one early job status to the next")
    job_s: float = Field(default=5.0, description="least wall time of a job")
    add_s: float = Field(default=5.0, description="period of the adder")
    heartbeat_s: float = Field(default=120.0, description="a job without a sign of life is lost after this")


def read_rhythms(speed: float, path: Path | None = None) -> Rhythms:
    """Rhythms of a server that is `speed` times as fast as the recorded one."""
    given = load_yaml(path, if_empty={}) if path else {}
    base = Rhythms.model_validate(given or {})
    return Rhythms(**{name: value / speed for name, value in base.model_dump().items()})


def utc_now() -> datetime:
    """Return the time as PanDA stores it: UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
