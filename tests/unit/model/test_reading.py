"""Requests that read what exists: what the models refuse, and what names of files and datasets tell."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from prodsys.errors import SpecInvalid
from prodsys.intake.catalogue import load_catalogue
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import Did
from prodsys.model.plan import build_plan, describe
from prodsys.model.reading import (
    InputFile,
    PlannedInput,
    PlannedReading,
    SeedSource,
    digest_files,
    panda_name,
    read_panda_name,
    request_of,
    seed_of_serial,
    serial_of,
)
from prodsys.model.request import RequestSpec
from prodsys.model.specs import ChainSpec
from tests.unit.intake.corpus import SPECS

SLIP = "MC2025_S1:MC2025_S1.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.1"
INPUTS = {"S": f"{SLIP}.S", "P": f"{SLIP}.P"}
BASE = {
    "request_id": "DEMO2031-012",
    "campaign": "SPD MC 2031",
    "stage": "S2",
    "collision": "pp",
    "energy_gev": 27,
    "polarization": "UU",
    "geometry": "DSSD, TS",
    "software": "spdroot-dev",
    "version": "4.1.7.2",
    "tag": "minbias-P8-spdroot4172-dev",
    "events": 100,
    "events_per_file": 20,
    "seeds": "40001-40005",
    "chain": "RECO",
}


@pytest.fixture(scope="module")
def specs():
    return load_catalogue(SPECS, "sandbox")


def make(**changes: object) -> RequestSpec:
    return RequestSpec.model_validate(BASE | changes)


def reading(lacking: str = "") -> PlannedReading:
    datasets = tuple(PlannedInput(did=did, data_type=kind, files=5, read=4, bytes=10) for kind, did in INPUTS.items())
    return PlannedReading(
        step="SIM",
        request_id=None,
        seed_source=SeedSource.NAMES,
        numbered_by="PROD2025-016",
        datasets=datasets,
        lacking=seed_ranges.parse_seeds(lacking) if lacking else (),
        digest="sha256:files",
    )


def test_inputs_keep_their_real_names_and_read_back():
    spec = make(inputs=INPUTS)
    assert spec.reads
    assert RequestSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert not make(chain="SIM-RECO").reads


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": INPUTS, "input_request": "PROD2025-016"}, "keep one of them"),
        ({"input_request": "DEMO2031-012"}, "cannot read its own files"),
        ({"input_request": "016"}, "not of the form"),
        ({"inputs": {"S": "no scope", "P": INPUTS["P"]}}, "scope:name"),
        ({"inputs": {"S": INPUTS["S"], "P": INPUTS["S"]}}, "one dataset twice"),
        ({"inputs": {"S.1": INPUTS["S"]}}, "match pattern"),
    ],
)
def test_inputs_that_cannot_be_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({}, "inputs", "RECO reads files of SIM that exist"),
        ({"inputs": {"S": INPUTS["S"]}}, "inputs", "reads S and P, not S"),
        ({"inputs": INPUTS, "chain": "SIM-RECO"}, "chain", "makes its own events"),
    ],
)
def test_inputs_stand_where_the_chain_reads_and_nowhere_else(specs, changes, place, words):
    with pytest.raises(SpecInvalid, match=words) as caught:
        build_plan(make(**changes), 1, specs)
    assert caught.value.place == f"DEMO2031-012.{place}"
    assert caught.value.remedy


def test_a_plan_counts_the_jobs_of_what_is_there_and_its_digest_binds_the_files(specs):
    spec = make(inputs=INPUTS)
    plan = build_plan(spec, 1, specs, reading("40003"))
    [step] = plan.steps
    assert (step.kind, step.jobs, step.events, plan.events) == ("RECO", 4, 80, 100)
    assert plan.before("RECO") is None
    text = describe(plan, "sha256:x")
    assert all(did in text for did in INPUTS.values())
    assert "40003" in text
    assert "assumed" in text
    assert type(plan).model_validate_json(plan.model_dump_json()).digest() == plan.digest()
    assert plan.digest() != build_plan(spec, 1, specs, reading()).digest()


def test_a_chain_that_reads_says_so():
    step = {
        "kind": "RECO", "script": "reco.C", "processing_type": "reco", "outputs": ["R"], "walltime_s": 1, "ram_mb": 1,
        "bytes_per_event": 1, "cpu_s_per_event": 1,
    }  # fmt: skip
    chain = {"name": "RECO", "layout": "linear-1", "transform": "x"}
    with pytest.raises(ValidationError, match="say `reads: SIM`"):
        ChainSpec.model_validate(chain | {"steps": [step | {"inputs": ["S"]}]})
    with pytest.raises(ValidationError, match="its first step needs inputs"):
        ChainSpec.model_validate(chain | {"reads": "SIM", "steps": [step]})
    assert ChainSpec.model_validate(chain | {"reads": "SIM", "steps": [step | {"inputs": ["S"]}]}).reads == "SIM"


@pytest.mark.parametrize(
    ("lfn", "serial"),
    [
        ("a.27GeV-UU.PROD2025-016.SIM.1.S.000007.root", 7),
        ("a.SIM.1.S.010003.root.1", 10003),
        ("a.SIM.1.log.000001.log.tgz", 1),
        ("a.SIM.1.S.7.root", None),
        ("odd.root", None),
    ],
)
def test_the_serial_number_of_a_file_is_read_from_its_name(lfn, serial):
    assert serial_of(lfn) == serial


def test_a_serial_number_counts_the_seeds_of_the_request_and_none_beyond():
    seeds = seed_ranges.parse_seeds("11-12, 20-21")
    assert [seed_of_serial(serial, seeds) for serial in range(6)] == [None, 11, 12, 20, 21, None]


@pytest.mark.parametrize(
    ("did", "name"),
    [("MC2025_S1:MC2025_S1.x.S", "MC2025_S1.x.S"), ("MC2025_S2:MC2025_S1.x.S", "MC2025_S2:MC2025_S1.x.S")],
)
def test_a_task_map_names_the_scope_where_the_name_does_not_begin_with_it(did, name):
    assert panda_name(Did.parse(did)) == name
    assert str(read_panda_name(name)) == did


def test_the_request_of_a_dataset_stands_in_its_name():
    assert request_of(INPUTS["S"]) == "PROD2025-016"
    assert request_of("test:some.old.name") is None


def test_the_digest_of_files_does_not_depend_on_their_order():
    files = [InputFile(f"f{number}", "s:d", "S", number, 5, "00000001") for number in (1, 2)]
    assert digest_files(files) == digest_files(reversed(files))
    assert digest_files(files) != digest_files(files[:1])
