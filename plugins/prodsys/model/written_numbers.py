"""Numbers of a model as a person wrote them: no truth value, no word and no odd text becomes a number by itself."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ValidationInfo

from prodsys.errors import SpecInvalid

_DIGITS = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_CONTAINERS = (list, tuple, dict)


def check_number_field(cls: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
    """Validator for all fields of a model (`field_validator("*", mode="before")`): the value, or SpecInvalid."""
    field = cls.model_fields[str(info.field_name)]
    if not any(isinstance(part, BeforeValidator) for part in field.metadata):  # it reads what people write by itself
        _check(value, frozenset(_kinds(field.annotation)), str(info.field_name))
    return value


def _kinds(annotation: Any) -> set[Any]:
    """All plain types in an annotation, those of items too."""
    inside = get_args(annotation)
    if isinstance(annotation, type) and not inside:
        return {annotation}
    return {kind for part in inside for kind in _kinds(part)}


def _check(value: Any, kinds: frozenset[Any], name: str) -> None:
    if isinstance(value, _CONTAINERS):
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, kinds, name)
    elif datetime in kinds and (isinstance(value, int | float) or _is_number(value)):
        raise SpecInvalid(name, "is a number, not a moment", "2027-01-04 00:00:00")
    elif kinds & {int, float}:
        if isinstance(value, bool) and bool not in kinds:
            raise SpecInvalid(name, "is not a number", "write the number in digits")
        if isinstance(value, str) and str not in kinds and not _is_written_number(value, kinds):
            raise SpecInvalid(name, "is not a number", "write it in plain digits: 700, 0.5")


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.strip().isdigit()


def _is_written_number(value: str, kinds: frozenset[Any]) -> bool:
    """A text of digits; a word of another type that is allowed too is judged by pydantic."""
    others = {kind for kind in kinds if kind not in (int, float, bool, type(None))}
    return bool(others) or bool(_DIGITS.fullmatch(value))
