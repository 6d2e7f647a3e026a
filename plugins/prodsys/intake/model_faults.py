"""pydantic's errors as faults: file, line, key path, and what would do."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError

from prodsys.errors import SpecInvalid
from prodsys.intake.nearest import nearest, suggest
from prodsys.intake.result import Fault, shown
from prodsys.intake.yaml_file import KeyPath, YamlDocument, key_path

MISSING = "is missing"


def faults_of(error: ValidationError, model: type[BaseModel], document: YamlDocument, at: KeyPath = ()) -> list[Fault]:
    """One fault per error, in the order of the file; ``at`` is where in the document the model begins."""
    found = [(item, _path(item["loc"])) for item in error.errors(include_url=False)]
    meant = {_meant(item, model, path) for item, path in found} - {None}
    faults = [
        _fault(item, path, model, document, at)
        for item, path in found
        if not (item["type"] == "missing" and path in meant)  # its misspelt twin is named already
    ]
    return sorted(faults, key=lambda fault: (fault.message == MISSING, fault.row or 0))


def _path(loc: tuple[int | str, ...]) -> KeyPath:
    return tuple(part for part in loc if part != "[key]")


def _meant(item: Mapping[str, Any], model: type[BaseModel], path: KeyPath) -> KeyPath | None:
    """The path a misspelt key stands for."""
    if item["type"] != "extra_forbidden":
        return None
    near = nearest(str(path[-1]), _known_keys(model, path[:-1]))
    return (*path[:-1], near) if near else None


def _fault(
    item: Mapping[str, Any], path: KeyPath, model: type[BaseModel], document: YamlDocument, at: KeyPath
) -> Fault:
    full = (*at, *path)
    message, remedy = _words({**item, "written": document.written(full, item["input"])}, model, path)
    hidden = item["type"] in ("missing", "extra_forbidden") or _is_structure(item["input"])
    value = "" if hidden else document.written(full, item["input"])
    return Fault(document.file, document.line(full), key_path(full), shown(value), message, remedy)


def _is_structure(value: object) -> bool:
    return isinstance(value, dict | list | tuple | BaseModel)


def _words(item: Mapping[str, Any], model: type[BaseModel], path: KeyPath) -> tuple[str, str]:
    if item["type"] == "extra_forbidden":
        return _unknown_key(str(path[-1]), _known_keys(model, path[:-1]))
    if item["type"] == "missing":
        return MISSING, _described(model, path)
    cause = (item.get("ctx") or {}).get("error")
    if isinstance(cause, SpecInvalid):
        return cause.message, cause.remedy
    if isinstance(cause, ValueError):
        return str(cause), _described(model, path)
    return plain_words(item, _described(model, path))


def plain_words(item: Mapping[str, Any], described: str) -> tuple[str, str]:
    """Message and remedy of one of pydantic's errors, without its jargon."""
    context = item.get("ctx") or {}
    if item["type"] == "string_type" and isinstance(item["input"], int | float):
        return "is a number here, not a text", f'put it in quotes: "{item.get("written", item["input"])}"'
    if item["type"] == "string_pattern_mismatch":
        return "has not the right form", f"{described}; pattern {context['pattern']}"
    if item["type"] == "literal_error":
        known = [word.strip("'") for word in re.split(r", | or ", context["expected"])]
        return "is not a known word", suggest(str(item["input"]), known)
    return str(item["msg"])[:1].lower() + str(item["msg"])[1:], described


def _unknown_key(key: str, known: list[str]) -> tuple[str, str]:
    near = nearest(key, known)
    listed = f"known keys: {', '.join(known)}"
    return "is not a known key", f"did you mean {near!r}? {listed}" if near else listed


def _described(model: type[BaseModel], path: KeyPath) -> str:
    """What the model says about a field."""
    owner = _model_at(model, path[:-1]) if path else None
    info = owner.model_fields.get(str(path[-1])) if owner else None
    return (info.description or "") if info else ""


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    owner = _model_at(model, path)
    return sorted(owner.model_fields) if owner else []


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model that describes what lies at a path; None when it is no model."""
    current: Any = model
    for part in path:
        current = _strip(current)
        if isinstance(current, type) and issubclass(current, RootModel):
            current = current.model_fields["root"].annotation
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(str(part))
            current = info.annotation if info else None
        elif get_origin(current) in (dict, Mapping):
            current = get_args(current)[1]
        elif get_origin(current) in (tuple, list):
            current = get_args(current)[0]
        else:
            return None
    current = _strip(current)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _strip(annotation: Any) -> Any:
    """The annotation without ``| None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation
