"""What becomes of tasks: the same checks on the recordings of a real server, the sandbox, and any live server."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable

import pytest

from tests.contract.panda import recordings
from tests.contract.panda.conftest import Outcomes
from tests.contract.panda.outcome import FINAL, Outcome, option, serial, shape_differences
from tests.contract.panda.playing import SCENARIOS
from tests.contract.panda.replayer import Replayed

Replays = Callable[[str], list[Replayed]]
WITH_OUTCOMES = [one for one in SCENARIOS if one not in ("broken", "listing", "odd_input", "twins")]
"""Scenarios whose tasks have jobs and are looked at in the end."""

FOLLOWERS = {
    "registered": {"toreassign", "defined", "ready", "running", "scouting", "pending", "tobroken", "toabort"},
    "defined": {"toreassign", "ready", "running", "scouting", "pending", "toabort", "tobroken"},
    "pending": {"toreassign", "registered", "defined", "ready", "running", "toabort", "aborting", "aborted"},
    "ready": {
        "toreassign", "paused", "running", "scouting", "pending", "prepared", "done", "finished", "failed", "toabort",
    },
    "scouting": {"scouted", "running", "tobroken", "broken"},
    "scouted": {"running"},
    "running": {
        "toreassign", "defined", "prepared", "done", "finished", "failed", "paused", "finishing", "passed", "aborting",
        "toabort",
    },
    "paused": {"running", "ready", "toabort", "aborting"},
    "finishing": {"passed", "finished", "failed", "done"},
    "passed": {"finished", "failed", "done"},  # done: the command came when all was done
    "prepared": {"done", "finished", "failed"},
    "aborting": {"toabort", "aborted", "paused"},
    "toabort": {"aborted", "paused"},  # a pause that was given after the kill is carried out, and the kill wins
    "toreassign": {"reassigning", "registered", "defined", "ready", "running"},
    "reassigning": {"registered", "defined", "ready", "running"},
    "tobroken": {"broken"},
    "finished": {"toretry", "ready", "running"},
    "failed": {"toretry", "ready", "running"},
    "toretry": {"ready", "running"},
    "done": {"toincexec", "rerefine", "toreassign"},
    "broken": set(),
    "aborted": {"toincexec", "rerefine"},
    "toincexec": {"rerefine"},
    "rerefine": {"defined", "ready", "running"},
}  # fmt: skip
"""Which status may be seen after which, by somebody who asks now and then."""


def _reachable() -> dict[str, set[str]]:
    """Statuses that may be seen next when those in between, none of them final, were missed."""
    reach = {status: set(after) for status, after in FOLLOWERS.items()}
    for _ in FOLLOWERS:
        for after in reach.values():
            after |= {more for one in after - FINAL for more in reach.get(one, set())}
    return reach


REACHABLE = _reachable()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_statuses_follow_each_other_as_recorded(
    replayed: Replays, outcomes: Outcomes, target_name: str, scenario: str
) -> None:
    if target_name == "recordings":
        seen = {one.task_id: one.statuses for one in outcomes(scenario)}
    else:
        seen = {task: statuses for one in replayed(scenario) for task, statuses in one.seen.items()}
    for task, statuses in seen.items():
        wrong = [pair for pair in itertools.pairwise(statuses) if pair[1] not in REACHABLE[pair[0]]]
        assert not wrong, f"recorded task {task}: {statuses}"


@pytest.mark.parametrize("scenario", WITH_OUTCOMES)
def test_replies_have_the_recorded_keys_and_types(outcomes: Outcomes, scenario: str) -> None:
    known, got = recordings.outcomes(scenario), outcomes(scenario)
    for recorded, outcome in zip(known, got, strict=True):
        for part in ("info", "details", "jobs", "datasets"):
            if not getattr(recorded, part) or not getattr(outcome, part):
                continue
            differences = shape_differences(getattr(recorded, part), getattr(outcome, part), part)
            differences = [one for one in differences if "taskParams" not in one and ".Files" not in one]
            assert not differences, f"{scenario} {outcome.task_id}"


def test_a_job_file_has_the_recorded_keys(outcomes: Outcomes) -> None:
    for scenario in ("seed_list", "pairing_shift"):
        for recorded, outcome in zip(recordings.outcomes(scenario), outcomes(scenario), strict=True):
            keys = set(recorded.jobs[0]["Files"][0])
            assert all(set(file) == keys for job in outcome.jobs for file in job["Files"])


def test_a_list_of_seeds_is_one_task_and_survives_all_attempts(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("seed_list")
    assert outcome.info["status"] == "finished"
    numbers = {
        key: outcome.info[key] for key in ("nFiles", "nFilesFinished", "nFilesFailed", "pctFinished", "pctFailed")
    }
    assert numbers == {"nFiles": 4, "nFilesFinished": 3, "nFilesFailed": 1, "pctFinished": 75, "pctFailed": 25}
    assert outcome.info["splitRule"] == "nFilesPerJob=1,pfnList=1,pushStatusChanges=1,cloudAsVO=1,messageDriven=1"
    slots = outcome.files("pseudo_dataset")
    assert slots == {
        "000000:40001": "finished", "000001:40007": "finished", "000002:40003": "finished", "000003:40020": "ready",
    }  # fmt: skip
    tries = {seed: [job for job in outcome.attempts if option(job, "seed") == seed] for seed in ("40007", "40020")}
    assert [job["jobStatus"] for job in tries["40007"]] == ["failed", "finished"]
    assert [job["jobStatus"] for job in tries["40020"]] == ["failed"] * 3
    assert [job["attemptNr"] for job in tries["40020"]] == [1, 2, 3]
    assert [job["maxAttempt"] for job in tries["40020"]] == [1, 2, 3]
    assert [job["failedAttempt"] for job in tries["40020"]] == [0, 1, 2]
    assert len({job["jobName"] for job in tries["40020"]}) == 1


def test_slash_m_computes_the_first_event_from_the_seed(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("seed_list")
    firsts = {option(job, "seed"): option(job, "first") for job in outcome.jobs}
    assert firsts == {"40001": "160000001", "40007": "160024001", "40003": "160008001", "40020": "160076001"}


def test_serial_numbers_go_on_after_failures(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("seed_list")
    assert sorted(serial(job, "out-s") for job in outcome.jobs) == [1, 2, 3, 4, 5, 6, 7]
    assert all(serial(job, "out-s") <= 4 for job in outcome.jobs if job["attemptNr"] == 1)
    status = {int(lfn.rsplit(".", 2)[-2]): status for lfn, status in outcome.files(".S").items()}
    good = {serial(job, "out-s") for job in outcome.jobs if job["jobStatus"] == "finished"}
    assert {number for number, one in status.items() if one == "finished"} == good
    assert {one for number, one in status.items() if number not in good} == {"failed"}


def test_a_failed_job_speaks_in_pandas_codes(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("attempt_suffix")
    failed = [job for job in outcome.attempts if job["jobStatus"] == "failed"]
    codes = [(job["transExitCode"], job["pilotErrorCode"], job["exeErrorCode"]) for job in failed]
    assert codes == [("65", 1305, 65), ("0", 1137, 0)]
    assert failed[0]["pilotErrorDiag"].startswith("Failed to execute payload")
    assert failed[1]["pilotErrorDiag"] == "Failed to stage-out file"
    states = {(file["type"], file["status"]) for job in failed for file in job["Files"]}
    assert states == {("pseudo_input", "unknown"), ("output", "failed"), ("log", "failed")}


def test_a_job_without_failure_reports_files_events_and_times(outcomes: Outcomes) -> None:
    sim, _ = outcomes("chain_done")
    for job in sim.jobs:
        assert job["jobStatus"] == "finished"
        assert (job["transExitCode"], job["pilotErrorCode"], job["nEvents"]) == ("0", 0, 4000)
        outputs = [file for file in job["Files"] if file["type"] in ("output", "log")]
        assert len(outputs) == 3
        assert all(file["fsize"] > 0 and re.fullmatch(r"ad:[0-9a-f]{8}", file["checksum"]) for file in outputs)
        assert all(file["GUID"] for file in outputs)
        assert job["jobDuration"] >= 0


def test_a_chain_is_done_and_binds_s_and_p_of_one_job(outcomes: Outcomes) -> None:
    sim, reco = outcomes("chain_done")
    assert (sim.info["status"], reco.info["status"]) == ("done", "done")
    assert (sim.info["parent_tid"], reco.info["parent_tid"]) == (sim.task_id, sim.task_id)
    assert reco.info["nFiles"] == 10
    assert all(serial(job, "in") == serial(job, "par") for job in reco.jobs)
    assert sim.info["job_execution_params"].endswith("--out-s=${OUTPUT0} --out-p=${OUTPUT1}")
    assert reco.info["job_execution_params"] == "reco.C --in=${IN} --par=${IN2} --out=${OUTPUT0}"
    assert sorted(int(option(job, "first")) for job in sim.jobs) == [4000 * index + 1 for index in range(10)]


def test_a_lost_p_file_shifts_every_later_pair(outcomes: Outcomes) -> None:
    _, reco = outcomes("pairing_shift")
    assert reco.info["status"] == "done"
    pairs = sorted((serial(job, "in"), serial(job, "par")) for job in reco.jobs)
    assert pairs == [(1, 1), (2, 3), (3, 4), (4, 5), (5, 1)]


def test_a_partly_failed_task_is_finished_and_a_retry_does_the_rest(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("partial_finished")
    assert "finished" in outcome.statuses
    assert outcome.statuses[-1] == "done"
    assert outcome.info["attemptNr"] == 1
    assert len(outcome.details["PandaID"]) == 10


def test_a_task_without_any_success_has_failed(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("failed")
    assert "failed" in outcome.statuses
    assert outcome.statuses[-1] == "done"
    assert {job["maxAttempt"] for job in outcome.jobs} == {-1}
    assert sorted(serial(job, "out-s") for job in outcome.jobs if job["jobStatus"] == "finished") == [6, 7, 8, 9, 10]


def _tries(outcome: Outcome, first: int) -> list[tuple[str, str]]:
    """Seed and status of each attempt of the slot that begins with an event."""
    jobs = [job for job in outcome.attempts if option(job, "first") == str(first)]
    return [(option(job, "seed"), job["jobStatus"]) for job in jobs]


def test_seeds_of_the_pool_stay_while_retries_come_in_order(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("random_seed_pool")
    assert _tries(outcome, 4001) == [("1002", "failed"), ("1002", "finished")]
    assert _tries(outcome, 12001) == [("1004", "failed")] * 3
    assert _tries(outcome, 20001) == [("1006", "failed"), ("1006", "finished")]


def test_one_bad_seed_of_the_pool_costs_another_slot_its_attempts(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("random_seed_pool_shift")
    assert _tries(outcome, 4001) == [("1002", "failed")] * 3
    assert _tries(outcome, 20001) == [("1006", "failed"), ("1002", "failed"), ("1002", "failed")]
    assert (outcome.info["status"], outcome.info["nFilesFinished"]) == ("finished", 6)
    pool = outcome.files("RNDMSEED")
    assert [pool[str(number)] for number in (1, 2, 6)] == ["finished", "ready", "ready"]


REASONS = {
    "no_jobParameters": "failed to refine task with KeyError:'jobParameters'",
    "bad_label": "failed to extract common parameters with RuntimeError:workqueue is undefined for vo=spd label=weird "
    "processingType=simul workingGroup=SPD coreCount=1 eventService=0 splitRule=NE=4000,PC=1,CV=1,MD=1 "
    "campaign=MC2025_S1",
}


def test_a_map_without_its_keys_breaks_and_may_lose_its_name(outcomes: Outcomes) -> None:
    found = outcomes("broken")
    assert len(found) == 6
    for outcome in found:
        assert outcome.info["status"] == "broken"
        assert outcome.job_ids == []
        reason = next((text for key, text in REASONS.items() if outcome.params["taskName"].endswith(key)), None)
        if reason:
            assert outcome.info["taskName"] == outcome.params["taskName"]
            assert outcome.info["errorDialog"].startswith(reason)
        else:
            assert str(uuid.UUID(outcome.info["taskName"])) == outcome.info["taskName"]
            assert (outcome.info["userName"], outcome.info["vo"]) == ("tobeset", None)
            assert outcome.info["errorDialog"] == "post-process permanently failed"


def test_twenty_jobs_are_scouted_and_fewer_are_not(outcomes: Outcomes) -> None:
    (scouted,) = outcomes("scouting")
    assert scouted.info["splitRule"].startswith("useScout=updated_requirements,")
    assert scouted.info["nFilesFinished"] == 20
    small, big = outcomes("scouts_broken")
    assert (small.info["status"], small.info["nFilesFailed"]) == ("failed", 10)
    assert small.info["errorDialog"] == "failed since no file was successfully processed"
    assert (big.info["status"], big.info["errorDialog"]) == ("broken", "no scout jobs succeeded")
    assert (big.info["nFilesFailed"], big.info["pctFailed"]) == (10, 50)


def _cancelled(outcome: Outcome) -> list[dict[str, object]]:
    return [job for job in outcome.jobs if job["jobStatus"] == "cancelled"]


def test_a_kill_aborts_and_an_early_kill_is_lost(outcomes: Outcomes) -> None:
    killed, spared = outcomes("killed")
    assert "aborted" in killed.statuses
    assert spared.info["status"] in ("running", "done")
    if killed.info["status"] == "aborted":
        assert killed.info["errorDialog"].startswith("kill by ")
        assert killed.info["nFilesFailed"] == 0


def test_a_pause_while_a_kill_is_carried_out_wins_until_it_is_killed_again(outcomes: Outcomes) -> None:
    killed, paused = outcomes("kill_slow")
    assert "paused" not in killed.statuses
    ends = [status for status in paused.statuses if status in {"aborting", "paused", "aborted"}]  # `toabort` is short
    again = ["aborting"] if ends[2:3] == ["aborting"] else []  # the second time it may be short, too
    assert ends == ["aborting", "paused", *again, "aborted"]
    for outcome in (killed, paused):
        assert (outcome.info["status"], outcome.info["errorDialog"]) == ("aborted", "kill by prodmgr")
        assert outcome.info["nFilesFailed"] == 0


def test_somebody_elses_retry_of_an_ended_task_fills_the_same_datasets(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("retry_after_done")
    assert [one for one in outcome.statuses if one in FINAL] == ["finished", "done"]
    tries = [(job["attemptNr"], job["jobStatus"]) for job in outcome.attempts if option(job, "seed") == "50052"]
    assert tries == [(1, "failed"), (2, "failed"), (3, "finished")]
    assert {one["dataset"]["name"].rsplit(".", 1)[-1] for one in outcome.datasets} >= {"S", "P"}
    assert [*outcome.files("pseudo_dataset").values()] == ["finished"] * 3


def test_finish_keeps_what_is_done_and_fails_without_anything(outcomes: Outcomes, target_name: str) -> None:
    hard, soft, nothing = outcomes("finish_cmd")
    for outcome in (hard, soft, nothing):
        finished, total = outcome.info["nFilesFinished"], outcome.info["nFiles"]
        expected = "done" if finished == total else "finished" if finished else "failed"
        assert outcome.info["status"] == expected
    if target_name != "live":  # a live server may be too quick for the command
        assert (hard.info["status"], soft.info["status"], nothing.info["status"]) == ("finished", "finished", "failed")
    assert re.fullmatch(r"finish by \S+", hard.info["errorDialog"])
    assert re.fullmatch(r"soft finish by \S+", soft.info["errorDialog"])
    if nothing.info["status"] == "failed":
        assert nothing.info["errorDialog"].endswith(" failed since no file was successfully processed")
    for outcome in (one for one in (hard, nothing) if one.info["status"] != "done"):
        failed = outcome.info["nFiles"] - outcome.info["nFilesFinished"]
        assert outcome.info["nFilesFailed"] == failed
        assert f"failed*{failed}" in outcome.details["statistics"]
        for job in _cancelled(outcome):
            assert job["taskBufferErrorCode"] == 100
            assert str(job["taskBufferErrorDiag"]).startswith("finish by ")
            assert job["commandToPilot"] == "tobekilled"


def test_a_paused_task_goes_on_after_resume(outcomes: Outcomes) -> None:
    (outcome,) = outcomes("pause_resume")
    assert "paused" in outcome.statuses
    assert outcome.info["status"] == "done"


def test_an_unknown_queue_leaves_the_task_pending(outcomes: Outcomes) -> None:
    outcome = outcomes("pending")[0]
    assert "pending" in outcome.statuses
    if outcome.info["status"] == "pending":
        assert "unknown site=NOWHERE. brokerage failed for 1 input datasets" in outcome.info["errorDialog"]
        assert outcome.info["oldStatus"] == "ready"


def test_the_parameters_are_the_map_and_the_user(outcomes: Outcomes, target_name: str) -> None:
    for scenario in ("chain_done", "scouting"):
        for body, outcome in zip(recordings.submissions(scenario), outcomes(scenario), strict=True):
            extra = set(outcome.params) - set(body["task_parameters"])
            assert extra == {"userName"}, f"{target_name}: {extra}"
            assert outcome.info["raw_task_params"]["log"]["value"] == "${LOG0}"
