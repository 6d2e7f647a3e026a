"""Datasets that a task fills: as planned, and as PanDA's refiner named them (DESIGN decision 16). Pure.

A refiner that keeps names fills ``NAME``. PanDA's stock one (``GenTaskRefiner``) takes ``NAME`` as a template and fills
``NAME.<id>``, where ``<id>`` is PanDA's id of that very dataset: one for each queue where jobs of the task run
(recorded: ``stock_refiner``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prodsys.errors import OutputsUnknown
from prodsys.model.names import instance_name

Outputs = Mapping[str, tuple[str, ...]]  # data type -> datasets that are filled, in the order of their names


def match_outputs(
    jedi_task_id: int, planned: Mapping[str, str], datasets: Iterable[tuple[int, str]]
) -> dict[str, tuple[str, ...]]:
    """Datasets that a task fills, by data type; {} when PanDA shows none yet.

    Parameters
    ----------
    jedi_task_id
        The task, for the error.
    planned
        Name of each dataset as the map has it -> data type.
    datasets
        Id and name of each output and log dataset that PanDA shows.

    Raises
    ------
    OutputsUnknown
        A dataset has a name that is neither planned nor that of an instance.
    """
    types: dict[str, str] = {}
    for dataset_id, name in datasets:
        plain = name.rpartition(":")[2]
        data_type = planned.get(plain) or planned.get(_template(plain, dataset_id))
        if data_type is None:
            raise OutputsUnknown(jedi_task_id, [plain], sorted(planned))
        types[plain] = data_type
    return {
        data_type: tuple(sorted(name for name, kind in types.items() if kind == data_type))
        for data_type in dict.fromkeys(planned.values())
        if data_type in types.values()
    }


def _template(name: str, dataset_id: int) -> str:
    """What the name would be an instance of; "" when it is none."""
    template, dot, ending = name.rpartition(".")
    return template if dot and ending.isdecimal() and name == instance_name(template, dataset_id) else ""


def unite_outputs(known: Mapping[str, Iterable[str]], found: Outputs) -> dict[str, tuple[str, ...]]:
    """What is known and what was found now; a name once seen is never forgotten."""
    kinds = dict.fromkeys([*known, *found])
    return {kind: tuple(sorted({*known.get(kind, ()), *found.get(kind, ())})) for kind in kinds}


def types_of(outputs: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Name of each dataset -> its data type."""
    return {name: data_type for data_type, names in outputs.items() for name in names}
