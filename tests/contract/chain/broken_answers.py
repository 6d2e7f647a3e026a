"""Answers a broken PanDA may give: the real server's own, with anything left out, nulled, blanked or refused."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prodsys.errors import PandaUnavailable
from prodsys.panda.wire import Reply, Wire

REFUSALS = {
    "task/get_status": "Task not found",
    "task/get_detailed_info": "Task not found or error retrieving task info",
    "task/get_datasets_and_files": "Database exception while gathering files",
    "task/get_tasks_detailed_info_since": "Failed to retrieve task IDs",
}
"""Recorded: what PanDA says when a table is away."""
KINDS = ("whole", "empty", "null", "drop", "null rows", "blank rows", "blank field", "drop inside", "refuse", "away")


@dataclass(frozen=True)
class Damage:
    """What becomes of one answer; ``bits`` choose the rows, and the field of a row."""

    kind: str
    bits: int = 0

    def hits(self, number: int) -> bool:
        """Whether a row is meant."""
        return bool(self.bits >> (number % 16) & 1)


WHOLE = Damage("whole")


def damaged(call: str, data: Any, damage: Damage) -> Any:
    """Data of an answer after the damage; rows are those of a list, or the values of a map of tasks."""
    if damage.kind == "empty":
        return type(data)() if isinstance(data, list | dict) else None
    if damage.kind == "null":
        return None
    if isinstance(data, dict) and call.endswith("modified_since"):
        rows = damaged("", list(data.values()), damage)
        return {str(number): row for number, row in enumerate(rows)}
    if isinstance(data, list):
        return _rows(data, damage)
    return _row(data, damage) if damage.kind in ("blank rows", "blank field", "drop inside") else data


def _rows(data: list[Any], damage: Damage) -> list[Any]:
    if damage.kind == "drop":
        return [row for number, row in enumerate(data) if not damage.hits(number)]
    if damage.kind == "null rows":
        return [None if damage.hits(number) else row for number, row in enumerate(data)]
    return [_row(row, damage) if damage.hits(number) else row for number, row in enumerate(data)]


def _row(row: Any, damage: Damage) -> Any:
    """One row with nothing in it, without one of its fields, or without some of what it lists."""
    if not isinstance(row, dict):
        return row
    if damage.kind == "blank rows":  # recorded: number and `unknown` are left of a job that cannot be read
        left = {"PandaID": row.get("PandaID"), "jobStatus": "unknown", "Files": []} if "PandaID" in row else {}
        return dict.fromkeys(row) | left
    if damage.kind == "blank field" and row:
        return row | {sorted(row)[damage.bits % len(row)]: None}
    listed = next((key for key in ("Files", "files") if row.get(key)), None)
    if damage.kind == "drop inside" and listed:
        return row | {listed: [one for number, one in enumerate(row[listed]) if not damage.hits(number)]}
    return row


@dataclass
class BrokenWire:
    """The wire to a real server whose answers are damaged on their way; nothing can be sent while it is deaf."""

    real: Wire
    choose: Callable[[str], Damage]
    deaf: bool = False
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)  # call and kind of damage

    def get(self, call: str, query: Mapping[str, object] | None = None, target: str = "") -> Reply:
        damage = self.choose(call)
        self.tried[call, damage.kind] += 1
        if damage.kind == "away":
            raise PandaUnavailable("not reached")
        if damage.kind == "refuse" and call in REFUSALS:
            return Reply({"success": False, "message": REFUSALS[call], "data": None})
        reply = self.real.get(call, query, target)
        if not reply.success or damage.kind in ("whole", "refuse"):
            return reply
        return Reply({"success": True, "message": "", "data": damaged(call, copy.deepcopy(reply.data), damage)})

    def post(self, call: str, body: Mapping[str, object], target: str = "") -> Reply:
        if self.deaf:
            raise PandaUnavailable("not reached")
        return self.real.post(call, body, target)


def random_damage(dice: random.Random, share: float) -> Damage:
    """Damage of one answer of this share of all."""
    return Damage(dice.choice(KINDS[1:]), dice.getrandbits(16)) if dice.random() < share else WHOLE
