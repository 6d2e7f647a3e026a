"""Answers with success and nothing, or a null, where something should be: PanDA could not read it. Pure.

An answer of another shape altogether (a text for a list) is left to whoever reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prodsys.errors import PandaUnavailable

CANNOT_READ = ("Database exception", "Failed to retrieve")  # PanDA's words when a table of it is not readable


def check_readable(call: str, message: str) -> None:
    """PandaUnavailable when a refusal only says that PanDA could not read its own tables."""
    if message.startswith(CANNOT_READ):
        raise PandaUnavailable(f"{call}: {message}")


def listed(call: str, data: Any) -> Any:
    """The list in a reply, not null."""
    if data is None:
        raise PandaUnavailable(f"{call} was answered with success and null: PanDA could not read it")
    return data


def filled(call: str, row: Any, *keys: str) -> Any:
    """A row of a reply that is not null and has something under each of these keys."""
    if row is None or (isinstance(row, dict) and any(row.get(key) is None for key in keys)):
        words = f"without {' or '.join(keys)}" if row else "that is empty"
        raise PandaUnavailable(f"{call} was answered with success and a row {words}: PanDA could not read it")
    return row


def filled_rows(call: str, data: Any, *keys: str) -> list[Any]:
    """Rows of a reply, none of them null."""
    return [filled(call, row, *keys) for row in listed(call, data)]


def dataset_rows(call: str, data: Any) -> list[Any]:
    """Datasets of a task with their files; no name and no status is null."""
    rows = filled_rows(call, data, "dataset", "files")
    for row in rows:
        filled(call, row["dataset"], "name")
        filled_rows(call, row["files"], "lfn", "status")
    return rows


def job_ids(call: str, data: Any) -> list[int]:
    """Numbers of jobs, in order."""
    return sorted(int(filled(call, one)) for one in listed(call, data))


def task_rows(data: Any) -> Iterable[dict[str, Any]]:
    """Rows of tasks by request id; what is null in it is no news."""
    return [row for row in data.values() if row and row.get("jediTaskID") and row.get("status")]
