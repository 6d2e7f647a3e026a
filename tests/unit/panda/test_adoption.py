"""A task made by hand beside what the request asks for: all differences, and which of them do harm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prodsys.errors import SpecInvalid
from prodsys.model.names import Sample
from prodsys.model.outcome import JobRecord, TaskInfo
from prodsys.model.statuses import JobStatus, TaskStatus
from prodsys.panda.adoption import (
    Expected,
    HandMade,
    attempt_of,
    attempt_of_name,
    compare,
    partition_of_outputs,
    seeds_of_hand_made,
)

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
SIM_MAP = json.loads((GOLDEN / "task_map_sim.json").read_text())
RECO_MAP = json.loads((GOLDEN / "task_map_reco.json").read_text())
FOLDER = "/cvmfs/spd.jinr.ru/production/MC/minbias-P8-spdroot4172-dev.27GeV.V02"
SIM = Expected(
    request_id="PROD2025-016",
    kind="SIM",
    vo="spd",
    requester="manager",
    sample=Sample("MC2025_S2", "minbias-P8-spdroot4172-dev", 27, "UU", "PROD2025-016"),
    seeds=frozenset({40001, 40002, 40003}),
    events_per_job=4000,
    script=f"{FOLDER}/simu.C",
    image=SIM_MAP["container_name"],
    transform=SIM_MAP["transPath"],
    processing_type="simul",
    outputs=frozenset({"S", "P", "log"}),
    queues=frozenset({"SPD_LOCAL", "SPD_JINR"}),
    inputs={},
)
NAME = "MC2025_S2.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.1"
RECO = replace(
    SIM,
    kind="RECO",
    script=f"{FOLDER}/reco.C",
    processing_type="reco",
    outputs=frozenset({"R", "log"}),
    inputs={"S": f"{NAME}.S", "P": f"{NAME}.P"},
    parent_tid=364,
)


def hand(changes: dict[str, Any] | None = None, info: dict[str, Any] | None = None, jobs=(), base=SIM_MAP) -> HandMade:
    name = base["taskName"]
    known = {"jedi_task_id": 364, "task_name": name, "status": TaskStatus.RUNNING, "user_name": "Manager"}
    return HandMade(TaskInfo(**known | (info or {})), {**base, **(changes or {})}, tuple(jobs))


def job(seed: int, number: int = 1) -> JobRecord:
    return JobRecord(number, JobStatus.RUNNING, "SPD_JINR", f"simu.C --seed={seed} --n=4000", seed=seed)


def found(made: HandMade, expected: Expected = SIM) -> list[tuple[str, bool]]:
    seeds = sorted(expected.seeds) if expected.inputs else seeds_of_hand_made(made)
    return [(one.what, one.harmless) for one in compare(made, expected, seeds)]


def renamed(text: str, old: str, new: str) -> dict[str, Any]:
    return json.loads(text.replace(old, new))


def test_our_own_task_has_no_difference():
    assert found(hand()) == []
    assert found(hand(base=RECO_MAP, info={"parent_tid": 364}), RECO) == []
    assert attempt_of_name(hand(), SIM) == 1
    assert attempt_of_name(hand(info={"task_name": "PROD2025-016.SIM.3"}), SIM) == 3
    assert partition_of_outputs(hand()) == "MC2025_S2"


def test_a_dataset_that_has_the_name_of_a_container_is_refused():
    made = hand(renamed(json.dumps(SIM_MAP), ".SIM.1.S", ".SIM.S"))
    assert ("dataset", False) in found(made)


def test_the_next_attempt_never_writes_where_this_one_writes():
    odd = {"task_name": "by.hand"}
    assert attempt_of(hand(), SIM) == attempt_of(hand(info=odd), SIM) == 1
    assert attempt_of(hand(info={"task_name": "PROD2025-016.SIM.3"}), SIM) == 3
    fourth = renamed(json.dumps(SIM_MAP), ".SIM.1.", ".SIM.4.")
    assert attempt_of(hand(fourth, odd), SIM) == attempt_of(hand(fourth), SIM) == 4
    assert attempt_of(hand(renamed(json.dumps(SIM_MAP), NAME, "MC2025_S2.by.hand.9")), SIM) == 1


@pytest.mark.parametrize(
    ("changes", "info", "what"),
    [
        ({}, {"task_name": "MC2025_S1-003-SIM.4"}, "name"),
        ({}, {"task_name": "PROD2025-016.RECO"}, "name"),
        ({}, {"user_name": "somebody else"}, "user"),
        ({"transPath": "/home/run.sh"}, {}, "transformation"),
        ({"processingType": "simulation"}, {}, "processing type"),
        ({"pfnList": ["40001", "40003"], "nFiles": 2}, {}, "seeds"),
        (renamed(json.dumps(SIM_MAP), ".V02/", ".V03/"), {}, "script"),
    ],
)
def test_what_does_no_harm_is_said(changes, info, what):
    assert found(hand(changes, info)) == [(what, True)]


@pytest.mark.parametrize(
    ("changes", "info", "what"),
    [
        ({}, {"task_name": None}, "name"),
        ({}, {"status": TaskStatus.ABORTED}, "status"),
        ({}, {"status": TaskStatus.BROKEN}, "status"),
        ({"vo": "atlas"}, {}, "VO"),
        ({"taskType": "anal"}, {}, "taskType"),
        ({"prodSourceLabel": "user"}, {}, "prodSourceLabel"),
        ({"container_name": "/other.sif"}, {}, "image"),
        ({"site": "NOWHERE"}, {}, "queue"),
        ({"nFilesPerJob": 2}, {}, "files a job"),
        ({"pfnList": ["40001", "40002", "40003", "40004"], "nFiles": 4}, {}, "seeds"),
        ({"pfnList": ["40001", "40002", "40003", "40003"], "nFiles": 4}, {}, "seeds"),
        ({"nEvents": 40000, "nEventsPerJob": 4000}, {}, "jobs"),
        (renamed(json.dumps(SIM_MAP), ".V02/", ".V02_D0sig/"), {}, "script"),
        (renamed(json.dumps(SIM_MAP), FOLDER + "/", ""), {}, "script"),
        (renamed(json.dumps(SIM_MAP), "--n=4000", "--n=400"), {}, "events a job"),
        (renamed(json.dumps(SIM_MAP), "MC2025_S2", "MC2025_S1"), {}, "partition"),
        (renamed(json.dumps(SIM_MAP), "SIM.1.P", "SIM.1.X"), {}, "outputs"),
        (
            renamed(json.dumps(SIM_MAP), "UU.PROD2025-016", "UU.PROD2025-015"),
            {},
            f"request of {NAME.replace('016', '015')}.S",
        ),
        (renamed(json.dumps(SIM_MAP), ".27GeV-UU", ".10GeV-UU"), {}, f"energy of {NAME.replace('27', '10')}.S"),
    ],
)
def test_what_does_harm_is_named(changes, info, what):
    first = found(hand(changes, info))[0]
    assert first == (what, False)


def test_history_may_stand_in_another_partition_and_keeps_odd_names():
    by_hand = renamed(json.dumps(SIM_MAP), NAME, "MC2025_S1.by.hand")
    assert found(hand(by_hand), replace(SIM, may_move=True)) == [("partition", True), *[("dataset", True)] * 3]
    assert partition_of_outputs(hand(by_hand)) == "MC2025_S1"
    assert partition_of_outputs(hand(renamed(json.dumps(SIM_MAP), NAME + ".P", "other.P"))) == ""


def test_seeds_are_read_from_the_jobs_when_the_map_lists_none():
    pool = {"pfnList": None, "nFiles": None, "nEvents": 12000, "nEventsPerJob": 4000}
    jobs = [job(40003, 3), job(40001, 1), job(40001, 4), job(40002, 2)]
    assert seeds_of_hand_made(hand(pool, jobs=jobs)) == (40001, 40002, 40003)
    for some in ((), jobs[:2]):
        with pytest.raises(SpecInvalid, match="of 3 jobs tell theirs"):
            seeds_of_hand_made(hand(pool, jobs=some))
    with pytest.raises(SpecInvalid, match="'x', which is no seed"):
        seeds_of_hand_made(hand({"pfnList": ["1", "x"]}))
    assert seeds_of_hand_made(hand({"nFiles": 2})) == (40001, 40002)  # JEDI takes the first ones of the list


def test_a_reconstruction_must_read_what_the_step_before_wrote_in_its_order():
    text = json.dumps(RECO_MAP)
    assert found(hand(base=RECO_MAP, info={"parent_tid": 1}), RECO) == [("parent", True)]
    swapped = replace(RECO, inputs=dict(reversed(RECO.inputs.items())))
    assert found(hand(base=RECO_MAP, info={"parent_tid": 364}), swapped) == [("inputs", False)]
    other = hand(base=json.loads(text.replace("SIM.1.P", "SIM.2.P")), info={"parent_tid": 364})
    assert found(other, RECO) == [("inputs", False)]
    silent = hand({"nEventsPerInputFile": None}, base=RECO_MAP, info={"parent_tid": 364})
    assert found(silent, RECO) == [("events a job", True)]
