"""What shall go wrong: a YAML file of rules, checked by its schema and read again whenever it changes.

```yaml
rules:
  - name: one bad seed
    match: {task: 'DEMO2025-014\\.SIM', seed: 40002}
    fail: {times: always, error: segmentation_fault}
  - match: {site: SPD_PNPI}
    during: {from_s: 60, to_s: 180}
    slow: {wall_s: 30}
  - match: {task: 'RECO', count: 8}
    fail: {times: always, error: {pilotErrorCode: 1305, transExitCode: 65, diag: "segmentation violation"}}
  - match: {task: 'SIM', file: '\\.P\\.'}
    lose_file: {times: 1}
  - match: {endpoint: 'task/get_status'}
    answer: {how: error, status: 502, times: 3}
```
"""

from __future__ import annotations

import hashlib
import logging
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prodsys.errors import FileUnreadable
from prodsys.intake.yaml_file import load_yaml_text
from sandbox.panda.trouble import deeds
from sandbox.panda.trouble.deeds import Deed
from sandbox.panda.trouble.match import During, Match
from sandbox.panda.trouble.scenario_faults import describe_faults

log = logging.getLogger(__name__)


class ScenarioInvalid(Exception):
    """A scenario file cannot be used; the text says where and why."""


class Rule(BaseModel):
    """One rule: whom it strikes, when, and one thing that happens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", max_length=200, description="what the journal calls it")
    match: Match = Match()
    during: During = During()
    fail: deeds.Fail | None = None
    no_reply: deeds.NoReply | None = None
    slow: deeds.Slow | None = None
    fewer_events: deeds.FewerEvents | None = None
    lose_file: deeds.Lose | None = None
    spoil_file: deeds.SpoilFile | None = None
    offline: deeds.Offline | None = None
    no_site: deeds.NoSite | None = None
    break_map: deeds.BreakMap | None = None
    exhaust: deeds.Exhaust | None = None
    throttle: deeds.Throttle | None = None
    rest_jedi: deeds.RestJedi | None = None
    act: deeds.Act | None = None
    lose_reply: deeds.Lose | None = None
    answer: deeds.Answer | None = None
    unreadable: deeds.Unreadable | None = None
    aged: deeds.Aged | None = None

    @model_validator(mode="after")
    def _one_deed(self) -> Rule:
        found = [name for name in DEEDS if getattr(self, name) is not None]
        if len(found) != 1:
            said = f", this one has {' and '.join(found)}" if found else ""
            raise ValueError(f"a rule has exactly one of {', '.join(DEEDS)}{said}")
        useless = sorted(self.match.model_fields_set - MATCHES[found[0]])
        if useless:
            may = f"only {', '.join(sorted(MATCHES[found[0]]))}" if MATCHES[found[0]] else "nothing"
            raise ValueError(f"{found[0]} cannot be matched by {', '.join(useless)}; {may}")
        if self.offline is not None and self.match.site is None:
            raise ValueError("offline needs the site it means: match: {site: ...}")
        return self

    @cached_property
    def key(self) -> str:
        """Name the journal knows this rule by."""
        return self.name or self.model_dump_json(exclude_none=True, exclude_defaults=True, exclude={"name"})

    @cached_property
    def deed(self) -> Deed:
        """The one thing that happens."""
        return next(found for found in (getattr(self, name) for name in DEEDS) if found is not None)


_JOBS = frozenset({"task", "seed", "slot", "node", "site", "scout", "share", "count", "draw"})
_FILES = (_JOBS | {"file"}) - {"scout"}
_TASKS = frozenset({"task"})
MATCHES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("fail", "no_reply", "slow", "fewer_events"), _JOBS),
    **dict.fromkeys(("lose_file", "spoil_file"), _FILES),
    **dict.fromkeys(("no_site", "break_map", "exhaust", "throttle", "act"), _TASKS),
    **dict.fromkeys(("lose_reply", "answer"), _TASKS | {"endpoint"}),
    **dict.fromkeys(("unreadable", "aged"), _TASKS | {"seed"}),
    "offline": frozenset({"site"}),
    "rest_jedi": frozenset(),
}
"""By what each deed may be matched: what a rule says is never ignored."""

DEEDS = tuple(name for name in Rule.model_fields if name not in ("name", "match", "during"))


class Scenario(BaseModel):
    """All rules of a scenario file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    rules: list[Rule] = []

    @model_validator(mode="after")
    def _names_once(self) -> Scenario:
        names = [rule.name for rule in self.rules if rule.name]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two rules are named {twice!r}; the journal counts by name, so give each its own")
        return self


def parse_scenario(text: str, place: str) -> Scenario:
    """Scenario of a YAML text; `place` names it in errors.

    Raises
    ------
    ScenarioInvalid
        It is no YAML, or something in it is not known to the schema.
    """
    try:
        content = load_yaml_text(text, place)
    except FileUnreadable as error:
        raise ScenarioInvalid(f"scenario {place} cannot be read: {error}") from error
    try:
        return Scenario.model_validate(content or {})
    except ValidationError as error:
        raise ScenarioInvalid(f"scenario {place}: {describe_faults(error, content, Scenario)}") from error


def read_scenario(path: Path) -> Scenario:
    """Scenario of a file.

    Raises
    ------
    ScenarioInvalid
        The file cannot be read, or something in it is not known to the schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioInvalid(f"scenario {path} cannot be read: {error}") from error
    return parse_scenario(text, str(path))


class ScenarioFile:
    """A scenario that follows its file while the process runs.

    A file that becomes unusable changes nothing: the last good one stays in force, `trouble` says why.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._scenario = Scenario()
        self._identity = ""
        self.trouble = ""

    @property
    def current(self) -> Scenario:
        """Return the rules as the file says now; a file that is missing means no rules."""
        self._follow()
        return self._scenario

    @property
    def identity(self) -> str:
        """Mark of what is in force: the same file written again has another one."""
        self._follow()
        return self._identity

    def _follow(self) -> None:
        try:
            stat = self._path.stat() if self._path else None
        except OSError:
            stat = None
        if self._path is None or stat is None:
            self._stamp, self._scenario, self._identity, self.trouble = None, Scenario(), "", ""
            return
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._scenario = read_scenario(self._path)
        except ScenarioInvalid as error:
            self.trouble = str(error)
            log.error("%s; the last good scenario stays in force", error)
            return
        digest = hashlib.sha256(self._scenario.model_dump_json().encode()).hexdigest()[:16]
        self._identity, self.trouble = f"{digest}@{stat.st_mtime_ns}", ""


def within(times: int, struck: int) -> bool:
    """Whether a rule that has struck `struck` times may strike again."""
    return struck < times


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema()}
