"""The export of the requests database, and the list of processings."""

from __future__ import annotations

import csv
import io

import pytest

from prodsys.intake.files import read_files
from prodsys.model.seeds import show
from tests.unit.intake.corpus import DEMO, csv_text, request, sheet

ROW = {
    "id": "1",
    "request": "PROD2031-001",
    "campaign": "SPD MC 2031",
    "status": "DONE",
    "n_processings": "0",
    "swproject": "spdroot-dev",
    "version": "4.1.7.2",
    "stage": "S2",
    "collision": "pp",
    "energy_gev": "27",
    "polarization": "UU",
    "events": "40000",
    "events_per_file": "4000",
    "tag": "minbias-P8-spdroot4172-dev test",
    "seed_first": "1",
    "seed_last": "10",
    "geometry": "DSSD, TS",
    "description": "text",
}
PROCESSINGS = ["ID", "Request", "type", "script", "dsn_pattern", "input_datasets", "output_datasets", "description"]
FOLDER = "/cvmfs/spd.jinr.ru/production/MC/minbias-P8-spdroot4172-dev.27GeV."


def export(**changes: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, ROW | changes)
    writer.writeheader()
    writer.writerow(ROW | changes)
    return out.getvalue()


def processings(*rows: tuple[str, str, str]) -> str:
    return csv_text([PROCESSINGS, *(["", name, step, script, "", "", "", ""] for name, step, script in rows)])


def test_the_export_of_2025_is_read_whole(catalogue):
    intake = read_files([DEMO / "requests_db.csv"], catalogue)
    assert intake.faults == ()
    assert [one.spec.request_id for one in intake.accepted] == [f"PROD2025-00{number}" for number in range(1, 7)]
    first = intake.accepted[0].spec
    assert (first.labels, first.campaign, show(first.seeds)) == (("test",), "SPD MC 2025", "1-1250")
    assert first.description == "PRE-PRODUCTION obsolete"
    assert (first.recorded_status.value, first.version, first.energy_gev) == ("done", "4.1.7.0", 10)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"request": "PROD31"}, "request"),
        ({"campaign": "COMPASS 2016"}, "campaign"),
        ({"status": "obsolete"}, "status"),
        ({"version": "dev"}, "version"),
        ({"energy_gev": "-1"}, "energy_gev"),
        ({"seed_last": "0"}, "seed_last"),
        ({"seed_first": "11"}, "seed_last"),
        ({"seed_last": "99999999999"}, "seed_last"),
        ({"events": "1"}, "events"),
        ({"geometry": "=1+1"}, "geometry"),
    ],
)
def test_a_faulty_cell_is_named(read, change, column):
    intake = read(export(**change))
    assert intake.accepted == ()
    assert [(fault.row, fault.column) for fault in intake.faults] == [(2, column)]


def test_a_campaign_that_is_not_written_follows_from_the_id(read):
    assert read(export(campaign="")).accepted[0].spec.campaign == "SPD MC 2031"


def test_bunches_may_have_columns(read):
    assert (read(export()).accepted[0].spec.bunches, read(export(bunches="")).accepted[0].spec.bunches) == (1, 1)
    spec = read(export(bunches="5", bunches_at_once="2")).accepted[0].spec
    assert (spec.bunches, spec.bunches_at_once) == (5, 2)
    [fault] = read(export(bunches="11")).faults  # of ten seeds
    assert "11 bunches of 10 seeds" in fault.message
    [fault] = read(export(bunches="some")).faults
    assert (fault.row, fault.column) == (2, "bunches")


def test_the_list_of_processings_of_2025_names_a_request_that_is_missing(catalogue):
    intake = read_files([DEMO / "requests_sheet.csv", DEMO / "processings.csv"], catalogue)
    assert intake.faults == ()
    assert len(intake.accepted) == 7
    notes = [note for note in intake.notes if note.file.endswith("processings.csv")]
    assert [(note.row, note.value) for note in notes] == [(4, "PROD2025-017")]
    assert all(not one.spec.variant and one.spec.script_version is None for one in intake.accepted)


def test_the_scripts_of_a_request_tell_its_variant(tmp_path, catalogue):
    (tmp_path / "a.csv").write_text(csv_text(sheet(request(1), request(2))))
    (tmp_path / "b.csv").write_text(
        processings(
            ("PROD2031-001", "simu", f"{FOLDER}V02_D0sig/simu.C"),
            ("PROD2031-001", "reco", f"{FOLDER}V02_D0sig/reco.C"),
            ("PROD2031-002", "simu", f"{FOLDER}V03/simu.C"),
        )
    )
    intake = read_files([tmp_path], catalogue)
    assert intake.faults == ()
    one, two = (accepted.spec for accepted in intake.accepted)
    assert (one.variant, one.script_version) == ("D0sig", None)  # V02 is the current one
    assert (two.variant, two.script_version) == ("", "V03")


def test_two_variants_in_one_request_are_a_fault(tmp_path, catalogue):
    (tmp_path / "a.csv").write_text(csv_text(sheet(request(1), request(2))))
    (tmp_path / "b.csv").write_text(
        processings(
            ("PROD2031-001", "simu", f"{FOLDER}V02/simu.C"), ("PROD2031-001", "reco", f"{FOLDER}V02_D0sig/reco.C")
        )
    )
    intake = read_files([tmp_path], catalogue)
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2031-002"]
    assert [(fault.row, fault.column) for fault in intake.faults] == [(3, "script")]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (("PROD31", "simu", "x"), "Request"),
        (("PROD2031-001", "mrg", "x"), "type"),
        (("PROD2031-001", "simu", ""), "script"),
    ],
)
def test_a_faulty_processing_is_named(read, row, column):
    assert [(fault.row, fault.column) for fault in read(processings(row)).faults] == [(2, column)]


def test_scripts_elsewhere_are_noted(tmp_path, catalogue):
    (tmp_path / "a.csv").write_text(csv_text(sheet(request(1))))
    (tmp_path / "b.csv").write_text(processings(("PROD2031-001", "simu", "/afs/home/simu.C")))
    intake = read_files([tmp_path], catalogue)
    assert (len(intake.accepted), intake.faults) == (1, ())
    assert "variant is not known" in intake.notes[-1].message


def test_a_request_may_be_pinned_to_a_queue_and_a_storage(read):
    spec = read(export(queue="SPD_PNPI", rse="JINR_EOS")).accepted[0].spec
    assert (spec.queue, spec.rse) == ("SPD_PNPI", "JINR_EOS")
    assert (read(export()).accepted[0].spec.queue, read(export(queue="")).accepted[0].spec.queue) == (None, None)


@pytest.mark.parametrize(
    ("column", "value", "nearest"), [("queue", "SPD_PNPl", "SPD_PNPI"), ("rse", "PNPI", "PNPI_EOS")]
)
def test_a_place_that_does_not_exist_is_a_fault_of_its_cell(read, column, value, nearest):
    intake = read(export(**{column: value}))
    assert not intake.accepted
    [fault] = intake.faults
    assert (fault.column, fault.value) == (column, value)
    assert nearest in fault.remedy
