"""Plain words and numbers of YAML 1.2's core schema, and a refusal where a person and a program read two numbers."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from prodsys.intake.cells import CellRefused

Scalar = str | int | float | bool | None
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?(0+)[0-9]")
_OTHER_BASE = re.compile(r"[-+]?0(?:[xX][0-9a-fA-F]|[oO][0-7]|[bB][01])[0-9a-fA-F_]*")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
LONGEST_INTEGER, LONGEST_FLOAT = 18, 40  # characters; no number of a production has more


def read_plain(text: str) -> Scalar:
    """The value of a plain scalar: null, true, false, a decimal number, or a text.

    Raises
    ------
    CellRefused
        It is a number that programs read in different ways, or that no program keeps as it is written.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NO_NUMBER.fullmatch(text):
        raise CellRefused("is not a number to count with", "write a number, or put the text in quotes")
    if _OTHER_BASE.fullmatch(text):
        raise CellRefused("is not a decimal number", "write it in decimal digits, or in quotes when it is a text")
    if not _FLOAT.fullmatch(text):
        return text
    if _LEADING_ZERO.match(text):
        plain = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", text)
        remedy = f"write it without the zero: {plain}; or in quotes when it is a text"
        raise CellRefused("has a leading zero: some programs read it as octal", remedy)
    return _read_integer(text) if _INTEGER.fullmatch(text) else _read_float(text)


def _read_integer(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise CellRefused("has more digits than any number here", "check it, or put it in quotes when it is a text")
    return int(text)


def _read_float(text: str) -> float:
    value = float(text) if len(text) <= LONGEST_FLOAT else math.inf
    if not math.isfinite(value) or Decimal(text) != Decimal(repr(value)):
        raise CellRefused("has more digits than a number keeps", "round it, or put it in quotes when it is a text")
    return value
