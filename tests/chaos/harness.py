"""All trials side by side, their table as text and JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.count import count, faults
from tests.chaos.nursery import Nursery
from tests.chaos.stage import Stage
from tests.chaos.trials import KIND, Trial, Trouble, choose_trials

AT_ONCE = 8
HEADINGS = ("point", "requests", "kills", "freezes", "sent", "live", "twins", "outcome")


@dataclass(frozen=True)
class Result:
    """What one trial came to."""

    number: int
    point: str
    request_id: str
    kills: int
    freezes: int
    sent: int
    live: int
    twins: int
    faults: tuple[str, ...]
    reached: dict[str, bool] = field(default_factory=dict)  # the points asked for; whether a process came there


@dataclass(frozen=True)
class Report:
    """What all trials came to."""

    seed: int
    sabotage: str
    took_s: float
    results: tuple[Result, ...] = field(repr=False)

    @property
    def kills(self) -> int:
        """Processes killed."""
        return sum(one.kills for one in self.results)

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is wrong, with its request; a point at which nobody was ever stopped was not tried."""
        wrong = [f"{one.request_id} ({one.point}): {fault}" for one in self.results for fault in one.faults]
        asked = {point for one in self.results for point in one.reached}
        missed = asked - {point for one in self.results for point, came in one.reached.items() if came}
        return (*wrong, *(f"no process ever came to {point!r}: nothing was tried there" for point in sorted(missed)))

    def table(self) -> str:
        """A line a point, the sums, and every fault."""
        points = sorted({one.point for one in self.results})
        rows = [_line(point, [one for one in self.results if one.point == point]) for point in points]
        rows.append(_line("all", self.results))
        head = f"seed {self.seed}, {self.kills} kills, {len(self.results)} requests, {self.took_s:.0f} s"
        head += f", sabotage: {self.sabotage}" if self.sabotage else ""
        return "\n".join([head, "", *_columns([HEADINGS, *rows]), "", *self.faults])

    def write(self, folder: Path) -> None:
        """Text and JSON beside each other."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "chaos-submit.txt").write_text(self.table() + "\n", encoding="utf-8")
        about: dict[str, Any] = {**asdict(self), "kills": self.kills}
        (folder / "chaos-submit.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def run(stage: Stage, nursery: Nursery, kills: int, seed: int, broken: str = "") -> Report:
    """Make so much trouble, and count."""
    began = time.monotonic()
    chosen = choose_trials(kills, Random(seed))
    ctx = stage.hands()
    ids = stage.ready_requests(len(chosen), ctx)

    def try_out(number: int) -> Result:
        trouble = Trouble(stage, nursery, ids[number], Random(f"{seed} {number}"), broken)
        return try_trial(trouble, chosen[number], number)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = tuple(pool.map(try_out, range(len(chosen))))
    return Report(seed, broken, time.monotonic() - began, results)


def try_trial(trouble: Trouble, trial: Trial, number: int) -> Result:
    """Make one trial, and count what came of it."""
    failure = _carry_out(trouble, trial)
    found = count(trouble.stage, trouble.request_id, KIND)
    wrong = list(faults(trouble.stage, trouble.stage.hands(), trouble.request_id, late=trial.late))
    return Result(
        number=number,
        point=trial.point,
        request_id=trouble.request_id,
        kills=trouble.kills,
        freezes=trouble.freezes,
        sent=len(found.sent),
        live=len(found.live),
        twins=found.twins,
        faults=tuple([failure] if failure else []) + tuple(wrong),
        reached={point.value: came for point, came in trouble.reached.items()},
    )


def _carry_out(trouble: Trouble, trial: Trial) -> str:
    """What went wrong; a trial that could not be made is no success either."""
    try:
        trial.act(trouble)
        return trouble.finish()
    except Exception as error:  # noqa: BLE001 - the other trials go on, this one is a fault
        return f"the trial broke off: {type(error).__name__}: {error}"


def _line(point: str, results: Sequence[Result]) -> tuple[str, ...]:
    sums = (sum(getattr(one, name) for one in results) for name in ("kills", "freezes", "sent", "live", "twins"))
    wrong = sum(bool(one.faults) for one in results)
    outcome = f"{wrong} broken" if wrong else "one task each, every seed once"
    return (point, str(len(results)), *(str(value) for value in sums), outcome)


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    table = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
    words = (0, len(HEADINGS) - 1)
    return [
        "  ".join(
            cell.ljust(width) if column in words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
