"""Arguments of an endpoint: bound and checked against the function's signature, with the recorded texts.

Source: recording ``unknown_ids`` ("Argument error: ...", "Type error: ...").
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any


class ArgumentFault(Exception):
    """An argument is missing, unknown or of the wrong type; the text is the message of the reply."""


def bind_arguments(function: Callable[..., Any], given: Mapping[str, Any], cast: bool) -> dict[str, Any]:
    """Arguments for `function` (without its first one, the call), checked and with their types.

    Parameters
    ----------
    function : callable
        Endpoint with annotations.
    given : mapping
        What came in: lists of texts from a query, JSON values from a body.
    cast : bool
        Texts of a query are cast to the annotated type; JSON values must have it.
    """
    try:
        _signature(function).bind(None, **given)
    except TypeError as error:
        raise ArgumentFault(f"Argument error: {error}") from error
    hints = _hints(function)
    return {name: _check(name, value, hints.get(name, Any), cast) for name, value in given.items()}


_signature = functools.cache(inspect.signature)
_hints = functools.cache(typing.get_type_hints)


def _check(name: str, value: Any, hint: Any, cast: bool) -> Any:
    wanted = _without_none(hint)
    is_list = typing.get_origin(wanted) is list
    if cast and isinstance(value, list) and not is_list:
        value = value[-1]
    if wanted is Any or value is None:
        return value
    if cast:
        return None if value == "None" and wanted is not hint else _cast(name, value, wanted)
    return _require(name, value, wanted)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return members[0] if len(members) == 1 else Any
    return hint


def _cast(name: str, value: Any, wanted: Any) -> Any:
    try:
        if typing.get_origin(wanted) is list:
            member = typing.get_args(wanted)[0]
            return [member(item) for item in value]
        if wanted is bool:
            return str(value).lower() in ("true", "1", "yes")
        return wanted(value)
    except (TypeError, ValueError) as error:
        kind = "List" if typing.get_origin(wanted) is list else wanted.__name__
        text = f"Type error: '{name}' with value '{value}' could not be casted to type {kind} from "
        raise ArgumentFault(f"{text}{type(value).__name__}.") from error


def _require(name: str, value: Any, wanted: Any) -> Any:
    is_list = typing.get_origin(wanted) is list
    kind = list if is_list else wanted
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ArgumentFault(f"Type error: '{name}' must be of type {kind.__name__}, got {type(value).__name__}.")
    if is_list:
        member = typing.get_args(wanted)[0]
        if not all(isinstance(item, member) for item in value):
            raise ArgumentFault(f"Type error: All elements in '{name}' must be {member.__name__}.")
    return value
