"""Workbooks: what CSV cannot hold."""

from __future__ import annotations

import io
import zipfile
from datetime import date

from tests.unit.intake.corpus import DEMO, EVENTS, ID, SEEDS, reco, request, sheet, xlsx_bytes
from tests.unit.intake.corpus import PER_FILE as PER_FILE_COLUMN


def test_a_workbook_is_read_like_its_csv(read, catalogue):
    import csv

    from prodsys.intake.files import read_files

    with (DEMO / "requests_sheet.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    intake = read(xlsx_bytes(rows), "sheet.xlsx")
    same = read_files([DEMO / "requests_sheet.csv"], catalogue)
    assert [(one.spec, one.row) for one in intake.accepted] == [(one.spec, one.row) for one in same.accepted]
    assert not intake.faults
    assert len(intake.notes) == len(same.notes)


def test_a_workbook_is_recognised_by_its_content(read):
    assert len(read(xlsx_bytes(sheet(request(1))), "sheet.csv").accepted) == 1


def test_numbers_of_the_spreadsheet_are_numbers(read):
    cells: list[object] = [*request(1)]
    cells[EVENTS], cells[PER_FILE_COLUMN] = 40_000, 4000.0
    assert len(read(xlsx_bytes([*sheet()[:2], cells, reco()]), "sheet.xlsx").accepted) == 1


def test_a_formula_is_refused_and_named(read):
    rows = sheet(request(1), request(2, events="=4000*10"))
    intake = read(xlsx_bytes(rows), "sheet.xlsx")
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-001"]
    [fault] = intake.faults
    assert (fault.row, fault.column, fault.value) == (5, "Number of events", "=4000*10")
    assert "formula" in fault.message


def test_merged_cells_are_refused_and_named(read):
    rows = sheet(request(1), request(2))
    content = xlsx_bytes(rows, lambda book: book.active.merge_cells("A5:A6"))
    intake = read(content, "sheet.xlsx")
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-001"]
    assert {(fault.row, fault.column) for fault in intake.faults} == {
        (5, "Production name/ID"),
        (6, "Production name/ID"),
    }
    assert all("merged cells A5:A6" in fault.message and "unmerge" in fault.remedy for fault in intake.faults)


def test_merged_headings_are_named_and_read_all_the_same(read):
    content = xlsx_bytes(sheet(request(1)), lambda book: book.active.merge_cells("C1:G1"))
    intake = read(content, "sheet.xlsx")
    assert len(intake.accepted) == 1
    assert [(fault.row, fault.value) for fault in intake.faults] == [(1, "C1:G1")]
    assert "merged" in intake.faults[0].message


def test_seeds_that_the_spreadsheet_made_a_date_of_are_named(read):
    cells: list[object] = [*request(2)]
    cells[SEEDS] = date(2031, 1, 12)
    intake = read(xlsx_bytes([*sheet(request(1)), cells, reco()]), "sheet.xlsx")
    [fault] = intake.faults
    assert (fault.row, fault.column) == (5, "Initial seed")
    assert "is a date" in fault.message


def test_blank_rows_and_a_second_worksheet(read):
    def change(book):
        other = book.create_sheet("Notes")
        other.append(["call", "the", "detector", "people"])

    rows = [*sheet(request(1)), [None] * 13, request(2), reco()]
    intake = read(xlsx_bytes(rows, change), "sheet.xlsx")
    assert [one.row for one in intake.accepted] == [3, 6]
    assert not intake.faults
    assert any("Notes" in note.file for note in intake.notes)


def test_a_damaged_workbook_says_so(read):
    content = xlsx_bytes(sheet(request(1)))
    source = zipfile.ZipFile(io.BytesIO(content))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name)[:-40] if "sheet1" in name else source.read(name))
    [fault] = read(out.getvalue(), "sheet.xlsx").faults
    assert "damaged workbook" in fault.message
    [fault] = read(content[: len(content) // 2], "sheet.xlsx").faults
    assert "not a workbook" in fault.message


def test_an_empty_workbook_says_so(read):
    [fault] = read(xlsx_bytes([]), "sheet.xlsx").faults
    assert "is empty" in fault.message


def test_a_packed_bomb_is_refused(read):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target, target.open("xl/workbook.xml", "w") as part:
        for _ in range(101):
            part.write(b" " * 1_000_000)
    [fault] = read(out.getvalue(), "sheet.xlsx").faults
    assert "is huge" in fault.message


def test_an_entity_bomb_is_refused(read):
    content = xlsx_bytes(sheet(request(1)))
    source = zipfile.ZipFile(io.BytesIO(content))
    out = io.BytesIO()
    bomb = (
        "<!DOCTYPE x [<!ENTITY a0 'ha'>"
        + "".join(f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 12))
        + "]>"
    )
    with zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            if "sheet1" in name:
                text = bomb.encode() + b"<worksheet><sheetData><row><c><v>&a11;</v></c></row></sheetData></worksheet>"
            target.writestr(name, text)
    intake = read(out.getvalue(), "sheet.xlsx")
    assert not intake.accepted
    assert intake.faults


def test_a_row_without_an_id_cell_is_a_step(read):
    rows: list[list[object]] = [*sheet(request(1))]
    rows[3] = [None] * 12 + ["reco"]
    intake = read(xlsx_bytes(rows), "sheet.xlsx")
    assert [one.spec.chain for one in intake.accepted] == ["SIM-RECO"]
    assert rows[2][ID] == "PROD2031-001"
