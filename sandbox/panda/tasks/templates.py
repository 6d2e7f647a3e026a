"""What JEDI does with ``${...}`` in job parameters: pure text work, no database.

Source: recordings ``seed_list`` (``${IN/M[(#-1)*4000+1]}``), ``chain_done``, ``random_seed_pool``. Not recorded:
``${SN/P}`` and ``${SN:04d}`` (other widths of the serial number, as maps of panda-client have them), ``$JEDITASKID``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{([A-Z]+\d*)(?:/M\[([^\]]{1,200})\])?\}")
_SERIAL = re.compile(r"\$\{SN(?:/P|:0?(\d{1,2})d)?\}")
_STREAM = re.compile(r"\$\{(IN\d*)(?:/M\[[^\]]*\])?\}")
_TOKEN = re.compile(r"\s*(?:(\d{1,30})|(//|[#()+\-*/%]))")
_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
    "//": operator.floordiv,
    "%": operator.mod,
}


class TemplateInvalid(ValueError):
    """A placeholder cannot be filled; the text says which and why."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """`text` with each known placeholder filled; unknown ones stay as they are, as JEDI leaves them."""

    def fill(match: re.Match[str]) -> str:
        name, expression = match.group(1), match.group(2)
        if name not in values:
            return match.group(0)
        if expression is None:
            return values[name]
        return str(evaluate(expression, _as_int(values[name], name)))

    return _PLACEHOLDER.sub(fill, text)


def _as_int(value: str, name: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise TemplateInvalid(f"${{{name}/M[...]}} needs a number, got {value!r}")
    return int(value)


def evaluate(expression: str, value: int) -> int:
    """Value of an arithmetic expression over ``#``: whole numbers, ``+ - * / // % ( )``, never Python's eval.

    Raises
    ------
    TemplateInvalid
        The expression is not arithmetic, or divides by zero.
    """
    tokens = _tokens(expression)
    result, rest = _sum(tokens, value, depth=0)
    if rest:
        raise TemplateInvalid(f"/M[{expression}]: unexpected {rest[0]!r}")
    return result


def _tokens(expression: str) -> list[str]:
    found, position = [], 0
    stripped = expression.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if not match:
            raise TemplateInvalid(f"/M[{expression}]: {stripped[position]!r} is not arithmetic")
        found.append(match.group(1) or match.group(2))
        position = match.end()
    return found


def _sum(tokens: list[str], value: int, depth: int) -> tuple[int, list[str]]:
    return _chain(tokens, value, depth, ("+", "-"), _product)


def _product(tokens: list[str], value: int, depth: int) -> tuple[int, list[str]]:
    return _chain(tokens, value, depth, ("*", "/", "//", "%"), _atom)


def _chain(
    tokens: list[str],
    value: int,
    depth: int,
    signs: tuple[str, ...],
    operand: Callable[[list[str], int, int], tuple[int, list[str]]],
) -> tuple[int, list[str]]:
    left, tokens = operand(tokens, value, depth)
    while tokens and tokens[0] in signs:
        right, rest = operand(tokens[1:], value, depth)
        try:
            left = _OPERATIONS[tokens[0]](left, right)
        except ZeroDivisionError as error:
            raise TemplateInvalid("/M[...] divides by zero") from error
        tokens = rest
    return left, tokens


def _atom(tokens: list[str], value: int, depth: int) -> tuple[int, list[str]]:
    if depth > 20 or not tokens:
        raise TemplateInvalid("/M[...] is unfinished or nested too deeply")
    head, rest = tokens[0], tokens[1:]
    if head == "#":
        return value, rest
    if head.isdigit():
        return int(head), rest
    if head == "-":
        inner, rest = _atom(rest, value, depth + 1)
        return -inner, rest
    if head == "(":
        inner, rest = _sum(rest, value, depth + 1)
        if not rest or rest[0] != ")":
            raise TemplateInvalid("/M[...]: a parenthesis is not closed")
        return inner, rest[1:]
    raise TemplateInvalid(f"/M[...]: unexpected {head!r}")


def fill_serial(text: str, serial: int) -> str:
    """`text` with the serial number in place of ``${SN}``: six digits, or as many as ``${SN:04d}`` asks for."""
    return _SERIAL.sub(lambda match: f"{serial:0{int(match.group(1) or 6)}d}", text)


def output_pattern(value: str) -> str:
    """File name, still with ``${SN}``, in the value of an output or log template (``--out-s=X.S.${SN}.root``).

    A blank belongs to the name unless another option follows it; apostrophes are dropped (recording ``odd_input``).
    """
    several = any(part.startswith("-") for part in value.split()[1:])
    word = next((part for part in value.split() if _SERIAL.search(part)), value) if several else value
    return re.sub(r"^-[^=]*=", "", word).strip("'\"").replace("'", "")


def input_stream(value: str, position: int) -> str:
    """Name of the stream an input template reads, ``IN`` or ``IN2``; by position when it says nothing."""
    match = _STREAM.search(value)
    if match:
        return match.group(1)
    return "IN" if position == 0 else f"IN{position + 1}"


def mark_outputs(parameters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Job parameters as JEDI keeps them: ``${OUTPUTn}`` for each output, inputs with their list of datasets."""
    marked, count = [], 0
    for item in parameters:
        item = dict(item)
        if item.get("param_type") == "output":
            value = str(item.get("value", ""))
            item["value"] = value.replace(output_pattern(value), f"${{OUTPUT{count}}}")
            count += 1
        elif item.get("param_type") == "input":
            item["expandedList"] = [item.get("dataset")]
        marked.append(item)
    return marked


def parameter_text(parameters: Sequence[Mapping[str, Any]]) -> str:
    """All parameters of the command line in one text, still with placeholders."""
    return " ".join(
        str(item.get("value", "")) for item in parameters if not item.get("hidden") and item.get("param_type") != "log"
    )
