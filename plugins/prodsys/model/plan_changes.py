"""What differs between two plans of a request, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KEYS = ("kind", "number", "bunch", "data_type")  # of an entry of a list, by which it is found in the other plan
FOLLOWS = frozenset({"spec_digest", "configuration_digest"})  # told by the fields they are made of
TWICE = frozenset({"seeds", "events", "campaign", "priority", "tag"})  # stand in `spec` too


@dataclass(frozen=True)
class Change:
    """One field; None: it was not there, or is not any more."""

    field: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.before)} -> {_shown(self.after)}"


def plan_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Fields of two plans, as JSON, that differ, in the order of the newer plan."""
    old, new = dict(_flat(before)), dict(_flat(after))
    names = [*new, *(name for name in old if name not in new)]
    return tuple(
        Change(name, old.get(name), new.get(name))
        for name in names
        if old.get(name) != new.get(name) and name not in FOLLOWS | TWICE
    )


def _flat(body: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(body, Mapping):
        for key, value in body.items():
            yield from _flat(value, f"{place}.{key}" if place else str(key))
    elif isinstance(body, Sequence) and not isinstance(body, str) and any(isinstance(one, Mapping) for one in body):
        for number, one in enumerate(body, start=1):
            yield from _flat(one, f"{place}[{_name(one, number)}]")
    elif isinstance(body, Sequence) and not isinstance(body, str):
        yield place, ", ".join(map(str, body))
    else:
        yield place, "" if body is None else str(body)


def _name(entry: Any, number: int) -> str:
    named = [str(entry[key]) for key in KEYS if isinstance(entry, Mapping) and entry.get(key) is not None]
    return " ".join(named) or str(number)


def _shown(value: str | None) -> str:
    return "not there" if value is None else value or "nothing"
