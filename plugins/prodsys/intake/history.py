"""Lists of PanDA tasks that have ended, as a panel exports them: figures for estimates, and flags of doubtful ones.

A figure that contradicts its own row, or whose unit is not certain, is flagged and not used. The list of 2025 has
walltimes without a unit; a unit is taken when the dates of the task leave only one, or when a person names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from prodsys.errors import FileUnreadable, SpecInvalid
from prodsys.intake import cells
from prodsys.intake.cells import CellRefused, Reading
from prodsys.intake.csv_table import read_csv
from prodsys.intake.nearest import suggest
from prodsys.intake.reading import Record
from prodsys.intake.result import Fault, Note
from prodsys.intake.rows import check_row, read_cell
from prodsys.intake.table import Form, Headings, Row, Table, data_rows, find_headings
from prodsys.intake.text_file import decode, read_bytes
from prodsys.model.names import TaskName
from prodsys.model.statuses import WITH_OUTPUT, TaskStatus

FORM = Form(
    headings={
        "task_id": "Task ID",
        "task_name": "Task name",
        "status": "Status",
        "started": "Start date",
        "ended": "End date",
        "walltime": "Walltime",
        "events": "Total events",
        "events_per_job": "Events per job",
        "jobs": "Total jobs",
        "bytes": "Out DS size, GB",
        "log_bytes": "Out Log size, GB",
    },
    optional=frozenset({"log_bytes", "walltime"}),
)
NOT_GIVEN = frozenset({"none", "null", "n/a", "-"})
FINISHED_SHARE = 0.5  # a `finished` task brought at least so much of what it was asked for
DAY_H, GB = 24.0, 10**9
_DATES = ("%d %b %Y", "%Y-%m-%d", "%d.%m.%Y")
_DECIMAL = re.compile(r"\d+(?:[.,]\d+)?", re.ASCII)
_TWO_WAYS = re.compile(r"[1-9]\d{0,2},\d{3}", re.ASCII)  # thousands, or a decimal comma


class WallUnit(StrEnum):
    """Unit of a walltime; a walltime is that of one job."""

    SECONDS = "s"
    MINUTES = "min"
    HOURS = "h"


SECONDS = {WallUnit.SECONDS: 1, WallUnit.MINUTES: 60, WallUnit.HOURS: 3600}


@dataclass(frozen=True)
class HistoryTask:
    """One task of a list; a figure that is None was not given or is in doubt."""

    jedi_task_id: int
    task_name: str
    request_id: str | None  # None: the name is not one of ours
    kind: str | None
    status: TaskStatus
    jobs: int | None = None
    events: int | None = None
    events_per_job: int | None = None  # None with `events_left_out`: those of its request
    events_left_out: bool = False  # the list does not give them for this step
    bytes: int | None = None
    wall_s: float | None = None  # of one job
    span_h: float | None = None  # rounded up to whole days
    written: Mapping[str, str] = field(default_factory=dict)  # heading -> cell
    file: str = ""
    row: int = 0
    flags: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class History:
    """What a list gave: tasks, rows that could not be read at all, and how cells were understood."""

    tasks: tuple[HistoryTask, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def flags(self) -> tuple[Fault, ...]:
        """Everything doubtful, in the order of the rows."""
        return tuple(flag for task in self.tasks for flag in task.flags)


def read_units(texts: list[str]) -> dict[str, WallUnit]:
    """Kind of step -> unit of its walltimes, of texts such as ``RECO=min``.

    Raises
    ------
    SpecInvalid
        A text has another form.
    """
    found = {}
    for text in texts:
        kind, equals, unit = text.partition("=")
        if not equals or unit not in set(WallUnit):
            raise SpecInvalid("--walltime", f"{text!r}", f"SIM=s, RECO=min; units: {', '.join(WallUnit)}")
        found[kind.strip().upper()] = WallUnit(unit)
    return found


def read_history(path: Path, units: Mapping[str, WallUnit] | None = None) -> History:
    """Tasks of a list.

    Parameters
    ----------
    path
        A CSV file with the headings of the panel's list of tasks.
    units
        Kind of step -> unit of its walltimes, when a person knows it.

    Raises
    ------
    FileUnreadable
        It is no such list.
    """
    return read_table(read_csv(decode(read_bytes(path), path), path), units)


def read_table(table: Table, units: Mapping[str, WallUnit] | None = None) -> History:
    """Tasks of a table; FileUnreadable when its headings are not those of a list of tasks."""
    headings = find_headings(table, FORM) if table.rows else None
    if headings is None or set(FORM.headings) - FORM.optional - headings.columns.keys():
        wanted = ", ".join(FORM.headings.values())
        raise FileUnreadable(table.file, "is not a list of tasks", f"its headings are: {wanted}")
    read = list(_read_rows(table, headings, units or {}))
    tasks, faults = _once([task for task, _ in read if task])
    notes = [note for _, record in read for note in record.notes]
    lost = [fault for task, record in read if task is None for fault in record.faults]
    return History(tasks, (*table.faults, *headings.faults, *lost, *faults), (*table.notes, *headings.notes, *notes))


def _read_rows(
    table: Table, headings: Headings, units: Mapping[str, WallUnit]
) -> Iterator[tuple[HistoryTask | None, Record]]:
    names = {name: headings.name(name) for name in FORM.headings}
    file = Path(table.file).name
    for row in data_rows(table, headings):
        record = Record(file, row.line, names)
        yield _read_row(record, row, headings, units), record


def _read_row(record: Record, row: Row, headings: Headings, units: Mapping[str, WallUnit]) -> HistoryTask | None:
    check_row(record, row, headings)
    jedi_task_id = read_cell(record, row, headings, "task_id", cells.read_count)
    name = read_cell(record, row, headings, "task_name", cells.read_word)
    if jedi_task_id is None or name is None:
        return None
    parsed = _parse_name(record, name)
    task = HistoryTask(
        jedi_task_id=jedi_task_id,
        task_name=name,
        request_id=parsed.request_id if parsed else None,
        kind=parsed.step if parsed else None,
        status=read_cell(record, row, headings, "status", _read_status) or TaskStatus.UNKNOWN,
        jobs=read_cell(record, row, headings, "jobs", cells.read_count),
        bytes=read_cell(record, row, headings, "bytes", _read_size),
        span_h=_span(record, row, headings),
        written={headings.name(one): row.cell(place) for one, place in headings.columns.items()},
        file=record.file,
        row=row.line,
    )
    task = _with_events(record, row, headings, task)
    task = replace(task, wall_s=_wall(record, row, headings, task, units))
    return replace(task, flags=tuple(record.faults))


def _parse_name(record: Record, name: str) -> TaskName | None:
    try:
        return TaskName.parse(name)
    except SpecInvalid:
        remedy = "names look like PROD2025-016.SIM.2; its figures are kept and compared with nothing"
        record.fault("task_name", name, "is not the name of a request's task", remedy)
        return None


def _read_status(text: str) -> Reading[TaskStatus]:
    status = TaskStatus(text.casefold())
    if status not in WITH_OUTPUT:
        known = ", ".join(sorted(WITH_OUTPUT))
        raise CellRefused("is not a status of a task that brought something", f"{suggest(text, WITH_OUTPUT)} ({known})")
    return Reading(status)


def _read_decimal(text: str) -> Reading[float]:
    if not _DECIMAL.fullmatch(text):
        raise CellRefused("is not a number", "digits and a point: 18358.86")
    if _TWO_WAYS.fullmatch(text):
        remedy = f"write {text.replace(',', '')}, or {text.replace(',', '.')} when the comma is a decimal one"
        raise CellRefused("can be read in two ways", remedy)
    return Reading(float(text.replace(",", ".")))


def _read_size(text: str) -> Reading[int]:
    """Bytes of a size in GB."""
    size = round(_read_decimal(text).value * GB)
    if not size:
        raise CellRefused("is no size of an output", "the size in GB; without it the task tells nothing about volume")
    return Reading(size)


def _read_date(text: str) -> Reading[date]:
    for form in _DATES:
        try:
            return Reading(datetime.strptime(text, form).date())
        except ValueError:
            continue
    raise CellRefused("is not a date", "day, month, year: 03 May 2025")


def _span(record: Record, row: Row, headings: Headings) -> float | None:
    """Hours from the first day to the last, both whole."""
    started = read_cell(record, row, headings, "started", _read_date)
    ended = read_cell(record, row, headings, "ended", _read_date)
    if started is None or ended is None:
        return None
    if ended < started:
        record.fault("ended", ended, f"lies before the start {started}", "one of the dates is wrong")
        return None
    return ((ended - started).days + 1) * DAY_H


def _with_events(record: Record, row: Row, headings: Headings, task: HistoryTask) -> HistoryTask:
    """The task with its events, unless they contradict its jobs."""
    texts = [row.cell(headings.columns[name]).casefold() for name in ("events", "events_per_job")]
    if all(text in NOT_GIVEN for text in texts):
        record.note(
            "events", row.cell(headings.columns["events"]), "is not given: events a job are those of its request"
        )
        return replace(task, events_left_out=True)
    events = read_cell(record, row, headings, "events", cells.read_count)
    per_job = read_cell(record, row, headings, "events_per_job", cells.read_count)
    if not (events and per_job and task.jobs):
        return task
    made = task.jobs * per_job
    least = made if task.status is TaskStatus.DONE else events * FINISHED_SHARE
    if made > events or made < least or (task.status is TaskStatus.DONE and made != events):
        message = f"events, but {task.jobs} jobs of {per_job} are {made}: one of the three is a misprint"
        record.fault("events", events, message, "mend the list and import it again; the row is not used until then")
        return task
    return replace(task, events=made, events_per_job=per_job)


def _wall(
    record: Record, row: Row, headings: Headings, task: HistoryTask, units: Mapping[str, WallUnit]
) -> float | None:
    """Seconds of one job, when the unit is certain."""
    value = read_cell(record, row, headings, "walltime", _read_decimal, required=False)
    if value is None:
        return None
    text = f"{value:g}"
    if value == 0:
        record.fault("walltime", text, "is no time of a job", "not used")
        return None
    longest_s = (task.span_h or 0) * 3600
    possible = [unit for unit in WallUnit if not longest_s or value * SECONDS[unit] <= longest_s]
    named = units.get(task.kind or "")
    if named is not None and named not in possible:
        message = f"{named} would be a job of {value * SECONDS[named] / 3600:.0f} h in a task of {task.span_h} h"
        record.fault("walltime", text, message, "another unit, or the dates are wrong")
        return None
    if named is None and len(possible) != 1:
        readings = (
            ", ".join(f"{value * SECONDS[unit]:.0f} s if in {unit}" for unit in possible) or "none fits the dates"
        )
        remedy = f"if you know it: --walltime {task.kind or 'RECO'}=min; not used until then"
        record.fault("walltime", text, f"has no unit: {readings}", remedy)
        return None
    if named is None:
        words = "has no unit: seconds of a job are taken, since in minutes a job would outlast its task"
        record.note("walltime", text, words)
    return value * SECONDS[named or possible[0]]


def _once(tasks: list[HistoryTask]) -> tuple[tuple[HistoryTask, ...], list[Fault]]:
    """Each task once; rows that name it again are faults."""
    first: dict[int, HistoryTask] = {}
    faults = []
    for task in tasks:
        earlier = first.setdefault(task.jedi_task_id, task)
        if earlier is not task:
            message = f"stands in row {earlier.row} too: that one counts"
            column = FORM.headings["task_id"]
            faults.append(Fault(task.file, task.row, column, str(task.jedi_task_id), message, "delete one of the rows"))
    return tuple(first.values()), faults
