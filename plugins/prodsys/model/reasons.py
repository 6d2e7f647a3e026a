"""Why seeds are missing: reasons that differ in ids alone are one family, seeds are shown as ranges. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from prodsys.model import seeds as seed_ranges

RANGES_SHOWN = 20  # of one list of seeds
# what differs from seed to seed in the same reason: job numbers, file names, the seed itself
_OWN = re.compile(r"(?<=\bjob )\d+|\S+\.\d{6}\.\S+|(?<=\bseed )\d+")


@dataclass(frozen=True)
class ReasonFamily:
    """Seeds that are missing for one reason, in the words of the first of them."""

    reason: str
    seeds: tuple[int, ...]

    @property
    def shown_seeds(self) -> str:
        """The seeds as ranges; behind the first ones only their number."""
        return show_some(self.seeds)


def show_some(seeds: Iterable[int]) -> str:
    """Seeds as ranges; behind the first ones only their number: ``40001, 40003-40005 and 12 more``."""
    ranges = seed_ranges.from_seeds(seeds)
    shown = seed_ranges.show(ranges[:RANGES_SHOWN])
    rest = seed_ranges.count(ranges[RANGES_SHOWN:])
    return f"{shown} and {rest} more" if rest else shown


def reason_of(state: str, reason: str, lost_in: str) -> str:
    """Why one seed is missing, with the step that lost it when that was an earlier one."""
    return (reason or str(state)) + (f" (lost in {lost_in})" if lost_in else "")


def reason_families(reasons: Iterable[tuple[int, str]]) -> tuple[ReasonFamily, ...]:
    """Families of (seed, reason), the largest first, those of equal size in the order of their first seeds."""
    seeds: dict[str, list[int]] = {}
    words: dict[str, str] = {}
    for seed, reason in reasons:
        family = _OWN.sub("_", reason)
        words.setdefault(family, reason)
        seeds.setdefault(family, []).append(seed)
    found = [ReasonFamily(words[family], tuple(sorted(numbers))) for family, numbers in seeds.items()]
    return tuple(sorted(found, key=lambda one: (-len(one.seeds), one.seeds)))
