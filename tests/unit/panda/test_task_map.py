"""Task maps are those that a real JEDI ran to the end, but for names."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prodsys.errors import SpecInvalid
from prodsys.panda.task_map import (
    StepOrder,
    build_reco_map,
    build_sim_map,
    inputs_of_map,
    outputs_of_map,
    same_work,
)

DATA = Path(__file__).parents[2] / "data"
LIST = "MC2025_S2.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.A1.list"
SIM = "MC2025_S1.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.1.chain_done"
RECO = "MC2025_S1.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.RECO.1.chain_done"
RECORDED_SIM = StepOrder(
    task_name=LIST,
    vo="spd",
    campaign="MC2025_S2",
    working_group="SPD",
    processing_type="simul",
    transform="/cvmfs/spd.jinr.ru/production/bin/run_spdroot.sh",
    script="simu.C",
    image="/cvmfs/spd.jinr.ru/images/spdroot-4.1.7.2.sif",
    queue="SPD_LOCAL",
    destination="SPD_LOCAL",  # as in the recordings, whose DDM plug-in looked at no destination
    cloud="JINR",
    priority=900,
    cores=1,
    ram_mb=2000,
    max_attempts=3,
    events_per_job=4000,
    seeds=(40001, 40007, 40003, 40020),
    outputs={"S": f"{LIST}.S", "P": f"{LIST}.P"},
    log_dataset=f"{LIST}.log",
)
RECORDED_RECO = replace(
    RECORDED_SIM,
    task_name=RECO,
    campaign="MC2025_S1",
    processing_type="reco",
    script="reco.C",
    inputs={"S": f"{SIM}.S", "P": f"{SIM}.P"},
    outputs={"R": f"{RECO}.R"},
    log_dataset=f"{RECO}.log",
    parent_tid=48,
)
SAMPLE = "MC2025_S2.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016"
OURS_SIM = replace(
    RECORDED_SIM,
    task_name="PROD2025-016.SIM",
    campaign="SPD MC 2025",
    working_group="spd",
    script="/cvmfs/spd.jinr.ru/production/MC/minbias-P8-spdroot4172-dev.27GeV.V02/simu.C",
    image="/cvmfs/spd.jinr.ru/images/spdroot-dev-4.1.7.sif",
    queue="SPD_JINR",
    destination="JINR_EOS",
    seeds=(40001, 40002, 40003),
    outputs={"S": f"{SAMPLE}.SIM.1.S", "P": f"{SAMPLE}.SIM.1.P"},
    log_dataset=f"{SAMPLE}.SIM.1.log",
)
OURS_RECO = replace(
    OURS_SIM,
    task_name="PROD2025-016.RECO",
    processing_type="reco",
    script="/cvmfs/spd.jinr.ru/production/MC/minbias-P8-spdroot4172-dev.27GeV.V02/reco.C",
    inputs=OURS_SIM.outputs,
    outputs={"R": f"{SAMPLE}.RECO.1.R"},
    log_dataset=f"{SAMPLE}.RECO.1.log",
    parent_tid=364,
)


def _lines(scenario: str) -> list[dict[str, Any]]:
    text = (DATA / "panda" / f"{scenario}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _sent(scenario: str, number: int) -> dict[str, Any]:
    bodies = [line["request_body"] for line in _lines(scenario) if line["path"].endswith("task/submit")]
    return bodies[number]["task_parameters"]


def _stored(scenario: str, jedi_task_id: int, call: str) -> dict[str, Any]:
    for line in _lines(scenario):
        if line["path"].endswith(call) and line["query"].get("task_id") == [str(jedi_task_id)]:
            data = (line["response_body"] or {}).get("data")
            if data:
                return data["raw_task_params"] if call == "get_detailed_info" else data
    raise AssertionError(f"{scenario} has no {call} of {jedi_task_id}")


def test_simulation_is_the_recorded_map():
    assert build_sim_map(RECORDED_SIM) == _sent("seed_list", 0)


def test_reconstruction_is_the_recorded_map():
    assert build_reco_map(RECORDED_RECO) == _sent("chain_done", 1)


def _templates(task_map: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [*task_map["jobParameters"], task_map["log"]]
    return [one for one in parts if one.get("param_type") in ("output", "log")]


@pytest.mark.parametrize("build", [lambda order: build_sim_map(order), lambda order: build_reco_map(order)])
def test_without_a_queue_panda_chooses_place_and_storage(build):
    free = build(replace(OURS_RECO, queue=None, destination=None))
    assert "site" not in free
    assert free["cloud"] == "JINR"
    assert len(_templates(free)) == 2
    assert not any("destination" in one for one in _templates(free))


def test_the_destination_is_a_storage_whatever_the_queue():
    pinned = build_sim_map(OURS_SIM)
    assert (pinned["site"], {one["destination"] for one in _templates(pinned)}) == ("SPD_JINR", {"JINR_EOS"})
    only_storage = build_sim_map(replace(OURS_SIM, queue=None))
    assert "site" not in only_storage
    assert {one["destination"] for one in _templates(only_storage)} == {"JINR_EOS"}


@pytest.mark.parametrize(("name", "order"), [("sim", OURS_SIM), ("reco", OURS_RECO)])
def test_our_maps_are_the_golden_ones(name: str, order: StepOrder):
    golden = json.loads((DATA / "golden" / f"task_map_{name}.json").read_text(encoding="utf-8"))
    assert (build_sim_map if name == "sim" else build_reco_map)(order) == golden


def test_no_event_argument_for_a_server_too_old_for_it():
    parameters: Any = build_sim_map(replace(OURS_SIM, event_argument=False))["jobParameters"]
    assert parameters[0]["value"].endswith("simu.C --seed=${IN} --n=4000")


def test_ten_thousand_seeds_stand_one_by_one_in_their_order():
    seeds = tuple(range(50_000, 40_000, -1))
    task_map: Any = build_sim_map(replace(OURS_SIM, seeds=seeds))
    assert task_map["pfnList"] == [str(seed) for seed in seeds]
    assert task_map["nFiles"] == 10_000


@pytest.mark.parametrize("seeds", [(), (1, 2, 1)])
def test_no_seed_or_one_seed_twice_is_refused(seeds: tuple[int, ...]):
    with pytest.raises(SpecInvalid):
        build_sim_map(replace(OURS_SIM, seeds=seeds))


def test_a_reconstruction_without_input_is_refused():
    with pytest.raises(SpecInvalid):
        build_reco_map(OURS_SIM)


def test_what_jedi_made_of_a_map_is_still_ours():
    assert same_work(_stored("seed_list", 10, "get_detailed_info"), build_sim_map(RECORDED_SIM)) == []
    assert same_work(_stored("chain_done", 58, "get_task_parameters"), build_reco_map(RECORDED_RECO)) == []
    assert same_work(_stored("chain_done", 58, "get_detailed_info"), build_reco_map(RECORDED_RECO)) == []
    assert same_work(build_sim_map(OURS_SIM), build_sim_map(OURS_SIM)) == []


def test_an_aborted_twin_still_holds_our_map():
    assert same_work(_stored("duplicates", 92, "get_task_parameters"), _sent("duplicates", 1)) == []


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("pfnList",), ["40001", "40007", "40003"], "pfnList"),
        (("pfnList",), ["40001", "40003", "40007", "40020"], "pfnList"),
        (("taskPriority",), 1000, "taskPriority"),
        (("taskType",), "anal", "taskType"),
        (("nEvents",), 7, "nEvents"),
        (("vo",), None, "vo"),
        (("skipScout",), 1, "skipScout"),
        (("log", "dataset"), "elsewhere", "log.dataset"),
        (("jobParameters", 0, "value"), "simu.C --seed=1", "jobParameters[0].value"),
        (("jobParameters", 1, "value"), "--out-s=${OUTPUT1}", "jobParameters[1].value"),
        (("jobParameters",), [], "jobParameters"),
    ],
)
def test_every_difference_is_told(path: tuple[Any, ...], value: object, place: str):
    stored = deepcopy(_stored("seed_list", 10, "get_detailed_info"))
    inner: Any = stored
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    differences = same_work(stored, build_sim_map(RECORDED_SIM))
    assert [line.split(":")[0] for line in differences] == [place]
    assert all(len(line) < 400 for line in differences)


def test_the_datasets_of_a_map_are_known_by_their_types():
    assert outputs_of_map(build_sim_map(OURS_SIM)) == {
        f"{SAMPLE}.SIM.1.S": "S",
        f"{SAMPLE}.SIM.1.P": "P",
        f"{SAMPLE}.SIM.1.log": "log",
    }
    stored = _stored("chain_done", 58, "get_task_parameters")
    assert outputs_of_map(stored) == {f"{RECO}.R": "R", f"{RECO}.log": "log"}
    assert inputs_of_map(stored) == {"S": f"{SIM}.S", "P": f"{SIM}.P"}
    assert inputs_of_map(build_sim_map(OURS_SIM)) == {}
    by_hand = {"jobParameters": [{"param_type": "output", "dataset": "MC2025_S1:by.hand.R"}], "log": {}}
    assert outputs_of_map(by_hand) == {"by.hand.R": "R"}


@pytest.mark.parametrize("names", [["a.12"], ["a.S", "b.S"]])
def test_outputs_whose_types_are_not_clear_are_refused(names: list[str]):
    with pytest.raises(SpecInvalid):
        outputs_of_map({"jobParameters": [{"param_type": "output", "dataset": name} for name in names]})
