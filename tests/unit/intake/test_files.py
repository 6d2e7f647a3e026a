"""Several files together."""

from __future__ import annotations

import pytest

from prodsys.intake.files import read_files
from tests.unit.intake.corpus import SPECS, csv_text, request, sheet

YAML = """\
request_id: PROD2031-001
stage: S2
collision: pp
energy_gev: 27 GeV
polarization: UU
geometry: TS, DSSD, TOF
software: spdroot-dev
version: 4.1.7.2
tag: minbias-P8-spdroot4172-dev
events: 40 000
events_per_file: 4000
seeds: 1-10
recorded_status: Ready
"""


def test_the_same_request_in_two_forms_is_accepted_once(tmp_path, catalogue):
    (tmp_path / "a.csv").write_text(csv_text(sheet(request(1))))
    (tmp_path / "b.yaml").write_text(YAML)
    intake = read_files([tmp_path / "a.csv", tmp_path / "b.yaml"], catalogue)
    assert (len(intake.accepted), intake.faults) == (1, ())
    assert "other remarks" in intake.notes[-1].message  # the order of detectors differs


def test_a_request_that_two_files_tell_differently_is_a_fault(tmp_path, catalogue):
    (tmp_path / "a.csv").write_text(csv_text(sheet(request(1))))
    (tmp_path / "b.yaml").write_text(YAML.replace("27 GeV", "10").replace("1-10", "11-20"))
    [fault] = read_files([tmp_path], catalogue).faults
    assert fault.file.endswith("b.yaml")
    assert "energy, seeds" in fault.message
    assert "a.csv, row 3" in fault.message


def test_a_faulty_file_harms_no_other(tmp_path, catalogue):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.yaml").write_text(YAML)
    (tmp_path / "c.xlsx").write_bytes(b"PK\x03\x04")
    intake = read_files([tmp_path], catalogue)
    assert len(intake.accepted) == 1
    assert len(intake.faults) == 2


def test_a_yaml_request_is_recognised_by_its_content(tmp_path, catalogue):
    (tmp_path / "request.txt").write_text(YAML)
    assert len(read_files([tmp_path / "request.txt"], catalogue).accepted) == 1


def test_a_file_that_is_named_twice_is_read_once(tmp_path, catalogue):
    (tmp_path / "a.yaml").write_text(YAML)
    intake = read_files([tmp_path / "a.yaml", tmp_path / "a.yaml", tmp_path], catalogue)
    assert (len(intake.accepted), intake.faults, intake.notes) == (1, (), ())


def test_the_example_in_the_specs_is_clean(catalogue):
    intake = read_files([SPECS / "requests"], catalogue)
    assert intake.faults == intake.notes == ()
    assert [one.spec.partition for one in intake.accepted] == ["test"]


READING = """\
chain: RECO
inputs:
  S: MC2031_S1:MC2031_S1.minbias.27GeV-UU.PROD2031-000.SIM.1.S
  P: MC2031_S1:MC2031_S1.minbias.27GeV-UU.PROD2031-000.SIM.1.P
"""


def test_a_yaml_request_names_what_it_reads_under_its_real_name(read):
    draft = YAML.replace("Ready", "Draft")
    [accepted] = read(draft + READING, "r.yaml").accepted
    assert accepted.spec.inputs["S"].endswith("PROD2031-000.SIM.1.S")
    [accepted] = read(draft + "chain: RECO\ninput_request: PROD2031-000\n", "r.yaml").accepted
    assert accepted.spec.input_request == "PROD2031-000"


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("chain: RECO\n", "inputs", "reads files of SIM that exist"),
        (READING.replace("chain: RECO", "chain: SIM-RECO"), "chain", "makes its own events"),
        (READING.replace("  P:", "  Q:"), "inputs", "reads S and P, not Q, S"),
        (READING.replace("S: MC2031_S1:", "S: "), "inputs.S", "scope:name"),
        (READING + "input_request: PROD2031-000\n", "tag", "keep one of them"),
    ],
)
def test_inputs_of_a_yaml_request_that_cannot_be_are_refused_with_their_place(read, text, column, words):
    intake = read(YAML.replace("Ready", "Draft") + text, "r.yaml")
    assert intake.accepted == ()
    [fault] = intake.faults
    assert words in f"{fault.message} ({fault.remedy})"
    assert fault.column == column


@pytest.mark.parametrize(
    ("old", "new", "column", "words"),
    [
        ("energy_gev", "energy_gve", "energy_gve", "did you mean 'energy_gev'"),
        ("events: 40 000", "events: 40 00", "events", "whole number"),
        ("seeds: 1-10", "seeds: 10-1", "seeds", "40001-50000"),
        ("seeds: 1-10", "seeds: [1-5, 5-10]", "seeds", "twice"),
        ("version: 4.1.7.2", "version: 4.1", "version", "put it in quotes"),
        ("stage: S2", "stage: 2", "stage", "put it in quotes"),
        ("stage: S2\n", "", "stage", "is missing"),
        ("recorded_status: Ready", "recorded_status: Raedy!", "recorded_status", "known:"),
        ("request_id: PROD2031-001", "request_id: PRUD2031-001", "request_id", "did you mean 'PROD'"),
        ("seeds: 1-10", "seeds: 1-10\nchain: SIM-RECOO", "chain", "did you mean 'SIM-RECO'"),
        ("seeds: 1-10", "seeds: 1-10\npartition: MC2031", "partition", "known patterns"),
        ("seeds: 1-10", "seeds: 1-10\nseeds: 1-10", "seeds", "stands there twice"),
        ("events: 40 000", "events: 36000", "events", "9 seeds"),
        ("seeds: 1-10", "seeds: 1-10\nlabels: test", "labels", "tuple"),
        ("seeds: 1-10", "seeds: 1-10\nlabels: 7", "labels", "tuple"),
        ("events: 40 000", "events: {a: 1}", "events", "whole number"),
        ("events: 40 000", "events: true", "events", "whole number"),
        ("energy_gev: 27 GeV", "energy_gev: .nan", "energy_gev", "is not a number"),
    ],
)
def test_a_faulty_key_is_named_with_its_line_and_a_way_out(read, old, new, column, words):
    text = YAML.replace(old, new)
    intake = read(text, "r.yaml")
    assert intake.accepted == ()
    [fault] = intake.faults
    assert fault.column == column
    assert words in f"{fault.message} ({fault.remedy})"
    if fault.message != "is missing":
        lines = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith(f"{column}:")]
        assert fault.row == lines[-1]


def test_all_faults_of_a_yaml_request_are_named_together(read):
    text = (
        YAML.replace("S2", "2").replace("27 GeV", "x").replace("polarization: UU", "polarisation: UU")
        + "priority: 5000\n"
    )
    assert [fault.column for fault in read(text, "r.yaml").faults] == [
        "stage",
        "energy_gev",
        "polarisation",
        "priority",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n- b\n", "is not a request"),
        ("a: [1, 2\n", "is not YAML"),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("a: !!python/object/apply:os.system [id]\n", "is not YAML"),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper"),
        ("\tx: 1\n", "is not YAML"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
        ("{}: {}\n? [1]\n: 2\n", "is not YAML"),
        ("a: 2025-13-45\n", "is not a known key"),  # YAML 1.2 makes no dates: it is a text
    ],
)
def test_what_is_no_yaml_of_a_request_gets_one_error(read, text, words):
    intake = read(text, "r.yaml")
    assert intake.accepted == ()
    assert words in intake.faults[0].message


def test_a_yaml_request_may_be_pinned_to_a_queue_and_a_storage(read):
    [accepted] = read(YAML + "queue: SPD_JINR\nrse: PNPI_EOS\n", "r.yaml").accepted
    assert (accepted.spec.queue, accepted.spec.rse) == ("SPD_JINR", "PNPI_EOS")
    intake = read(YAML + "queue: SPD_MARS\n", "r.yaml")
    [fault] = intake.faults
    assert (fault.column, fault.value) == ("queue", "SPD_MARS")
