"""Recorded words and the target's: names, ids, users, queues; there and back. Pure."""

from __future__ import annotations

import copy
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

RECORDED_REQUEST, RECORDED_SITE, RECORDED_USER, RECORDED_VO = "PROD2025-016", "SPD_LOCAL", "prodmgr", "spd"

STAMP = f"T{time.time_ns() // 100_000_000:011d}"[: len(RECORDED_REQUEST)]
"""Names are spent for ever, so every session has its own; as long as what it replaces, since lengths matter."""

_LATER = re.compile(r"PROD2025-(2\d\d)(?!\d)")
_LATER_STAMP = f"U{STAMP[-8:]}"
"""Requests of later recordings, `PROD2025-205`: the same stamp with their own number, so that it comes back."""

_IN_TEXT = re.compile(r"(jediTaskID=|task ID |parent task |and task |for task |jedilog/)(\d+)")
_USER = r"(?:^|(?<=by )|(?<=\): )|(?<=\"))"
"""Before a user's name; elsewhere the same word is no user: `production` stands in paths and roles."""

_SERIAL = re.compile(r"(\.log)?\.\d{6}(\.[a-z][a-z.]*)?(?=[\s\"']|$)")
TASK_KEYS = frozenset({"jediTaskID", "reqID", "taskID", "jobsetID", "parent_tid", "task_id"})
"""Where a task's id stands; other numbers are no ids of tasks, even when they look like one."""


@dataclass
class Translation:
    """What stands at the target for what was recorded."""

    site: str
    user: str
    vo: str
    sites: tuple[str, ...] = ()
    users: dict[str, str] = field(default_factory=dict)
    tasks: dict[int, int] = field(default_factory=dict)

    def there(self, value: Any) -> Any:
        """Recorded value -> what is sent to the target."""
        if isinstance(value, dict):
            return {key: self._there_at(key, one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.there(one) for one in value]
        if isinstance(value, str):
            value = _LATER.sub(rf"{_LATER_STAMP}\1", value.replace(RECORDED_REQUEST, STAMP))
            return value.replace(RECORDED_SITE, self.site)
        return value

    def _there_at(self, key: str, value: Any) -> Any:
        if key in TASK_KEYS or key == "task_id_list":
            return self._ids_there(value)
        if key == "vo" and value == RECORDED_VO:
            return self.vo
        if key == "filters":
            return self._filters_there(value)
        return self.there(value)

    def _ids_there(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._ids_there(one) for one in value]
        if isinstance(value, str) and value.isdigit():
            return str(self.tasks.get(int(value), int(value)))
        return self.tasks.get(value, value) if isinstance(value, int) else value

    def _filters_there(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._filters_there(one) for one in value]
        try:
            filters = json.loads(value)
        except ValueError:
            return value
        if isinstance(filters, dict) and filters.get("userName") == RECORDED_USER:
            filters["userName"] = self.user
        return json.dumps(self.there(filters))

    def back(self, value: Any, key: str = "") -> Any:
        """Reply of the target -> the same in recorded words."""
        if isinstance(value, dict):
            return {self._key_back(name): self.back(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self.back(one, key) for one in value]
        if isinstance(value, str):
            return RECORDED_VO if key in ("vo", "VO") and value == self.vo else self._text_back(value)
        if key in TASK_KEYS and isinstance(value, int):
            return {there: here for here, there in self.tasks.items()}.get(value, value)
        return value

    def _key_back(self, name: str) -> str:
        """Lists of tasks are keyed by their ids."""
        known = {str(there): str(here) for here, there in self.tasks.items()}
        return known.get(name, name)

    def _text_back(self, text: str) -> str:
        text = re.sub(rf"{_LATER_STAMP}(\d{{3}})", r"PROD2025-\1", text.replace(STAMP, RECORDED_REQUEST))
        for site in (self.site, *self.sites):
            text = text.replace(site, RECORDED_SITE)
        for recorded, name in [(RECORDED_USER, self.user), *self.users.items()]:
            text = re.sub(rf"{_USER}{re.escape(name)}(?![\w-])", recorded, text) if name else text
        known = {there: here for here, there in self.tasks.items()}
        return _IN_TEXT.sub(lambda match: f"{match[1]}{known.get(int(match[2]), int(match[2]))}", text)


def renamed(value: Any, old: str, new: str) -> Any:
    """Return a copy with every `old` in any text replaced."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: renamed(one, old, new) for key, one in copy.deepcopy(value).items()}
    return [renamed(one, old, new) for one in value] if isinstance(value, list) else value


def without_serial(text: str) -> str:
    """Return a text with the serial numbers of file names out of it."""
    return _SERIAL.sub(r"\1.<serial>\2", text)
