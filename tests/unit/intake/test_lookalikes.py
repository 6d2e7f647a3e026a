"""Case: geometries that look the same. Hidden characters and other separators make no other configuration."""

from __future__ import annotations

from pathlib import Path

from prodsys.intake.catalogue import load_catalogue
from prodsys.intake.edits import read_changes
from prodsys.intake.files import read_files
from prodsys.model.request import Configuration
from prodsys.settings import REPOSITORY
from tests.unit.intake.corpus import SPECS

DATA = REPOSITORY / "tests" / "data" / "written"
CATALOGUE = load_catalogue(SPECS, "sandbox")


def test_geometries_that_look_the_same_are_one_or_refused():
    intake = read_files([DATA / "geometry_homoglyph.csv"], CATALOGUE)
    read = {one.spec.request_id: one for one in intake.accepted}
    assert set(read) == {f"PROD2026-15{last}" for last in (0, 2, 3, 4)}
    assert len({Configuration.of(one.spec).digest() for one in read.values()}) == 1
    [fault] = intake.faults
    assert (fault.row, fault.column) == (4, "Geometry type")
    assert "cyrillic capital letter te" in fault.message
    notes = {one.spec.request_id: " ".join(map(str, one.notes)) for one in read.values()}
    assert "is taken as 'DSSD, TS, TOF, ECal, RS, BBC, ZDC (sketch)'" in notes["PROD2026-152"]
    assert "U+00AD soft hyphen" in notes["PROD2026-153"]


def test_a_yaml_file_is_cleaned_as_a_sheet_is(tmp_path: Path):
    example = next((SPECS / "requests").rglob("TEST2025-001.yaml")).read_text()
    path = tmp_path / "TEST2025-001.yaml"
    path.write_text(example.replace("DSSD, TS, TOF", "DSSD;\u00a0TS\u200b; tof").replace("stage: S2", "stage: s2"))
    [accepted] = read_files([path], CATALOGUE).accepted
    assert accepted.spec.geometry == "DSSD, TS, TOF, ECal, FARICH, RS, BBC, ZDC (sketch)"
    assert accepted.spec.stage == "S2"
    assert any("is taken as 'S2'" in str(note) for note in accepted.notes)
    path.write_text(example.replace("collision: pp", "collision: op"))
    [fault] = read_files([path], CATALOGUE).faults
    assert (fault.column, fault.row) == ("collision", 7)
    assert "did you mean 'pp'?" in fault.remedy


def test_an_id_with_further_zeros_is_taken_with_a_note(tmp_path: Path):
    sheet = (DATA / "geometry_homoglyph.csv").read_text().splitlines(keepends=True)
    path = tmp_path / "zeros.csv"
    path.write_text("".join(sheet[:3]).replace("PROD2026-150", "PROD2026-0150"))
    [accepted] = read_files([path], CATALOGUE).accepted
    assert accepted.spec.request_id == "PROD2026-150"
    assert any("one number is one id" in str(note) for note in accepted.notes)


def test_changes_are_read_as_cells_are():
    typed = ["seeds=1\u20135, 7", "energy_gev=13,5 GeV", "events=40 000", "description=", "tag=a-b x"]
    changes, notes = read_changes(typed)
    assert changes == {
        "seeds": "1-5, 7",
        "energy_gev": 13.5,
        "events": 40_000,
        "description": None,
        "tag": "a-b",
    }
    assert any("remark" in note for note in notes)
