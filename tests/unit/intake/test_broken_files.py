"""Files that are broken as a whole, or in a way that could take others along."""

from __future__ import annotations

import random

import pytest

from prodsys.intake import csv_table, table
from prodsys.intake.files import read_files
from tests.unit.intake.corpus import SUB, TOP, csv_text, reco, request, sheet

GOOD = csv_text(sheet(request(1), request(2)))
CYRILLIC = csv_text(sheet(request(1, geometry="Магнит, калориметр (эскиз)")))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n  \r\n", "is empty"),
        (CYRILLIC.encode("cp1251"), "is not UTF-8: byte 0xcc at"),
        (CYRILLIC.encode("cp1251"), "line 3"),
        (CYRILLIC.encode("cp1251"), "cp1251"),
        (GOOD.replace("DSSD", "DÉSSD").encode("latin-1"), "latin-1"),
        (GOOD.encode("utf-16"), "UTF-16"),
        (GOOD.replace("pp", "p\x00p").encode(), "NUL byte"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "a picture"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".xls"),
        (b"PK\x03\x04 not a workbook at all", "not a workbook"),
        (random.Random(1).randbytes(5000).replace(b"\x00", b"\x01"), "it looks binary"),
        (b"just a sentence\nand another\n", "is not a table"),
        (b"a,b,c\n1,2,3\n", "is not a list of requests"),
        (b"<html><body>502, Bad, Gateway</body></html>", "is not a list of requests"),
    ],
)
def test_a_file_that_is_no_sheet_gets_one_error_that_says_why(read, content, words):
    intake = read(content)
    assert intake.accepted == ()
    [fault] = intake.faults
    assert words in f"{fault.message} {fault.remedy}"
    assert fault.remedy


def test_a_missing_file_and_a_folder_are_faults_not_crashes(tmp_path, catalogue):
    intake = read_files([tmp_path / "none.csv", tmp_path], catalogue)
    assert [fault.message for fault in intake.faults] == ["is not there, or no ordinary file"]


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, catalogue):
    path = tmp_path / "huge.csv"
    with path.open("wb") as stream:
        stream.truncate(20_000_001)
    [fault] = read_files([path], catalogue).faults
    assert "is huge: 20,000,001 bytes" in fault.message


def test_too_many_rows_are_refused(read):
    [fault] = read("a,b\n" * (table.MAX_ROWS + 2)).faults
    assert "is huge" in fault.message


def test_a_row_of_very_many_cells_costs_itself_and_a_line_that_nobody_wrote_the_file(read):
    intake = read(GOOD + "PROD2031-003" + ",x" * 300 + "\r\n")
    assert len(intake.accepted) == 2
    [fault] = intake.faults
    assert (fault.row, "301 cells, at most 256" in fault.message) == (7, True)
    [fault] = read(GOOD + "," * 200_000).faults
    assert "line 7 holds 200,000 delimiters" in fault.message


def test_a_byte_order_mark_is_taken_off(read):
    assert len(read(b"\xef\xbb\xbf" + GOOD.encode()).accepted) == 2


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_another_delimiter_is_understood_with_a_note(read, delimiter):
    intake = read(csv_text(sheet(request(1), request(2)), delimiter))
    assert (len(intake.accepted), intake.faults) == (2, ())
    assert csv_table.DELIMITERS[delimiter] in intake.notes[0].message


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_will_do(read, newline):
    intake = read(GOOD.replace("\r\n", newline))
    assert [one.row for one in intake.accepted] == [3, 5]


def test_a_cell_over_two_lines_counts_lines_of_the_file(read):
    intake = read(sheet(request(1, geometry="DSSD,\nTS"), request(2, status="?")))
    assert [(one.spec.geometry, one.row) for one in intake.accepted] == [("DSSD, TS", 3)]
    assert [fault.row for fault in intake.faults] == [6]


@pytest.mark.parametrize("column", [4, 8])
def test_a_quotation_mark_without_partner_costs_its_own_request_only(read, column):
    rows = [csv_text([row]).rstrip() for row in sheet(request(1), request(2), request(3))]
    rows[4] = rows[4].replace("DSSD", 'DS"SD') if column == 4 else rows[4].replace("minbias", '"minbias')
    intake = read("\r\n".join(rows) + "\r\n")
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-001", "PROD2031-003"]
    assert [fault.row for fault in intake.faults] == [5]
    assert "quotation mark" in intake.faults[0].message


def test_a_quotation_mark_that_is_never_closed_in_the_last_row(read):
    intake = read(GOOD.rstrip() + '\r\n"PROD2031-003,Done,S2')
    assert len(intake.accepted) == 2
    assert [fault.row for fault in intake.faults] == [7]


@pytest.mark.parametrize(
    "poison",
    ["=cmd|' /C calc'!A0", "{{ dag.conf }}", "<script>alert(1)</script>", "'; drop table request; --", "\x1b[2J"],
)
@pytest.mark.parametrize("column", range(13))
def test_injected_text_is_refused_or_stays_text_in_every_column(read, poison, column):
    bad = request(2)
    bad[column] = poison
    intake = read(sheet(request(1), bad, request(3)))
    good = [one.spec.request_id for one in intake.accepted]
    assert good[0] == "PROD2031-001"
    assert good[-1] == "PROD2031-003"
    if len(good) == 3:  # only a quotation in the free text of the geometry may stay
        assert (column, poison) in {(4, "'; drop table request; --")}
    assert all("\x1b" not in str(fault) for fault in intake.faults)


@pytest.mark.parametrize("seed", range(60))
def test_no_mutilation_of_a_sheet_makes_the_reader_crash(read, seed):
    dice = random.Random(seed)
    content = bytearray(csv_text(sheet(*(request(number) for number in range(1, 6)))).encode())
    for _ in range(dice.randint(1, 12)):
        place = dice.randrange(len(content))
        action = dice.choice(("flip", "cut", "double"))
        if action == "flip":
            content[place] = dice.choice(b'",;\n\r\t =-0123456789abcXYZ\xff\xd0')
        elif action == "cut":
            del content[place : place + dice.randint(1, 80)]
        else:
            content[place:place] = content[place : place + dice.randint(1, 200)]
    intake = read(bytes(content))
    assert intake.accepted or intake.faults
    assert all(fault.message and fault.file for fault in intake.faults)


@pytest.mark.parametrize("seed", range(15))
def test_faulty_rows_never_harm_the_good_ones(read, seed):
    dice = random.Random(seed)
    rows, good = [TOP, SUB], []
    for number in range(1, 30):
        cells = request(number)
        if dice.random() < 0.4:
            cells[dice.randrange(1, 13)] = dice.choice(["", "???", "=A1", "<b>", "-1"])
        else:
            good.append(cells[0])
        rows += [cells, reco()]
    accepted = [one.spec.request_id for one in read(rows).accepted]
    assert set(good) <= set(accepted)
