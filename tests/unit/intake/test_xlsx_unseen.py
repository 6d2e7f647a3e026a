"""Workbooks that say one thing and hold another: sizes, hidden rows, dates, shortened numbers, bombs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path

import pytest
from openpyxl.styles import Font

from prodsys.intake.files import read_files
from prodsys.intake.xlsx_formats import shown_otherwise
from prodsys.intake.xlsx_parts import unescape
from tests.unit.intake.corpus import (
    ENERGY,
    EVENTS,
    GEOMETRY,
    PER_FILE,
    REPOSITORY,
    SEEDS,
    STATUS,
    reco,
    request,
    sheet,
    xlsx_bytes,
)
from tests.unit.intake.test_database import ROW as DATABASE_ROW

CASES = REPOSITORY / "tests" / "data" / "cases"
_MEASURE = """
import json, resource, sys, time
from pathlib import Path
from prodsys.intake.catalogue import load_catalogue
from prodsys.intake.files import read_files
def peak_kb():  # not ru_maxrss, which a child inherits from its parent
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
catalogue = load_catalogue(Path(sys.argv[2]), "sandbox")
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
before, began = peak_kb(), time.process_time()
intake = read_files([Path(sys.argv[1])], catalogue)
memory = peak_kb() - before
faults = [str(fault) for fault in intake.faults]
print(json.dumps({"mb": memory / 1024, "cpu_s": time.process_time() - began, "faults": faults}))
"""


def measure(path: Path) -> dict:
    """Memory, time and faults of reading one file, in a process of its own."""
    command = [sys.executable, "-c", _MEASURE, str(path), str(REPOSITORY / "include" / "specs")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY / "plugins", timeout=100)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["dim_short", "dim_a1", "dim_narrow"])
def test_the_size_that_a_worksheet_names_is_not_believed(name, catalogue):
    intake = read_files([CASES / "01-xlsx-dimension" / f"{name}.xlsx"], catalogue)
    assert [one.spec.request_id for one in intake.accepted] == [f"PROD2026-{number}" for number in range(100, 106)]
    assert intake.faults == ()


def test_what_nobody_sees_is_named_and_not_imported(catalogue):
    intake = read_files([CASES / "06-hidden-rows" / "hidden.xlsx"], catalogue)
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2026-142"]
    assert intake.faults == ()
    said = {(note.row, note.value, note.message.partition(":")[0]) for note in intake.notes}
    assert {
        (3, "PROD2026-140", "is a hidden row"),
        (4, "reco", "is a hidden row"),
        (5, "PROD2026-141", "is struck out"),
        (6, "reco", "is struck out"),
        (None, "old drafts", "is a hidden worksheet"),
    } <= said


def _hide(*lines: int):
    def change(book):
        for line in lines:
            book.active.row_dimensions[line].hidden = True

    return change


def test_a_request_that_is_hidden_in_part_is_a_fault_and_its_rows_join_no_other_request(read):
    alone = request(1)
    rows = [*sheet()[:2], alone, request(2), reco(), request(3), reco()]
    intake = read(xlsx_bytes(rows, _hide(4)), "sheet.xlsx")
    assert {one.spec.request_id for one in intake.accepted} == {"PROD2031-001", "PROD2031-003"}
    [fault] = intake.faults
    assert (fault.row, fault.value) == (4, "PROD2031-002")
    assert "other rows of its request are not" in fault.message
    hidden_step = read(xlsx_bytes(rows, _hide(7)), "sheet.xlsx")
    assert {one.spec.request_id for one in hidden_step.accepted} == {"PROD2031-001", "PROD2031-002"}
    assert [fault.row for fault in hidden_step.faults] == [7]


def test_one_struck_cell_in_a_row_is_a_fault(read):
    def change(book):
        book.active.cell(3, SEEDS + 1).font = Font(strike=True)

    [fault] = read(xlsx_bytes(sheet(request(1)), change), "sheet.xlsx").faults
    assert (fault.row, fault.column, fault.message) == (3, "Initial seed", "is struck out")


def test_a_hidden_column_is_read_with_a_note(read):
    def change(book):
        book.active.column_dimensions["F"].hidden = True

    intake = read(xlsx_bytes(sheet(request(1)), change), "sheet.xlsx")
    assert len(intake.accepted) == 1
    assert any(note.column == "F" and "hidden column" in note.message for note in intake.notes)


def test_escaped_characters_are_decoded(read):
    assert unescape("a_x000D_b_x005F_x0041_") == "a\rb_x0041_"
    content = xlsx_bytes(sheet(request(1, geometry="DSSD,_x000D_\nTS_x0009_")))
    [accepted] = read(content, "sheet.xlsx").accepted
    assert accepted.spec.geometry == "DSSD, TS"


@pytest.mark.parametrize(
    ("column", "value", "number_format", "words"),
    [
        (SEEDS, date(2031, 1, 12), "dd.mm.yyyy", "is a date"),
        (SEEDS, 48000, "d-mmm", "is a date"),
        (SEEDS, 100000, "0.00E+00", "not in plain digits"),
        (SEEDS, 1.0e16, "General", "more digits than a spreadsheet keeps"),
        (ENERGY, 27.4, "0", "is shown as 27, but the cell holds 27.4"),
        (ENERGY, 27.000000000001, "General", "is shown as 27"),
        (ENERGY, 27, '0" MeV"', "is shown with 'mev'"),
        (ENERGY, 0.27, "0%", "not in plain digits"),
        (EVENTS, 40_000_000, "0,", "not in plain digits"),
    ],
)
def test_a_cell_that_shows_another_number_than_it_holds_is_a_fault(read, column, value, number_format, words):
    def change(book):
        cell = book.active.cell(3, column + 1)
        cell.value, cell.number_format = value, number_format

    intake = read(xlsx_bytes(sheet(request(1)), change), "sheet.xlsx")
    assert intake.accepted == ()
    assert [fault.row for fault in intake.faults] == [3]
    assert words in intake.faults[0].message
    assert intake.faults[0].remedy


@pytest.mark.parametrize(
    ("value", "code"),
    [(40000, "#,##0"), (40000, "General"), (4.1, "0.0"), (13.5, "0.00"), (27, '0" GeV"'), (5, "@"), (1e12, "0")],
)
def test_a_number_that_is_shown_as_it_is_will_do(value, code):
    assert shown_otherwise(value, code) == ""


def test_numbers_of_cells_are_read_as_they_are_shown(read):
    cells: list[object] = [*request(1)]
    cells[ENERGY], cells[EVENTS], cells[PER_FILE], cells[SEEDS] = 1.877, 4000, 4000, 7
    [accepted] = read(xlsx_bytes([*sheet()[:2], cells, reco()]), "sheet.xlsx").accepted
    assert (accepted.spec.energy_gev, accepted.spec.events, accepted.spec.seed_count) == (1.877, 4000, 1)


def test_a_version_that_became_a_number_is_a_fault(read):
    cells: dict[str, object] = DATABASE_ROW | {"version": 4.1}
    [fault] = read(xlsx_bytes([[*cells], [*cells.values()]]), "db.xlsx").faults
    assert (fault.column, fault.value) == ("version", "4.1")
    assert "format the cell as text" in fault.remedy


def test_a_date_in_a_column_that_nobody_reads_is_no_fault(read):
    rows: list[list[object]] = [[*row] for row in sheet(request(1))]
    for row, extra in zip(rows, ["Asked for on", "", date(2031, 1, 1), ""], strict=True):
        row += [*[""] * (20 - len(row)), extra]
    intake = read(xlsx_bytes(rows), "sheet.xlsx")
    assert (len(intake.accepted), intake.faults) == (1, ())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("s02-xlsx-merge-memory/51-merge.xlsx", "A1:XFD1048576"),
        ("s02-xlsx-merge-memory/52-merge2.xlsx", "A1:CV1048576"),
        ("s03-xlsx-wide-rows/50-wide4000.xlsx", "XFD"),
    ],
)
def test_blocks_and_far_cells_are_refused_in_a_second_and_a_hundred_megabytes(name, words):
    found = measure(CASES / name)
    assert any(words in fault for fault in found["faults"])
    assert found["mb"] < 100
    assert found["cpu_s"] < 2


def _workbook(tmp_path: Path, **parts: object) -> Path:
    """A good workbook with some of its parts replaced, `sheet1` by pieces of XML."""
    source = zipfile.ZipFile(io.BytesIO(xlsx_bytes(sheet(request(1)))))
    path = tmp_path / "odd.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            stem = Path(name).stem
            if stem not in parts:
                target.writestr(name, source.read(name))
        for stem, pieces in parts.items():
            folder = "xl/worksheets" if stem.startswith("sheet") else "xl"
            with target.open(f"{folder}/{stem}.xml", "w") as stream:
                for piece in pieces:  # type: ignore[attr-defined]
                    stream.write(piece.encode())
    return path


_HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
_TAIL = "</sheetData></worksheet>"
_MEGABYTE = "x" * 1_000_000
_ODD_SHEETS = {
    "a text of 90 MB": [_HEAD, '<row r="1"><c r="A1" t="inlineStr"><is><t>', *[_MEGABYTE] * 90, "</t></is></c></row>"],
    "a tag of 90 MB": [_HEAD, '<row r="1" x="', *[_MEGABYTE] * 90, '"></row>'],
    "a value of 90 MB": [_HEAD, '<row r="1"><c r="A1"><v>', *["9" * 1_000_000] * 90, "</v></c></row>"],
    "very many elements": [_HEAD, *["<c/>" * 250_000] * 30],
    "very many full rows": [
        _HEAD,
        *(f'<row r="{n}"><c r="A{n}"><v>1</v></c><c r="IV{n}"><v>1</v></c></row>' for n in range(1, 60_000)),
    ],
    "entities": ['<!DOCTYPE x [<!ENTITY a "b">]>', _HEAD, '<row><c t="str"><v>&a;</v></c></row>'],
    "rows that go back": [_HEAD, '<row r="5"><c r="A5"><v>1</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>'],
    "merged all over": [
        _HEAD,
        *(f'<row r="{n}"><c r="A{n}"><v>1</v></c><c r="IV{n}"><v>1</v></c></row>' for n in range(1, 2_000)),
        "</sheetData><mergeCells>",
        *('<mergeCell ref="A1:IV1048576"/>' for _ in range(9_000)),
        "</mergeCells><sheetData>",
    ],
    "no such text": [_HEAD, '<row r="1"><c r="A1" t="s"><v>77</v></c></row>'],
    "a number that is none": [_HEAD, '<row r="1"><c r="A1"><v>4.1.7</v></c></row>'],
    "a number that is not finite": [_HEAD, '<row r="1"><c r="A1"><v>nan</v></c></row>'],
}


@pytest.mark.parametrize("what", _ODD_SHEETS)
def test_an_odd_worksheet_is_one_fault_in_bounded_time_and_memory(what, tmp_path):
    found = measure(_workbook(tmp_path, sheet1=[*_ODD_SHEETS[what], _TAIL]))
    assert found["faults"]
    assert found["mb"] < 100
    assert found["cpu_s"] < 10


def test_huge_shared_texts_are_refused(tmp_path):
    pieces = ["<sst><si><t>", *[_MEGABYTE] * 90, "</t></si></sst>"]
    found = measure(_workbook(tmp_path, sharedStrings=pieces))
    assert "32,767 characters" in found["faults"][0]
    assert found["mb"] < 100


def test_texts_that_cells_share_are_read_and_how_they_are_pronounced_is_not(tmp_path, catalogue):
    texts = ['<r><t>PROD2031-</t></r><r><t>001</t></r><rPh sb="0" eb="1"><t>XX</t></rPh>', "<t>Ready</t>"]
    shared = "<sst>" + "".join(f"<si>{text}</si>" for text in texts) + "</sst>"
    original = zipfile.ZipFile(io.BytesIO(xlsx_bytes(sheet(request(1))))).read("xl/worksheets/sheet1.xml").decode()
    xml = original
    for number, (cell, text) in enumerate([("A3", "PROD2031-001"), ("B3", "Ready")]):
        old = f'<c r="{cell}" t="inlineStr"><is><t>{text}</t></is></c>'
        assert old in xml
        xml = xml.replace(old, f'<c r="{cell}" t="s"><v>{number}</v></c>')
    path = _workbook(tmp_path, sheet1=[xml], sharedStrings=[shared])
    [accepted] = read_files([path], catalogue).accepted
    assert accepted.spec.request_id == "PROD2031-001"
    struck = shared.replace("<r><t>001", "<r><rPr><strike/></rPr><t>001")
    [fault] = read_files([_workbook(tmp_path, sheet1=[xml], sharedStrings=[struck])], catalogue).faults
    assert (fault.row, fault.message) == (3, "is struck out")


def test_a_workbook_with_a_password_says_so(read):
    [fault] = read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "sheet.xlsx").faults
    assert "password" in fault.message


def test_good_cells_stay_good(read):
    content = xlsx_bytes(sheet(request(1, geometry="DSSD, TS"), request(2)))
    intake = read(content, "sheet.xlsx")
    assert [(one.spec.geometry, one.row) for one in intake.accepted] == [
        ("DSSD, TS", 3),
        (request(2)[GEOMETRY], 5),
    ]
    assert request(1)[STATUS] == "Ready"
