"""What differs between two requests, field by field. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prodsys.model.request import RequestSpec


@dataclass(frozen=True)
class FieldChange:
    """One field of a request: what it was, and what it is now."""

    field: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.before)} -> {_shown(self.now)}"


def changes_between(before: RequestSpec, now: RequestSpec) -> tuple[FieldChange, ...]:
    """Every field that differs, in the order in which requests are written."""
    old, new = before.model_dump(mode="json"), now.model_dump(mode="json")
    fields = [name for name in type(now).model_fields if old.get(name) != new.get(name)]
    return tuple(FieldChange(name, old.get(name), new.get(name)) for name in fields)


def _shown(value: Any) -> str:
    return "none" if value in (None, "", []) else str(value)
