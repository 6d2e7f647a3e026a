"""The specs: what is there, and what is said when it is not as it should be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prodsys.errors import FileUnreadable, SpecInvalid
from prodsys.intake.catalogue import load_catalogue
from prodsys.intake.lint import lint_specs
from prodsys.model.plan import build_plan
from prodsys.model.request import RequestSpec
from tests.unit.intake.corpus import SPECS

PROD_016 = {
    "request_id": "PROD2025-016",
    "campaign": "SPD MC 2025",
    "stage": "S2",
    "collision": "pp",
    "energy_gev": 27,
    "polarization": "UU",
    "geometry": "DSSD, TS, TOF, ECal, FARICH, RS, BBC, ZDC (sketch)",
    "software": "spdroot-dev",
    "version": "4.1.7.2",
    "tag": "minbias-P8-spdroot4172-dev",
    "events": 40_000_000,
    "events_per_file": 4000,
    "seeds": "40001-50000",
}


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A copy of the specs that a test may break."""
    return Path(shutil.copytree(SPECS, tmp_path / "specs"))


def change(path: Path, old: str, new: str) -> int:
    """Replace a text in a file; the line it stood in."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize("profile", ["sandbox", "spd"])
def test_the_specs_of_the_repository_are_clean(profile):
    catalogue = load_catalogue(SPECS, profile)
    assert catalogue.profile.name == profile
    assert not catalogue.faulty
    assert lint_specs(SPECS) == []


def test_origins_are_those_that_panda_expects():
    assert load_catalogue(SPECS, "sandbox").profile.origin == "spd.production"
    assert load_catalogue(SPECS, "spd").profile.origin == "spd.nica.jinr:production"


def test_paths_of_a_request_follow_from_the_tables(catalogue):
    spec = RequestSpec.model_validate(PROD_016)
    software = catalogue.software_of(spec)
    folder = "/cvmfs/spd.jinr.ru/production/MC/minbias-P8-spdroot4172-dev.27GeV.V02"
    assert software.script_folder(spec) == folder
    assert software.script_folder(spec.model_copy(update={"variant": "D0sig"})) == f"{folder}_D0sig"
    assert software.version_of(spec).image == "/cvmfs/spd.jinr.ru/images/spdroot-dev-4.1.7.sif"


def test_sizes_and_times_are_those_that_were_measured(catalogue):
    plan = build_plan(RequestSpec.model_validate(PROD_016), 1, catalogue)
    sim, reco = plan.steps
    assert sim.volume_bytes / 1e9 == pytest.approx(18_358.86, rel=0.01)  # task 364
    assert reco.volume_bytes / 1e9 == pytest.approx(18_536.20, rel=0.01)  # task 363
    assert sim.core_hours == pytest.approx(10_000 * 23_831 / 3600, rel=0.01)  # mean walltime of tasks 356-364 [s a job]
    assert reco.core_hours == pytest.approx(10_000 * 20 / 60, rel=0.01)  # [min a job]
    assert sim.processing_type == "simul"
    assert (sim.outputs, reco.inputs, reco.outputs) == (("S", "P", "log"), ("S", "P"), ("R", "log"))
    assert (plan.partition, plan.rules.copies, plan.rules.lifetime_days) == ("MC2025_S2", 2, None)


@pytest.mark.parametrize(
    ("partition", "stage", "copies", "lifetime"),
    [(None, "S1", 2, None), (None, "S2", 2, None), ("test", "S2", 1, 30)],
)
def test_partitions_follow_from_campaign_and_stage(catalogue, partition, stage, copies, lifetime):
    spec = RequestSpec.model_validate(PROD_016 | {"partition": partition, "stage": stage})
    name = catalogue.partitions.partition_of(spec)
    assert name == (partition or f"MC2025_{stage}")
    policy = catalogue.partitions.policy_of(name)
    assert (policy.copies, policy.lifetime_days) == (copies, lifetime)


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "words"),
    [
        ("sites.yaml", "cloud:", "clowd:", "clowd", "did you mean 'cloud'"),
        ("sites.yaml", "rse: PNPI_EOS", "rse: PNPI", "", "writes to PNPI"),
        ("sites.yaml", "slots: 288", "slots: 0", "queues[1].slots", "greater than 0"),
        ("partitions.yaml", "copies: 2", "copies: 3", "partitions[0]", "3 copies need as many storages"),
        ("partitions.yaml", "pattern: test", "pattern: '('", "partitions[1].pattern", "regular expression"),
        ("partitions.yaml", "MC{year}_{stage}", "MC{yaer}", "template", "{year}"),
        ("partitions.yaml", "SPD MC {year}", "MC {year}", "", "does not find the year"),
        ("partitions.yaml", "[JINR_EOS]", "[JNR_EOS]", "partitions[1].rses", "did you mean 'JINR_EOS'"),
        ("policy.yaml", "plan: [submitter, m", "plan: [submitter, mm", "rights.plan[1]", "did you mean 'manager'"),
        ("policy.yaml", "accept_percent: 66", "accept_percent: 166", "settle[0].accept_percent", "100"),
        (
            "software.yaml",
            "script_version: V02",
            "script_versoin: V02",
            "script_versoin",
            "did you mean 'script_version'",
        ),
        ("software.yaml", "{tag}.", "{tga}.", "spdroot-dev.scripts", "{tag}"),
        ("profiles/sandbox.yaml", "poll_s: 1", "poll_s: 1\n  poll_s: 2", "times.poll_s", "stands there twice"),
        ("profiles/sandbox.yaml", "answer_max_s: 15", "answer_max_s: 5", "times", "call_timeout_s < answer_max_s"),
        ("profiles/sandbox.yaml", "name: sandbox", "name: sandpit", "name", "not the name of the file"),
    ],
)
def test_a_fault_names_file_line_key_and_a_way_out(specs, file, old, new, key, words):
    line = change(specs / file, old, new)
    [fault] = lint_specs(specs)
    text = f"{fault.message} ({fault.remedy})"
    assert (Path(fault.file), words in text) == (specs / file, True), text
    assert fault.column.endswith(key)
    assert fault.row is None or abs(fault.row - line) <= 2 or not key
    with pytest.raises(SpecInvalid) as caught:
        load_catalogue(specs, "sandbox")
    assert file.split("/")[-1] in str(caught.value)


def test_a_faulty_chain_harms_no_other_and_its_requests_are_told_why(specs):
    (specs / "chains" / "SIM.yaml").write_text("name: SIM\nlayuot: linear-1\n")
    catalogue = load_catalogue(specs, "sandbox")
    assert list(catalogue.chains) == ["RECO", "SIM-RECO"]
    with pytest.raises(SpecInvalid, match=r"SIM cannot be read.*layuot"):
        catalogue.chain_of(RequestSpec.model_validate(PROD_016 | {"chain": "SIM"}))
    assert {fault.column for fault in lint_specs(specs)} == {"layuot", "transform", "steps"}


def test_a_profile_nobody_wrote_is_guessed():
    with pytest.raises(SpecInvalid, match="did you mean 'sandbox'"):
        load_catalogue(SPECS, "sandbxo")


@pytest.mark.parametrize("name", ["software.yaml", "partitions.yaml", "sites.yaml", "policy.yaml"])
def test_a_missing_table_is_named(specs, name):
    (specs / name).unlink()
    assert [Path(fault.file).name for fault in lint_specs(specs)] == [name]
    with pytest.raises(SpecInvalid, match=name):
        load_catalogue(specs, "sandbox")


def test_a_file_nobody_reads_is_named(specs):
    (specs / "partition.yaml").write_text("a: 1\n")
    (specs / "chains" / "X.yml").write_text("a: 1\n")
    faults = lint_specs(specs)
    assert len(faults) == 2
    assert any("did you mean 'partitions.yaml'" in fault.remedy for fault in faults)


def test_faulty_requests_are_named_each_for_itself(specs):
    folder = specs / "requests" / "spd-mc-2025"
    example = (folder / "TEST2025-001.yaml").read_text()
    (folder / "TEST2025-002.yaml").write_text(example.replace("TEST2025-001", "TEST2025-002").replace("stage", "staeg"))
    (folder / "TEST2025-003.yaml").write_text(example.replace("TEST2025-001", "TEST2025-004"))
    faults = lint_specs(specs)
    assert [(Path(fault.file).name, fault.column) for fault in faults] == [
        ("TEST2025-002.yaml", "staeg"),
        ("TEST2025-003.yaml", "request_id"),
    ]


def test_files_elsewhere_are_recognised_by_their_keys(specs, tmp_path):
    for file in ("sites.yaml", "chains/SIM-RECO.yaml", "profiles/spd.yaml", "requests/spd-mc-2025/TEST2025-001.yaml"):
        path = tmp_path / Path(file).name
        path.write_text((SPECS / file).read_text())
        assert lint_specs(specs, [path]) == []
        path.write_text(path.read_text() + "unheard: 1\n")
        assert [fault.column for fault in lint_specs(specs, [path])] == ["unheard"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileUnreadable, match="PRODSYS_SPECS"):
        lint_specs(tmp_path / "none")
    with pytest.raises(SpecInvalid, match="PRODSYS_SPECS"):
        load_catalogue(tmp_path / "none", "sandbox")
