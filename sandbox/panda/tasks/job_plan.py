"""From input slots to one job: parameters, output names. Pure; `make_jobs` gives it rows and writes its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.panda.tasks.refine import first_event_offset
from sandbox.panda.tasks.templates import TemplateInvalid, expand, fill_serial, mark_outputs, parameter_text


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


class JobPlanner:
    """Plans the jobs of one task; what is the same for all of them is read from the map once.

    Parameters
    ----------
    params : mapping
        The task's map.
    jedi_task_id : int
        Stands in file names for ``$JEDITASKID``.
    """

    def __init__(self, params: Mapping[str, Any], jedi_task_id: int = 0) -> None:
        self._text = parameter_text(mark_outputs(params["jobParameters"]))
        self._first = first_event_offset(params)
        self._jedi_task_id = str(jedi_task_id)

    def plan(
        self,
        slots: Sequence[Row],
        others: Mapping[str, Sequence[Row]],
        seed: int | None,
        outputs: Sequence[tuple[Row, int]],
        pseudo: bool,
        suffix: str = "",
    ) -> PlannedJob:
        """One job over some input slots.

        Parameters
        ----------
        slots, others : sequences of rows
            Files of the master input, and of each further stream by its name.
        seed : int or None
            Number drawn from the pool of ``${RNDMSEED}``, its offset added.
        outputs : sequence of (dataset row, serial)
            Output datasets in the order of the map and then the log, each with the serial number its file gets; the
            dataset's own offset is added.
        pseudo : bool
            Whether the slots are pseudo files.
        suffix : str
            What every file name gets at its end (``.2``, in set-ups that name attempts).

        Raises
        ------
        sandbox.panda.tasks.templates.TemplateInvalid
            ``/M[...]`` cannot be computed, or an output would get an impossible name.
        """
        values = self._values(slots, others, seed, pseudo)
        names = [(one["dataset_id"], self._name(one, serial, values, suffix)) for one, serial in outputs]
        values |= {f"OUTPUT{number}": name for number, (_, name) in enumerate(names)}
        first_serial = outputs[0][1] + outputs[0][0]["first_number"] if outputs else 0
        text = fill_serial(expand(self._text, values), first_serial)
        return PlannedJob(text, names, sum(slot["n_events"] or 0 for slot in slots))

    def _values(
        self, slots: Sequence[Row], others: Mapping[str, Sequence[Row]], seed: int | None, pseudo: bool
    ) -> dict[str, str]:
        first = slots[0]["first_event"] or 0
        values = {"IN": ",".join(input_name(slot["lfn"], pseudo) for slot in slots)}
        values |= {stream: ",".join(row["lfn"] for row in rows) for stream, rows in others.items()}
        values["FIRSTEVENT"] = str(self._first + first + 1)
        values["SKIPEVENTS"] = str(first)
        values["MAXEVENTS"] = str(sum(slot["n_events"] or 0 for slot in slots))
        if seed is not None:
            values["RNDMSEED"] = str(seed)
        return values

    def _name(self, dataset: Row, serial: int, values: Mapping[str, str], suffix: str) -> str:
        pattern = (dataset["pattern"] or "").replace("$JEDITASKID", self._jedi_task_id)
        return _file_name(expand(fill_serial(pattern, serial + dataset["first_number"]), values) + suffix)


def plan_job(
    params: Mapping[str, Any],
    slots: Sequence[Row],
    others: Mapping[str, Sequence[Row]],
    seed: int | None,
    outputs: Sequence[tuple[Row, int]],
    pseudo: bool,
) -> PlannedJob:
    """One job of a map; see `JobPlanner.plan`."""
    return JobPlanner(params).plan(slots, others, seed, outputs, pseudo)
