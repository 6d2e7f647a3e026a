"""Changes of a request as people type them: ``key=value``, with the forms that files take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from prodsys.errors import SpecInvalid
from prodsys.intake import cells
from prodsys.intake.cells import CellRefused
from prodsys.intake.nearest import suggest
from prodsys.model import seeds as seed_ranges
from prodsys.model.request import RequestSpec

_READERS: dict[str, cells.Reader] = {
    "energy_gev": cells.read_energy_gev,
    "events": cells.read_count,
    "events_per_file": cells.read_count,
    "priority": cells.read_count,
    "bunches": cells.read_count,
    "bunches_at_once": cells.read_count,
    "seeds": cells.read_seeds,
    "tag": cells.read_tag,
}
_PLAIN: dict[str, Callable[[Any], Any]] = {"seeds": seed_ranges.show, "tag": lambda found: found[0]}


def read_changes(pairs: Iterable[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Field -> new value, None for its default, and how values were understood where that is not plain.

    Raises
    ------
    SpecInvalid
        A pair is none, names no field of a request or one twice, or holds a value that cannot be read.
    """
    changes: dict[str, Any] = {}
    notes: list[str] = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        name = cells.squeeze(key)
        if not equals or name in changes:
            message = f"{pair!r} is not of the form key=value" if not equals else "is named twice"
            raise SpecInvalid(name or "edit", message, "write each field once, such as priority=800")
        if name not in RequestSpec.model_fields:
            raise SpecInvalid(name, "is no field of a request", suggest(name, RequestSpec.model_fields))
        changes[name] = _read(name, value, notes)
    return changes, tuple(notes)


def _read(name: str, value: str, notes: list[str]) -> Any:
    text = value if name == "description" else cells.squeeze(value)
    if not text:
        return None
    if name == "labels":
        return [one for one in map(cells.squeeze, text.split(",")) if one]
    if name == "inputs":
        return _read_inputs(text)
    if name not in _READERS:
        return text
    try:
        reading = _READERS[name](text)
    except CellRefused as refused:
        raise SpecInvalid(name, f"{text!r} {refused.message}", refused.remedy) from refused
    notes += [f"{name}: {note}" for note in reading.notes]
    return _PLAIN.get(name, lambda found: found)(reading.value)


def _read_inputs(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        found = error
    if not isinstance(found, dict):
        raise SpecInvalid("inputs", f"{text!r} is no JSON object", '{"S": "scope:name", "P": "scope:name"}')
    return found
