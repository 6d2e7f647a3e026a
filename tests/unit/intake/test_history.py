"""Lists of tasks as people export them: units, misprints and odd names are flagged, never averaged."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prodsys.errors import FileUnreadable, SpecInvalid
from prodsys.intake.csv_table import read_csv
from prodsys.intake.history import HistoryTask, WallUnit, read_history, read_table, read_units
from prodsys.settings import REPOSITORY

DATA = REPOSITORY / "tests" / "data"
HEAD = (
    "Task ID,Task name,Status,Start date,End date,Walltime,Total events,Events per job,Total jobs,"
    '"Out DS size, GB","Out Log size, GB"'
)
GOOD = {
    "id": "364", "name": "PROD2031-014.SIM", "status": "done", "start": "03 May 2031", "end": "04 May 2031",
    "wall": "24612", "events": "40000", "per": "4000", "jobs": "10", "size": "18.36", "log": "0.01",
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """Read a list of one task with these cells changed."""

    def make(units: dict[str, WallUnit] | None = None, **cells: str) -> HistoryTask:
        path = tmp_path / "tasks.csv"
        path.write_text(f"{HEAD}\n{','.join((GOOD | cells).values())}\n", encoding="utf-8")
        [task] = read_history(path, units).tasks
        return task

    return make


def flags(task: HistoryTask) -> list[tuple[str, str]]:
    return [(flag.column, flag.message) for flag in task.flags]


def test_the_list_of_may_is_read_and_its_doubtful_cells_are_flagged():
    history = read_history(DATA / "panda_tasks.csv")
    assert [task.jedi_task_id for task in history.tasks] == [364, 363, 362, 359, 358, 357, 356, 355, 354, 353]
    flagged = [(flag.row, flag.column) for flag in history.flags]
    assert flagged == [
        (3, "Walltime"), (5, "Walltime"), (7, "Walltime"), (9, "Walltime"), (10, "Walltime"),
        (11, "Task name"), (11, "Walltime"),
    ]  # fmt: skip
    assert [task.wall_s for task in history.tasks if task.wall_s] == [24612, 24899, 23316, 22496]


def test_the_misprints_of_autumn_are_found_by_their_own_row():
    history = read_history(DATA / "panda_tasks_autumn.csv")
    misprints = [flag for flag in history.flags if flag.column == "Total events"]
    assert [(flag.row, flag.value) for flag in misprints] == [(2, "4000000"), (4, "4000000"), (6, "4000000")]
    assert "10000 jobs of 4000 are 40000000" in misprints[0].message
    assert [task.events for task in history.tasks if task.row in {2, 4, 6}] == [None, None, None]


def test_a_good_row_has_all_its_figures(read):
    task = read()
    assert (task.request_id, task.kind, task.jobs, task.events) == ("PROD2031-014", "SIM", 10, 40_000)
    assert (task.bytes, task.wall_s, task.span_h, task.flags) == (18_360_000_000, 24612, 48.0, ())


@pytest.mark.parametrize(
    ("cells", "column", "words"),
    [
        ({"name": "MC2025_S1-003-SIM.4"}, "Task name", "not the name of a request's task"),
        ({"status": "done?"}, "Status", "did you mean"),
        ({"status": "aborted"}, "Status", "not a status of a task that brought something"),
        ({"start": "yesterday"}, "Start date", "not a date"),
        ({"end": "01 May 2031"}, "End date", "lies before the start 2031-05-03"),
        ({"wall": "0"}, "Walltime", "no time of a job"),
        ({"wall": "20"}, "Walltime", "has no unit: 20 s if in s, 1200 s if in min, 72000 s if in h"),
        ({"events": "4000"}, "Total events", "10 jobs of 4000 are 40000"),
        ({"jobs": "9"}, "Total events", "9 jobs of 4000 are 36000"),
        ({"jobs": "many"}, "Total jobs", "not a whole number"),
        ({"size": "0.00"}, "Out DS size, GB", "no size of an output"),
        ({"size": '"18,358"'}, "Out DS size, GB", "in two ways"),
        ({"size": "18 TB"}, "Out DS size, GB", "not a number"),
    ],
)
def test_a_doubtful_cell_is_flagged_with_row_value_and_reason(read, cells, column, words):
    task = read(**cells)
    [found] = [flag for flag in task.flags if flag.column == column]
    assert found.row == 2
    assert words in f"{found.message} {found.remedy}"


def test_a_finished_task_may_lack_some_jobs_but_not_most(read):
    assert read(status="finished", jobs="9").events == 36_000
    assert read(status="finished", jobs="4").events is None
    assert read(status="finished", jobs="11").events is None


def test_events_that_the_list_leaves_out_are_those_of_the_request(read):
    task = read(name="PROD2031-014.RECO", events="None", per="None", wall="")
    assert (task.events, task.events_left_out, task.flags) == (None, True, ())


@pytest.mark.parametrize(("wall", "seconds"), [("24612", 24612), ("1000", None), ("47.5", None)])
def test_a_unit_is_taken_only_when_the_dates_leave_no_other(read, wall, seconds):
    assert read(wall=wall).wall_s == seconds


def test_a_unit_that_a_person_names_is_taken_when_it_is_possible(read):
    units = read_units(["SIM=min"])
    assert read(units, wall="400").wall_s == 24_000
    task = read(units, wall="24612")
    assert (task.wall_s, flags(task)) == (None, [("Walltime", "min would be a job of 410 h in a task of 48.0 h")])


@pytest.mark.parametrize("text", ["SIM", "SIM=days", "=", "SIM=s;RECO=min"])
def test_a_unit_of_another_form_is_refused_with_the_right_one(text):
    with pytest.raises(SpecInvalid, match="RECO=min"):
        read_units([text])


def test_a_task_that_stands_there_twice_counts_once(tmp_path):
    path = tmp_path / "tasks.csv"
    row = ",".join(GOOD.values())
    path.write_text(f"{HEAD}\n{row}\n{row}\n", encoding="utf-8")
    history = read_history(path)
    assert (len(history.tasks), [fault.row for fault in history.faults]) == (1, [3])


def test_another_table_is_refused_with_the_headings_that_are_meant():
    with pytest.raises(FileUnreadable, match="Task name"):
        read_history(Path(REPOSITORY / "include" / "demo" / "requests_sheet.csv"))


def test_a_row_without_id_is_a_fault_and_the_others_are_read(tmp_path):
    path = tmp_path / "tasks.csv"
    good = ",".join(GOOD.values())
    path.write_text(f"{HEAD}\n{good.replace('364', 'x', 1)}\n{good}\n", encoding="utf-8")
    history = read_history(path)
    assert ([task.row for task in history.tasks], [fault.row for fault in history.faults]) == ([3], [2])


CELL = st.text(st.characters(blacklist_characters="\r\n\x00", codec="utf-8"), max_size=30)


@example(column="id", text="\u2028")  # a line end to Python, not to a table
@given(column=st.sampled_from(list(GOOD)), text=CELL)
def test_whatever_stands_in_a_cell_the_row_is_read_or_flagged(column, text):
    cells = GOOD | {column: text}
    out = io.StringIO()
    csv.writer(out).writerow(cells.values())
    history = read_table(read_csv(f"{HEAD}\n{out.getvalue()}", Path("tasks.csv")))
    assert len(history.tasks) + len(history.faults) >= 1
    for task in history.tasks:
        assert task.jobs is None or task.jobs > 0
        assert task.events is None or task.events > 0
