"""What shall go wrong: a YAML file of rules, checked by its schema and read again whenever it changes.

```yaml
rules:
  - name: one bad seed
    match: {task: 'DEMO2025-014\\.SIM', seed: 40002}
    fail: {times: always, error: {pilotErrorCode: 1305, transExitCode: 65, diag: "segmentation violation"}}
  - match: {site: SPD_PNPI}
    slow: {wall_s: 30}
  - match: {task: 'SIM'}
    lose_reply: {times: 1}
  - match: {task: 'SIM', file: '\\.P\\.'}
    lose_file: {times: 1}
```
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Times = Literal["always"] | int


class ScenarioInvalid(Exception):
    """A scenario file cannot be used; the text says where and why."""


class Match(BaseModel):
    """Whom a rule strikes; what is not given matches everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(default="", description="regular expression searched in the task name")
    seed: int | list[int] | None = Field(default=None, description="seed, or seeds, of the job")
    site: str | None = Field(default=None, description="queue the job runs at")
    file: str = Field(default="", description="regular expression searched in a file name (lose_file)")

    @field_validator("task", "file")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value

    def hits_task(self, task_name: str) -> bool:
        """Whether the task is meant."""
        return bool(re.search(self.task, task_name))

    def hits_job(self, task_name: str, seed: int | None, site: str) -> bool:
        """Whether a job of this task, seed and queue is meant."""
        seeds = self.seed if isinstance(self.seed, list) else [self.seed]
        return (
            self.hits_task(task_name)
            and (self.seed is None or seed in seeds)
            and (self.site is None or self.site == site)
        )


class JobError(BaseModel):
    """How a job dies, in PanDA's own codes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pilotErrorCode: int = Field(default=1305, ge=0)
    transExitCode: int = Field(default=65, ge=0, le=255)
    diag: str = "failure by scenario"


class Fail(BaseModel):
    """The job fails, for its first attempts or always."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: Times = 1
    error: JobError = JobError()


class Slow(BaseModel):
    """The job takes its time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall_s: float = Field(gt=0, le=3600, description="least wall time of the job [s], not divided by the speed")


class Lose(BaseModel):
    """Something gets lost, once or more often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: Times = 1


class Rule(BaseModel):
    """One rule: whom it strikes and one thing that happens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    match: Match = Match()
    fail: Fail | None = None
    slow: Slow | None = None
    lose_reply: Lose | None = None
    lose_file: Lose | None = None

    @model_validator(mode="after")
    def _one_deed(self) -> Rule:
        if sum(deed is not None for deed in (self.fail, self.slow, self.lose_reply, self.lose_file)) != 1:
            raise ValueError("a rule has exactly one of fail, slow, lose_reply, lose_file")
        return self

    @property
    def key(self) -> str:
        """Name the journal knows this rule by."""
        return self.name or self.model_dump_json(exclude_none=True, exclude={"name"})


class Scenario(BaseModel):
    """All rules of a scenario file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    rules: list[Rule] = []


def read_scenario(path: Path) -> Scenario:
    """Scenario of a file.

    Raises
    ------
    ScenarioInvalid
        The file cannot be read, or something in it is not known to the schema.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioInvalid(f"scenario {path} cannot be read: {error}") from error
    try:
        return Scenario.model_validate(content or {})
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ScenarioInvalid(f"scenario {path}: {where}: {fault['msg']}") from error


class ScenarioFile:
    """A scenario that follows its file while the process runs."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._scenario = Scenario()

    @property
    def current(self) -> Scenario:
        """Return the rules as the file says now; a file that is missing means no rules.

        Raises
        ------
        ScenarioInvalid
            The file has become unreadable.
        """
        if self._path is None or not self._path.exists():
            self._stamp, self._scenario = None, Scenario()
            return self._scenario
        stat = self._path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            self._scenario = read_scenario(self._path)
            self._stamp = stamp
        return self._scenario


def within(times: Times, struck: int) -> bool:
    """Whether a rule that has struck `struck` times may strike again."""
    return times == "always" or struck < int(times)
