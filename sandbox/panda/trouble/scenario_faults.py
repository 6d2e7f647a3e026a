"""What is wrong with a scenario file, said so that a person can mend it: place, rule, key, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_MOST = 5


def describe_faults(error: ValidationError, content: Any, model: type[BaseModel]) -> str:
    """All faults of a file, joined by semicolons; at most a handful."""
    faults = error.errors()
    said = [_describe(fault["loc"], fault["msg"], fault["type"], content, model) for fault in faults[:_MOST]]
    more = [f"and {len(faults) - _MOST} more"] if len(faults) > _MOST else []
    return "; ".join(dict.fromkeys([*said, *more]))


def _describe(place: Sequence[Any], message: str, kind: str, content: Any, model: type[BaseModel]) -> str:
    message = message.removeprefix("Value error, ")
    parts = [str(part) for part in place if not _is_tag(str(part))]
    in_rule = _rule_of(place, content)
    where = ": ".join(one for one in (in_rule, ".".join(parts[2:] if in_rule else parts)) if one)
    if kind == "extra_forbidden":
        known = _keys_at(model, place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"{where}: unknown key {place[-1]!r}, {remedy}"
    return f"{where}: {message}" if where else message


def _is_tag(part: str) -> bool:
    """Whether pydantic put this into the place to tell members of a union apart."""
    return "[" in part or part in ("int", "list", "function-before", "JobError")


def _rule_of(place: Sequence[Any], content: Any) -> str:
    """``rule 3 (slow PNPI)`` for a place within a rule, else empty."""
    if len(place) < 2 or place[0] != "rules" or not isinstance(place[1], int):
        return ""
    rules = content.get("rules", []) if isinstance(content, Mapping) else []
    rule = rules[place[1]] if isinstance(rules, list) and place[1] < len(rules) else None
    name = rule.get("name") if isinstance(rule, Mapping) else None
    return f"rule {place[1] + 1}{f' ({name})' if name else ''}"


def _keys_at(model: type[BaseModel], place: Sequence[Any]) -> list[str]:
    """Keys that the schema knows at a place."""
    found: type[BaseModel] | None = model
    for part in place:
        if found is not None and isinstance(part, str) and part in found.model_fields:
            found = _model_in(found.model_fields[part].annotation)
    return list(found.model_fields) if found is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for model in map(_model_in, get_args(annotation)) if model is not None), None)
