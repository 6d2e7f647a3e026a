"""The sheet: as it is, and as people write it."""

from __future__ import annotations

import random

import pytest

from prodsys.intake.files import read_files
from prodsys.model.seeds import show
from prodsys.model.statuses import RecordedStatus
from tests.unit.intake.corpus import DEMO, HEADINGS, SUB, TOP, csv_text, reco, request, sheet


def test_the_sheet_of_2025_is_read_whole(catalogue):
    intake = read_files([DEMO / "requests_sheet.csv"], catalogue)
    assert intake.faults == ()
    found = {one.spec.request_id: one for one in intake.accepted}
    assert list(found) == [f"PROD2025-0{number}" for number in range(10, 17)]
    assert [one.row for one in intake.accepted] == [3, 4, 6, 8, 10, 12, 14]
    assert [one.spec.recorded_status.value for one in intake.accepted] == ["done"] * 4 + ["running", "ready", "ready"]
    last = found["PROD2025-016"].spec
    assert (last.campaign, last.stage, last.collision, last.energy_gev) == ("SPD MC 2025", "S2", "pp", 27)
    assert (last.software, last.version, last.tag) == ("spdroot-dev", "4.1.7.2", "minbias-P8-spdroot4172-dev")
    assert (last.events, last.events_per_file, show(last.seeds)) == (40_000_000, 4000, "40001-50000")
    assert (last.chain, last.labels, last.partition) == ("SIM-RECO", ("test",), None)


def test_what_was_understood_in_the_sheet_of_2025_is_noted(catalogue):
    intake = read_files([DEMO / "requests_sheet.csv"], catalogue)
    notes = {(note.row, note.column, note.value) for note in intake.notes}
    assert (10, "Status", "Runnig") in notes
    assert (3, "Processing type", "reco") in notes
    assert sum(note.column.startswith("Short description") for note in intake.notes) == 6
    assert len(intake.notes) == 8


@pytest.mark.parametrize("seed", range(6))
def test_columns_are_found_in_any_order(read, seed):
    order = list(range(len(TOP)))
    random.Random(seed).shuffle(order)
    rows = [[row[place] for place in order] for row in sheet(request(1), request(2))]
    intake = read(rows)
    assert not intake.faults
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-001", "PROD2031-002"]


def test_one_row_of_headings_will_do(read):
    assert len(read([HEADINGS, request(), reco()]).accepted) == 1


def test_rows_above_the_headings_and_blank_rows_are_skipped(read):
    rows = [["MC requests 2031"], [""], TOP, SUB, [""], request(1), reco(), [""] * 13, request(2), reco()]
    intake = read(rows)
    assert not intake.faults
    assert [one.row for one in intake.accepted] == [6, 9]


def test_every_fault_of_a_row_is_named_with_row_column_value_and_remedy(read):
    bad = request(2, status="Dnoe", energy="27 MeV", seeds="5-1", per_file="x", software="spdroot")
    intake = read(sheet(request(1), bad, request(3)))
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-001", "PROD2031-003"]
    assert {(fault.row, fault.column, fault.value) for fault in intake.faults} == {
        (5, "Status", "Dnoe"),
        (5, "Energy", "27 MeV"),
        (5, "Initial seed", "5-1"),
        (5, "Events per file", "x"),
        (5, "Software type/version", "spdroot"),
    }
    assert all(fault.remedy for fault in intake.faults)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"id": "PROD31-1"}, "Production name/ID"),
        ({"id": "PRDO2031-001"}, "Production name/ID"),
        ({"status": ""}, "Status"),
        ({"stage": "two"}, "Stage"),
        ({"collision": "p+p"}, "Collision type"),
        ({"geometry": "<script>alert(1)</script>"}, "Geometry type"),
        ({"geometry": "{{ jinja }}"}, "Geometry type"),
        ({"geometry": "=cmd|' /C calc'!A0"}, "Geometry type"),
        ({"energy": "27 apples"}, "Energy"),
        ({"polarization": "U/U"}, "Polarization"),
        ({"software": "spdroot-dve-4.1.7.2"}, "Software type/version"),
        ({"tag": "'; drop table requests; --"}, "Short description (for datasets naming)"),
        ({"tag": "x" * 240}, "Short description (for datasets naming)"),
        ({"events": "39 999"}, "Number of events"),
        ({"per_file": "0"}, "Events per file"),
        ({"seeds": "1-9"}, "Number of events"),
        ({"seeds": "1"}, "Number of events"),
        ({"step": "merge"}, "Processing type"),
    ],
)
def test_a_faulty_cell_refuses_its_request_and_no_other(read, change, column):
    intake = read(sheet(request(7), request(8, **change), request(9)))
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-007", "PROD2031-009"]
    assert {(fault.row, fault.column) for fault in intake.faults} == {(5, column)}
    assert len(intake.faults) == 1


def test_events_that_do_not_follow_from_the_seeds_come_with_both_ways_out(read):
    [fault] = read(sheet(request(1, seeds="1", events="40 000"))).faults
    assert fault.remedy == "for these seeds write 4000 events; for these events 10 seeds, such as 1-10"


def test_a_software_that_the_table_lacks_is_noted_not_refused(read):
    intake = read(sheet(request(1, software="sampo-1.0"), request(2, software="spdroot-dev-4.1.8.0")))
    assert len(intake.accepted) == 2
    assert [note.value for note in intake.notes] == ["sampo", "4.1.8.0"]


def test_a_request_of_one_step_gets_the_whole_chain_with_a_note(read):
    intake = read([TOP, SUB, request(1, step="reco"), request(2)])
    assert [one.spec.chain for one in intake.accepted] == ["SIM-RECO", "SIM-RECO"]
    assert ["only this step" in note.message for note in intake.notes] == [True, True]


def test_the_order_of_steps_does_not_matter(read):
    intake = read([TOP, SUB, request(1, step="reco"), [""] * 12 + ["simu"]])
    assert (len(intake.accepted), intake.notes) == (1, ())


@pytest.mark.parametrize(
    ("rows", "row", "column"),
    [
        ([reco(), request(2), reco()], 3, "Production name/ID"),
        ([request(1, id=""), reco(), request(2), reco()], 3, "Production name/ID"),
        ([request(2), reco(), reco()], 5, "Processing type"),
        ([request(2), ["", "Done", *reco()[2:]]], 4, "Status"),
        ([request(2), [""] * 12 + ["rceo"]], 4, "Processing type"),
        ([request(2), request(3, id=""), reco()], 4, "Production name/ID"),
    ],
)
def test_rows_without_an_id_must_be_steps(read, rows, row, column):
    intake = read([TOP, SUB, *rows])
    assert [(fault.row, fault.column) for fault in intake.faults] == [(row, column)]


def test_an_id_that_stands_twice_names_both_rows(read):
    intake = read(sheet(request(1), request(2), request(1, status="Done")))
    [fault] = intake.faults
    assert (fault.row, fault.column, fault.value) == (7, "Production name/ID", "PROD2031-001")
    assert "rows 3 and 7" in fault.message
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-002"]


def test_an_id_that_stands_twice_is_named_even_when_one_row_is_faulty(read):
    intake = read(sheet(request(1), request(2), request(1, energy="x")))
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-002"]
    assert [(fault.row, fault.column) for fault in intake.faults] == [(7, "Energy"), (7, "Production name/ID")]


def test_a_misspelt_sub_heading_is_named_in_its_own_row(read):
    sub = [*SUB[:5], "Enrgy", *SUB[6:]]
    [fault] = read([TOP, sub, request(1), reco()]).faults
    assert (fault.row, fault.column) == (2, "Enrgy")
    assert "did you mean 'Energy'?" in fault.remedy


def test_the_same_row_twice_is_named_and_kept_once(read):
    intake = read(sheet(request(1), request(1)))
    assert (len(intake.accepted), len(intake.faults)) == (1, 1)


def test_swapped_columns_are_faults_of_both(read):
    rows = sheet(request(1))
    rows[2][5], rows[2][6] = rows[2][6], rows[2][5]
    assert {fault.column for fault in read(rows).faults} == {"Energy", "Polarization"}


def test_a_misspelt_heading_is_named_with_the_one_that_was_meant(read):
    top = [*TOP[:9], "Numbr of evnts", *TOP[10:]]
    [fault] = read([top, SUB, request(1), reco()]).faults
    assert (fault.row, fault.column) == (1, "Numbr of evnts")
    assert "did you mean 'Number of events'?" in fault.remedy


def test_a_missing_heading_and_a_double_one_are_named(read):
    top = [*TOP[:10], "Number of events", *TOP[11:]]
    faults = read([top, SUB, request(1), reco()]).faults
    assert {(fault.column, fault.message) for fault in faults} == {
        ("Number of events", "stands there twice as a heading"),
        ("Events per file", "there is no such column"),
    }


def test_a_column_nobody_knows_is_noted(read):
    rows = [[*row, extra] for row, extra in zip(sheet(request(1)), ["Comment", "", "x", ""], strict=True)]
    intake = read(rows)
    assert (len(intake.accepted), intake.faults) == (1, ())
    assert [note.column for note in intake.notes] == ["Comment"]


def test_a_row_shifted_by_a_text_without_quotation_marks_says_so(read):
    text = csv_text(sheet(request(1), request(2))).replace('"DSSD, TS, TOF"', "DSSD, TS, TOF", 1)
    intake = read(text)
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-002"]
    assert any("quotation marks" in fault.remedy for fault in intake.faults)


def test_ready_is_what_the_book_says_and_no_more(read):
    [accepted] = read(sheet(request(1))).accepted
    assert accepted.spec.recorded_status is RecordedStatus.READY


def test_a_sheet_may_have_a_column_of_bunches(read):
    rows = sheet(request(1), request(2))
    for row, cell in zip(rows, ("Bunches", "", "5", "", "", ""), strict=True):
        row.append(cell)
    intake = read(rows)
    assert intake.faults == ()
    assert [one.spec.bunches for one in intake.accepted] == [5, 1]
    rows[3][-1] = "5"
    assert [(fault.row, fault.column) for fault in read(rows).faults] == [(4, "Bunches")]
