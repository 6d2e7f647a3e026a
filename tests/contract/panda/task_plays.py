"""Plays on tasks and jobs: what becomes of them under each shipped scenario."""

from __future__ import annotations

import tarfile
import time
from typing import Any

from sandbox.panda.jobs.storage import file_path
from sandbox.panda.trouble.strikes import lot
from tests.contract.panda.outcome import Outcome, option, serial
from tests.contract.panda.plays import Stage, on_tasks

SLOW = {"slow": {"wall_s": 4}}


def states(outcome: Outcome) -> list[tuple[str, str]]:
    """Seed and status of all attempts, in their order."""
    return [(option(job, "seed"), job["jobStatus"]) for job in outcome.attempts]


def failures(outcome: Outcome) -> list[dict[str, Any]]:
    """All failed attempts."""
    return [job for job in outcome.attempts if job["jobStatus"] == "failed"]


@on_tasks("quiet")
def quiet(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert (outcome.info["status"], failures(outcome), stage.journal(outcome.task_id)) == ("done", [], [])


def _crashes(stage: Stage) -> None:
    outcome = stage.end(stage.submit("RECO", seeds=3))
    assert (outcome.info["status"], outcome.info["nFilesFinished"], outcome.info["nFilesFailed"]) == ("finished", 2, 1)
    failed = failures(outcome)
    assert len(failed) == 3
    assert len({option(job, "seed") for job in failed}) == 1
    assert {(job["pilotErrorCode"], job["transExitCode"], job["exeErrorCode"]) for job in failed} == {
        (1328, "139", 139)
    }
    assert len(stage.journal(outcome.task_id)) == 3


for _name in ("reco-9992-of-10000", "reco-9993-of-10000", "reco-1244-of-1250", "reco-1221-of-1250"):
    on_tasks(_name, count=1)(_crashes)


@on_tasks("no-reply-2175-of-14293", share=0.5)
def no_reply(stage: Stage) -> None:
    outcome = stage.end(stage.submit(seeds=6))
    silent = {str(slot + 1) for slot in range(6) if lot("no reply from the pilot", 152, slot) < 0.5}
    failed = failures(outcome)
    assert outcome.info["status"] == "done"
    assert silent
    assert {option(job, "seed") for job in failed} == silent
    for job in failed:
        assert (job["jobDispatcherErrorCode"], job["attemptNr"], job["startTime"]) == (102, 1, None)
        assert job["jobDispatcherErrorDiag"] == "Sent job didn't receive reply from pilot within 30 min"
        assert job["transExitCode"] is None


@on_tasks("sixth-try-passes")
def sixth_try(stage: Stage) -> None:
    stem = f"TEST_xsixthtrypassesx-{int(time.time())}.SIM"
    names = [stem, *(f"{stem}.{number}" for number in range(2, 7))]
    ids = [stage.submit(seeds=1, task=str(n), taskName=name, maxAttempt=1) for n, name in enumerate(names)]
    ends = [stage.end(one) for one in ids]
    assert [one.info["status"] for one in ends] == ["failed"] * 5 + ["done"]
    assert {one.jobs[0]["pilotErrorDiag"] for one in ends[:5]} == {"Failed during payload setup"}


@on_tasks("mispaired-parameters")
def mispaired(stage: Stage) -> None:
    sim, reco = stage.chain(4)
    assert (sim.info["status"], reco.info["status"]) == ("done", "done")
    pairs = sorted((serial(job, "in"), serial(job, "par")) for job in reco.jobs)
    lost = [what for what in stage.journal(sim.task_id) if what.startswith("file lost")]
    assert len(lost) == 1
    assert pairs == [(1, 1), (2, 3), (3, 4), (4, 1)]


@on_tasks("lost-p-file")
def lost_p_file(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert outcome.info["status"] == "done"
    assert [what for what in stage.journal(outcome.task_id) if ".P." in what]


@on_tasks("seed-pool-shift")
def pool_shift(stage: Stage) -> None:
    outcome = stage.end(stage.submit(scenario="random_seed_pool_shift"))
    failed = failures(outcome)
    assert outcome.info["status"] == "finished"
    assert {option(job, "seed") for job in failed} == {"1002"}
    assert failed[0]["exeErrorDiag"] == "fake failure of seed 1002"


@on_tasks("fail-once")
def fail_once(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert outcome.info["status"] == "done"
    assert sorted(states(outcome)) == [("1", "failed"), ("1", "finished"), ("2", "failed"), ("2", "finished")]


@on_tasks("bad-slot")
def bad_slot(stage: Stage) -> None:
    outcome = stage.end(stage.submit(seeds=4, pfnList=["11", "7", "5", "3"]))
    assert outcome.info["status"] == "done"
    failed = failures(outcome)
    assert [(option(job, "seed"), job["attemptNr"]) for job in failed] == [("5", 1), ("5", 2)]
    for job in failed:
        (log,) = [file for file in job["Files"] if file["type"] == "log"]
        assert (log["status"], log["fsize"] > 0, bool(log["checksum"])) == ("failed", True, True)
        with tarfile.open(_path(stage, log["lfn"])) as archive:
            text = archive.extractfile("payload.log").read().decode()  # type: ignore[union-attr]
        assert "error: simu.C: no vertex could be placed" in text
        assert "payload exit code 1" in text


@on_tasks("bad-node")
def bad_node(stage: Stage) -> None:
    outcome = stage.end(stage.submit(seeds=4, site="SPD_PNPI"))
    assert {job["pilotErrorCode"] for job in failures(outcome)} == {1332}
    assert any(job["jobStatus"] == "finished" for job in outcome.jobs)


@on_tasks("bad-site")
def bad_site(stage: Stage) -> None:
    there, here = stage.submit(site="SPD_PNPI"), stage.submit(task="b")
    outcome = stage.end(there)
    assert (outcome.info["status"], {job["pilotErrorCode"] for job in outcome.jobs}) == ("failed", {1137})
    assert stage.end(here).info["status"] == "done"


@on_tasks("frozen-jobs", share=1.0)
def frozen(stage: Stage) -> None:
    outcome = stage.end(stage.submit(seeds=1))
    first, second = outcome.attempts
    assert (first["jobDispatcherErrorCode"], second["jobStatus"]) == (102, "finished")
    assert first["jobDispatcherErrorDiag"].startswith("lost heartbeat : 20")
    assert first["startTime"] is not None


@on_tasks("lost-heartbeat")
def lost_heartbeat(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    (failed,) = failures(outcome)
    assert (outcome.info["status"], failed["jobDispatcherErrorCode"], option(failed, "seed")) == ("done", 102, "1")
    assert failed["jobDispatcherErrorDiag"].startswith("lost heartbeat : 20")


@on_tasks("slow-pnpi")
def slow_pnpi(stage: Stage) -> None:
    outcome = stage.end(stage.submit(seeds=1, site="SPD_PNPI"))
    assert outcome.jobs[0]["jobDuration"] >= 1.0


@on_tasks("pnpi-slow-for-a-while", scale=0.08)
def slow_for_a_while(stage: Stage) -> None:
    time.sleep(6)
    outcome = stage.end(stage.submit(seeds=1, site="SPD_PNPI"))
    assert outcome.jobs[0]["jobDuration"] >= 2.0


@on_tasks("no-site")
def no_site(stage: Stage) -> None:
    task_id = stage.submit()
    outcome = stage.end(task_id, {"pending"})
    assert "skipped due to missing software spdroot-dev" in outcome.info["errorDialog"]
    assert outcome.jobs == []
    assert stage.journal(task_id) == ["brokerage finds no site"]
    stage.server.post("task/kill", task_id=task_id)


@on_tasks("broken-map")
def broken_map(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert outcome.info["status"] == "broken"
    assert "workqueue is undefined" in outcome.info["errorDialog"]
    assert (outcome.jobs, stage.journal(outcome.task_id)) == ([], ["map broken"])


@on_tasks("scouts-fail")
def scouts_fail(stage: Stage) -> None:
    outcome = stage.end(stage.submit(scenario="scouts_broken", maxAttempt=1))
    assert (outcome.info["status"], outcome.info["errorDialog"]) == ("broken", "no scout jobs succeeded")
    assert len(outcome.jobs) == 10


@on_tasks("exhausted")
def exhausted(stage: Stage) -> None:
    task_id = stage.submit()
    outcome = stage.end(task_id)
    assert outcome.info["status"] == "exhausted"
    assert "use larger ramCount" in outcome.info["errorDialog"]
    assert stage.server.post("task/retry", task_id=task_id)["data"] == 0
    assert stage.end(task_id, {"done", "failed"}).info["status"] == "done"


@on_tasks("throttled")
def throttled(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert "throttled" in outcome.statuses
    assert (outcome.info["status"], stage.journal(outcome.task_id)) == ("done", ["throttled for 3.0 s"])


@on_tasks("somebody-retries", {"match": {"seed": 1}, "fail": {"times": 3}}, scale=0.4)
def somebody_retries(stage: Stage) -> None:
    task_id = stage.submit("RECO")
    stage.end(task_id, {"finished"})
    outcome = stage.end(task_id, {"done"})
    assert len(outcome.jobs) == 5
    assert stage.journal(task_id)[-1] == "retry by user2"


@on_tasks("somebody-kills", SLOW)
def somebody_kills(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert (outcome.info["status"], outcome.info["errorDialog"]) == ("aborted", "kill by user2")
    assert {job["jobStatus"] for job in outcome.jobs} == {"cancelled"}
    assert {job["taskBufferErrorDiag"] for job in outcome.jobs} == {"kill by user2"}


@on_tasks("somebody-finishes", SLOW)
def somebody_finishes(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert outcome.info["status"] == "failed"
    assert outcome.info["errorDialog"].startswith("finish by user2")


@on_tasks("somebody-pauses", SLOW)
def somebody_pauses(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    acts = [what for what in stage.journal(outcome.task_id) if what.endswith("by user2")]
    assert {"paused", "running"} <= set(outcome.statuses)
    assert (outcome.info["status"], acts) == ("done", ["pause by user2", "resume by user2"])


@on_tasks("somebody-reprioritises", SLOW)
def somebody_reprioritises(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert (outcome.info["taskPriority"], outcome.info["currentPriority"]) == (900, 100)
    assert "change priority by user2 to 100" in stage.journal(outcome.task_id)


@on_tasks("truncated-file")
def truncated(stage: Stage) -> None:
    sim, reco = stage.chain(2)
    (what,) = stage.journal(sim.task_id)
    job = next(job for job in sim.jobs for file in job["Files"] if file["lfn"] == what.removeprefix("file spoilt: "))
    file = next(file for file in job["Files"] if file["lfn"] in what)
    assert _path(stage, file["lfn"]).stat().st_size == file["fsize"] // 2
    assert (sim.info["status"], reco.info["status"]) == ("done", "finished")
    assert {job["pilotErrorCode"] for job in failures(reco)} == {1171}


@on_tasks("wrong-content")
def wrong_content(stage: Stage) -> None:
    sim = stage.end(stage.submit(seeds=1))
    (file,) = [one for one in sim.jobs[0]["Files"] if one["lfn"].endswith(".S.000001.root")]
    content = _path(stage, file["lfn"]).read_bytes()
    assert (len(content), content[:17]) == (file["fsize"], b"spoilt by scenari")


@on_tasks("vanished-file")
def vanished(stage: Stage) -> None:
    sim = stage.end(stage.submit(seeds=1))
    (file,) = [one for one in sim.jobs[0]["Files"] if one["lfn"].endswith(".S.000001.root")]
    assert not _path(stage, file["lfn"]).exists()


@on_tasks("fewer-events")
def fewer_events(stage: Stage) -> None:
    outcome = stage.end(stage.submit())
    assert outcome.info["status"] == "done"
    assert {option(job, "seed"): job["nEvents"] for job in outcome.jobs} == {"1": 3900, "2": 4000}


@on_tasks("pnpi-offline", scale=0.08, site="SPD_SWITCHED_OFF")
def offline(stage: Stage) -> None:
    time.sleep(6)
    task_id = stage.submit(site="SPD_SWITCHED_OFF")
    waiting = stage.end(task_id, {"pending"})
    assert "SPD_SWITCHED_OFF is offline" in waiting.info["errorDialog"]
    assert stage.end(task_id, {"done"}).info["nFilesFinished"] == 2


def _path(stage: Stage, lfn: str) -> Any:
    return file_path(stage.sandbox.rse_root / "LOCAL_EOS", "MC2025_S2", lfn)
