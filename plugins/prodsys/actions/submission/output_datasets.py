"""Names of the datasets that tasks fill, read from PanDA and kept in the ledger (DESIGN decision 16).

The refiner has the last word about them. A name that does not follow from the map is an error at the first look; that
PanDA shows no dataset yet is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from prodsys.actions.core.context import Context
from prodsys.errors import PandaRefused, PandaUnavailable
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.model.outcome import JobRecord
from prodsys.model.outputs import Outputs, match_outputs, types_of, unite_outputs
from prodsys.model.statuses import UNREFINED, TaskStatus
from prodsys.panda.client import OUTPUT_TYPES
from prodsys.panda.task_map import outputs_of_map


def planned_outputs(task: TaskRow) -> dict[str, str]:
    """Name of each dataset as the map of a task has it -> data type, the log last."""
    return outputs_of_map(task.task_map)


def known_outputs(task: TaskRow) -> dict[str, str]:
    """Name of each dataset that a task fills -> data type; the planned name of a type that nobody has seen yet."""
    unseen = {name: kind for name, kind in planned_outputs(task).items() if kind not in task.outputs}
    return types_of(task.outputs) | unseen


def look_at_outputs(ctx: Context, task: TaskRow) -> None:
    """Ask PanDA for the names of the datasets that a task fills, and record them; it may show none yet.

    Raises
    ------
    OutputsUnknown
        A name does not follow from the map.
    """
    assert task.jedi_task_id is not None  # PanDA knows it
    shown = ctx.panda.get_files(task.jedi_task_id, OUTPUT_TYPES)
    _record(ctx, task, [(one.dataset_id, one.name) for one in shown])


def look_once_at_outputs(ctx: Context, task: TaskRow) -> None:
    """The first look at the names, as soon as PanDA can show them; nothing when they are known.

    Raises
    ------
    OutputsUnknown
        A name does not follow from the map.
    """
    if task.outputs or task.jedi_task_id is None or TaskStatus(task.status or TaskStatus.UNSEEN) in UNREFINED:
        return
    with suppress(PandaUnavailable, PandaRefused):  # a read that fails brings no news; the next look is soon
        look_at_outputs(ctx, task)


def outputs_of_jobs(ctx: Context, task: TaskRow, jobs: Iterable[JobRecord]) -> dict[str, str]:
    """As `known_outputs`, after what the jobs tell was recorded.

    Raises
    ------
    OutputsUnknown
        A job wrote into a dataset whose name does not follow from the map: what it brought is not lost.
    """
    files = {(file.dataset_id, file.dataset) for job in jobs for file in job.outputs if file.dataset}
    _record(ctx, task, files)
    return known_outputs(task)


def _record(ctx: Context, task: TaskRow, datasets: Iterable[tuple[int, str]]) -> None:
    found = match_outputs(task.jedi_task_id or 0, planned_outputs(task), datasets)
    if not found:
        return
    with transaction(ctx.sessions) as session:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True)
        known = row.outputs if row is not None else task.outputs
        united = unite_outputs(known, found)
        if row is not None and _listed(united) != known:
            row.outputs = _listed(united)
            words = {"task": row.jedi_task_id, "datasets": sorted(types_of(united))}
            write_audit(session, ctx.who, "outputs", row.task_name.partition(".")[0], **words)
    task.outputs = _listed(united)


def _listed(outputs: Outputs) -> dict[str, list[str]]:
    return {kind: list(names) for kind, names in outputs.items()}
