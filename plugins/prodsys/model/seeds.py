"""Seeds: one integer per job and file. Ranges include both ends."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import total_ordering
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prodsys.errors import SpecInvalid

MAX_SEED = 2**31 - 1  # ROOT's TRandom takes 32 bits; a signed column somewhere on the way must not wrap
_RANGE = re.compile(r"^\s*(\d+)\s*(?:[-\u2013\u2014\u2212]\s*(\d+)\s*)?$")  # people's tools write several kinds of dash
_TWO_WAYS = re.compile(r"(?<!\d)[1-9]\d{0,2},\d{3}(?!\d)", re.ASCII)  # one number with thousands, or two seeds


@total_ordering
class SeedRange(BaseModel):
    """Seeds ``first`` to ``last``, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int = Field(ge=1, le=MAX_SEED, description="first seed")
    last: int = Field(ge=1, le=MAX_SEED, description="last seed, included")

    @model_validator(mode="before")
    @classmethod
    def _accept_text(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"first": value, "last": value}
        if isinstance(value, str):
            found = _RANGE.match(value)
            if not found:
                raise ValueError(f"{value!r} is not a range of seeds such as 40001-50000")
            return {"first": int(found[1]), "last": int(found[2] or found[1])}
        return value

    @model_validator(mode="after")
    def _in_order(self) -> SeedRange:
        if self.last < self.first:
            raise ValueError(f"the last seed {self.last} lies before the first {self.first}")
        return self

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __lt__(self, other: SeedRange) -> bool:
        return (self.first, self.last) < (other.first, other.last)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def overlap(self, other: SeedRange) -> SeedRange | None:
        """The seeds both hold, or None."""
        first, last = max(self.first, other.first), min(self.last, other.last)
        return _within(first, last) if first <= last else None


def _within(first: int, last: int) -> SeedRange:
    """A range whose ends come from ranges that were checked: not checked again, which would take most of the time."""
    return SeedRange.model_construct(first=first, last=last)


def _ends(item: SeedRange) -> tuple[int, int]:
    return item.first, item.last


def parse_seeds(text: str, place: str = "seeds") -> tuple[SeedRange, ...]:
    """Ranges of a text such as ``1-1250`` or ``1-10, 15, 20-30``, in order, touching ones joined.

    Raises
    ------
    SpecInvalid
        The text holds something else, or a seed twice.
    """
    parts = [part for part in re.split(r"[,;]", text) if part.strip()]
    if not parts:
        raise SpecInvalid(place, "no seeds", "write a range such as 40001-50000")
    if unclear := _TWO_WAYS.search(text):
        plain, listed = unclear[0].replace(",", ""), unclear[0].replace(",", ", ")
        remedy = f"write {plain} for one number, {listed!r} with a blank for two"
        raise SpecInvalid(place, f"{unclear[0]!r} can be read in two ways", remedy)
    ranges = []
    for part in parts:
        try:
            ranges.append(SeedRange.model_validate(part))
        except ValueError as error:
            raise SpecInvalid(
                place, f"{part.strip()!r} is not a range of seeds: {_reason(error)}", "40001-50000"
            ) from error
    return normalise(ranges, place)


def _reason(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    return str(errors()[0]["msg"]).removeprefix("Value error, ") if errors else str(error)


def normalise(ranges: Iterable[SeedRange], place: str = "seeds") -> tuple[SeedRange, ...]:
    """The same seeds in order, touching ranges joined.

    Raises
    ------
    SpecInvalid
        A seed stands in two of the ranges.
    """
    joined: list[SeedRange] = []
    for item in sorted(ranges, key=_ends):
        if joined and (twice := joined[-1].overlap(item)):
            raise SpecInvalid(place, f"seeds {twice} stand there twice", "write each seed once")
        if joined and item.first == joined[-1].last + 1:
            joined[-1] = _within(joined[-1].first, item.last)
        else:
            joined.append(item)
    return tuple(joined)


def from_seeds(seeds: Iterable[int]) -> tuple[SeedRange, ...]:
    """Ranges holding exactly these seeds."""
    rows: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if rows and seed == rows[-1][1] + 1:
            rows[-1][1] = seed
        else:
            rows.append([seed, seed])
    return tuple(SeedRange(first=first, last=last) for first, last in rows)


def iterate(ranges: Iterable[SeedRange]) -> Iterator[int]:
    """Every seed of the ranges, in order."""
    for item in ranges:
        yield from range(item.first, item.last + 1)


def count(ranges: Iterable[SeedRange]) -> int:
    """How many seeds the ranges hold."""
    return sum(len(item) for item in ranges)


def overlaps(left: Iterable[SeedRange], right: Iterable[SeedRange]) -> tuple[SeedRange, ...]:
    """The seeds that both hold, in the order of the left ranges; each range of both is looked at a few times only."""
    held = _merged(right)
    return tuple(found for item in left for gone in _meeting(item, held) if (found := item.overlap(gone)))


def subtract(ranges: Iterable[SeedRange], taken: Iterable[SeedRange]) -> tuple[SeedRange, ...]:
    """The seeds of ``ranges`` that are not in ``taken``; in one walk along both, not range by range."""
    held = _merged(taken)
    return tuple(sorted((piece for item in ranges for piece in _rest(item, held)), key=_ends))


def _rest(item: SeedRange, held: Sequence[SeedRange]) -> Iterator[SeedRange]:
    begin = item.first
    for gone in _meeting(item, held):
        if begin < gone.first:
            yield _within(begin, gone.first - 1)
        begin = gone.last + 1
    if begin <= item.last:
        yield item if begin == item.first else _within(begin, item.last)


def _meeting(item: SeedRange, held: Sequence[SeedRange]) -> Iterator[SeedRange]:
    """Those of ``held``, which are in order and apart, that have seeds of this range."""
    for place in range(bisect_left(held, item.first, key=lambda one: one.last), len(held)):
        if held[place].first > item.last:
            return
        yield held[place]


def _merged(ranges: Iterable[SeedRange]) -> list[SeedRange]:
    """The ranges in order, those with common seeds joined."""
    merged: list[SeedRange] = []
    for item in sorted(ranges, key=_ends):
        if merged and item.first <= merged[-1].last:
            if item.last > merged[-1].last:
                merged[-1] = _within(merged[-1].first, item.last)
        else:
            merged.append(item)
    return merged


def first_gap(taken: Iterable[SeedRange], number: int, begin: int = 1) -> int:
    """The lowest seed, from ``begin`` on, with which so many seeds in a row begin that are in none of the ranges."""
    for item in _merged(taken):
        if item.last < begin:
            continue
        if item.first >= begin + number:
            break
        begin = item.last + 1
    return begin


def split(ranges: Iterable[SeedRange], parts: int) -> tuple[tuple[SeedRange, ...], ...]:
    """Consecutive parts of nearly equal size, the larger ones first; every part holds at least one seed.

    Raises
    ------
    SpecInvalid
        There are fewer seeds than parts.
    """
    rest = normalise(ranges)
    number = count(rest)
    if not 1 <= parts <= number:
        raise SpecInvalid("bunches", f"{number} seeds cannot be split into {parts} parts", f"1 to {number}")
    size, larger = divmod(number, parts)
    found = []
    for ordinal in range(parts):
        part, rest = _take(rest, size + (ordinal < larger))
        found.append(part)
    return tuple(found)


def first(ranges: Iterable[SeedRange], number: int) -> tuple[SeedRange, ...]:
    """The lowest seeds, as many as asked for, or all when there are fewer."""
    return _take(normalise(ranges), number)[0]


def _take(ranges: tuple[SeedRange, ...], number: int) -> tuple[tuple[SeedRange, ...], tuple[SeedRange, ...]]:
    """The first seeds of the ranges, and the rest."""
    taken: list[SeedRange] = []
    for place, item in enumerate(ranges):
        if number < len(item):
            cut = item.first + number
            head = (SeedRange(first=item.first, last=cut - 1),) if number else ()
            return (*taken, *head), (SeedRange(first=cut, last=item.last), *ranges[place + 1 :])
        taken.append(item)
        number -= len(item)
    return tuple(taken), ()


def show(ranges: Iterable[SeedRange]) -> str:
    """Text of the ranges, as ``parse_seeds`` reads it."""
    return ", ".join(str(item) for item in ranges)


def show_some(ranges: Sequence[SeedRange], most: int = 5) -> str:
    """Text of the first ranges for people, and how many there are when these are not all."""
    if len(ranges) <= most:
        return show(ranges)
    return f"{show(ranges[:most])} ... ({count(ranges)} seeds in {len(ranges)} ranges)"
