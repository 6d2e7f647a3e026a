"""Submissions that are wrong on purpose: they show that the count would notice."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

from prodsys.actions.submission import submitting
from prodsys.ledger import submission_leases
from prodsys.ledger.tables import TaskRow


def _no_compare_and_set() -> None:
    """Whoever comes sends, whoever has the turn."""
    real = submission_leases._update
    submission_leases._update = lambda session, task_row_id, values, *_: real(session, task_row_id, values)  # type: ignore[assignment]


def _no_search() -> None:
    """In doubt the map is sent again at once, unsearched."""
    submitting._settle_doubt = lambda ctx, task: submitting._send(ctx, task, impatient=True)  # type: ignore[assignment]


def _new_names() -> None:
    """Every sending has a name of its own: JEDI cannot see that they are twins."""
    real: Callable[..., Any] = submitting._submit
    numbers = itertools.count(2)

    def submit(ctx: Any, task: TaskRow, *rest: Any) -> Any:
        task.task_map = {**task.task_map, "taskName": f"{task.task_name}.{os.getpid()}{next(numbers)}"}
        return real(ctx, task, *rest)

    submitting._submit = submit


SABOTAGES: dict[str, Callable[[], None]] = {
    "no compare-and-set": _no_compare_and_set,
    "no search": _no_search,
    "new names": _new_names,
}


def apply(name: str) -> None:
    """Break this process; an empty name breaks nothing."""
    if name:
        SABOTAGES[name]()
