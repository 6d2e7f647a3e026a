"""From input slots to one job: parameters, output names. Pure; `generate` gives it rows and writes its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.panda.refine import first_event_offset
from sandbox.panda.templates import TemplateInvalid, expand, parameter_text, serial_text


class Row(Protocol):
    """A row of a table, by column names."""

    def __getitem__(self, key: str, /) -> Any:
        """Return the value of a column."""


@dataclass(frozen=True)
class PlannedJob:
    """What one job will be told."""

    parameters: str
    outputs: list[tuple[int, str]]
    n_events: int


def input_name(lfn: str, pseudo: bool) -> str:
    """Return what ``${IN}`` stands for: of a listed slot ``000001:40007`` only the part after the colon."""
    return lfn.split(":", 1)[1] if pseudo and ":" in lfn else lfn


def _file_name(name: str) -> str:
    """Return the name of an output if it may be one; it becomes part of a path on the storage."""
    if not name or name.startswith("/") or ".." in name.split("/") or "\x00" in name:
        raise TemplateInvalid(f"{name!r} is no name for an output file")
    return name


def plan_job(
    params: Mapping[str, Any],
    slots: Sequence[Row],
    others: Mapping[str, Sequence[Row]],
    seed: int | None,
    outputs: Sequence[tuple[Row, int]],
    pseudo: bool,
) -> PlannedJob:
    """One job over some input slots.

    Parameters
    ----------
    params : mapping
        The task's map.
    slots, others : sequences of rows
        Files of the master input, and of each further stream by its name.
    seed : int or None
        Number drawn from the pool of ``${RNDMSEED}``.
    outputs : sequence of (dataset row, serial)
        Output and log datasets, each with the serial number its file gets.
    pseudo : bool
        Whether the slots are pseudo files.

    Raises
    ------
    sandbox.panda.templates.TemplateInvalid
        ``/M[...]`` cannot be computed, or an output would get an impossible name.
    """
    events = sum(slot["n_events"] or 0 for slot in slots)
    values = {"IN": ",".join(input_name(slot["lfn"], pseudo) for slot in slots)}
    values |= {stream: ",".join(row["lfn"] for row in rows) for stream, rows in others.items()}
    first = slots[0]["first_event"] or 0
    values["FIRSTEVENT"] = str(first_event_offset(params) + first + 1)
    values["MAXEVENTS"] = str(events)
    if seed is not None:
        values["RNDMSEED"] = str(seed)
    names = []
    for dataset, serial in outputs:
        number = serial_text(serial + dataset["first_number"])
        values.setdefault("SN", number)
        names.append((dataset["dataset_id"], _file_name(expand(dataset["pattern"] or "", {**values, "SN": number}))))
    return PlannedJob(expand(parameter_text(params["jobParameters"]), values), names, events)
