"""Things that JEDI does again and again, and what it tells of them: which cycles lag, which fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import read_switch, write_switch
from sandbox.panda.trouble.scenario import ScenarioInvalid

log = logging.getLogger("sandbox.panda.jedi")

SWITCH = "jedi_cycles"
_SILENT_S = 20.0
_LAG_S = 5.0


@dataclass
class Cycle:
    """Something to be done again and again."""

    name: str
    period_s: float
    act: Callable[[], object]
    next_at: float = field(default=0.0)
    runs: int = field(default=0)
    took_s: float = field(default=0.0)
    trouble: str = field(default="")

    @property
    def is_due(self) -> bool:
        """Whether its time has come."""
        return time.monotonic() >= self.next_at

    def run(self) -> None:
        """Do it; trouble is logged and tried again next time."""
        began = time.monotonic()
        self.next_at, trouble = began + self.period_s, ""
        try:
            self.act()
        except (DBAPIError, ScenarioInvalid, OSError) as error:
            trouble = " ".join(str(error).split())[:500]
            log.error("%s: %s", self.name, trouble)
        except Exception as error:  # a fault in one cycle must not stop the others; it is logged with its trace
            trouble = f"{type(error).__name__}: {error}"[:500]
            log.exception("%s failed", self.name)
        self.runs += 1
        self.took_s, self.trouble = time.monotonic() - began, trouble

    def report(self) -> dict[str, Any]:
        """What is to be known of it: period and last duration [s], how late it is [s], its trouble."""
        late_s = max(time.monotonic() - self.next_at, 0.0) if self.runs else 0.0
        numbers = {"period_s": self.period_s, "took_s": self.took_s, "late_s": late_s}
        return {"name": self.name, "runs": self.runs, "trouble": self.trouble} | {
            key: round(value, 3) for key, value in numbers.items()
        }


def write_report(engine: Engine, cycles: Sequence[Cycle]) -> None:
    """Leave the state of all cycles where the server can read it."""
    try:
        with engine.begin() as connection:
            content = {"written": utc_now().isoformat(), "cycles": [cycle.report() for cycle in cycles]}
            write_switch(connection, SWITCH, content)
    except DBAPIError as error:
        log.error("the state of the cycles cannot be written: %s", " ".join(str(error).split())[:200])


def read_report(connection: Connection) -> dict[str, Any]:
    """What the server tells of JEDI: whether it lives, which cycles lag, which are in trouble, and all of them.

    A cycle lags when it is later than its period and `_LAG_S`, or when its work takes longer than that; while JEDI is
    paused, being late is no fault.
    """
    paused = bool(read_switch(connection, "jedi_paused", False))
    content = read_switch(connection, SWITCH)
    if content is None:
        return {"alive": False, "silent_s": None, "lagging": [], "trouble": {}, "cycles": []}
    silent_s = (utc_now() - datetime.fromisoformat(content["written"])).total_seconds()
    cycles: list[dict[str, Any]] = content["cycles"]
    return {
        "alive": silent_s < _SILENT_S,
        "silent_s": round(max(silent_s, 0.0), 1),
        "lagging": [one["name"] for one in cycles if _lags(one, paused)],
        "trouble": {one["name"]: one["trouble"] for one in cycles if one["trouble"]},
        "cycles": cycles,
    }


def _lags(cycle: dict[str, Any], paused: bool) -> bool:
    late_s = 0.0 if paused else cycle["late_s"]
    return max(late_s, cycle["took_s"]) > cycle["period_s"] + _LAG_S
