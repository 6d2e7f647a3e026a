"""kill -9 of server and JEDI at any moment: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uproot

from sandbox.panda.storage import file_path
from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda import recordings
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NOT_OURS, skip
from tests.contract.panda.target import Server

KILLS = 8
SEED = 20251121


@pytest.fixture(scope="module")
def victim(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield a sandbox that is there to be killed."""
    if "live" in TARGETS:
        skip(NOT_OURS)
    target = Sandbox(tmp_path_factory.mktemp("victim"), postgres.create_database("panda_victim"))
    target.start()
    yield target
    target.stop()


def _map(name: str, seeds: list[int]) -> dict[str, Any]:
    text = recordings.submissions("pairing_shift")[0]
    body: dict[str, Any] = {"task_parameters": dict(text["task_parameters"]), "parent_tid": None}
    renamed = _renamed(body, "A3.lostp", name)
    renamed["task_parameters"] |= {"pfnList": [str(seed) for seed in seeds], "nFiles": len(seeds)}
    return renamed


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: _renamed(one, old, new) for key, one in value.items()}
    return [_renamed(one, old, new) for one in value] if isinstance(value, list) else value


def test_killed_at_random_moments_every_task_ends_and_every_seed_counts_once(victim: Sandbox) -> None:
    server = Server(victim.url, victim.issuer.token(), "spd.production")
    choice = random.Random(SEED)
    wanted = {f"K{index}": list(range(100 * index, 100 * index + 6)) for index in range(1, 5)}
    ids = {name: server.submit(_map(name, seeds)) for name, seeds in wanted.items()}
    for _ in range(KILLS):
        time.sleep(choice.uniform(0.1, 1.2))
        victim.kill(choice.choice(["jedi", "jedi", "server"]))
        victim.start()
    for name, task_id in ids.items():
        outcome = server.look(task_id, server.follow(task_id))
        assert outcome.info["status"] == "done", outcome.info["errorDialog"]
        good = [job for job in outcome.jobs if job["jobStatus"] == "finished"]
        seeds = sorted(int(file["lfn"].split(":")[1]) for job in good for file in job["Files"] if ":" in file["lfn"])
        assert seeds == wanted[name]
        _check_content(victim, good)


def _check_content(victim: Sandbox, jobs: list[dict[str, Any]]) -> None:
    """Open every S file of the finished jobs: the events and the seed the job was told."""
    for job in jobs:
        file = next(one for one in job["Files"] if one["dataset"].endswith(".S"))
        seed = int(next(one["lfn"].split(":")[1] for one in job["Files"] if ":" in one["lfn"]))
        path = file_path(victim.rse_root / "LOCAL_EOS", "MC2025_S2", file["lfn"])
        assert path.stat().st_size == file["fsize"]
        with uproot.open(path) as opened:
            events = opened["events"].arrays(["event", "seed"], library="np")
        assert len(events["event"]) == job["nEvents"] == 4000
        assert events["event"][0] == (seed - 1) * 4000 + 1
        assert set(events["seed"]) == {seed}


def test_a_submission_killed_halfway_is_there_or_not_but_never_half(victim: Sandbox) -> None:
    server = Server(victim.url, victim.issuer.token(), "spd.production")
    names = [f"H{index}" for index in range(12)]
    accepted = {}
    for index, name in enumerate(names):
        if index == 5:
            victim.kill("server")
        with contextlib.suppress(httpx.HTTPError):
            accepted[name] = server.submit(_map(name, [index + 1]))
        if index == 6:
            victim.start()
    assert len(accepted) == 10
    assert all(server.follow(task_id)[-1] == "done" for task_id in accepted.values())


def test_a_job_that_dies_without_a_word_has_lost_its_heartbeat(victim: Sandbox) -> None:
    import json
    import os
    import signal

    server = Server(victim.url, victim.issuer.token(), "spd.production")
    victim.play({"match": {"task": "lostjob"}, "slow": {"wall_s": 20}})
    task_id = server.submit(_map("lostjob", [7]))
    server.wait_for_jobs(task_id, "running")
    job = server.get("task/get_job_ids", task_id=task_id)["data"][0]
    time.sleep(0.5)
    victim.play()
    pid = json.loads((victim.folder / "work" / "jobs" / str(job) / "pid.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    outcome = server.look(task_id, server.follow(task_id))
    first, second = outcome.attempts
    assert (first["jobStatus"], first["jobDispatcherErrorCode"]) == ("failed", 102)
    assert first["jobDispatcherErrorDiag"].startswith("lost heartbeat : ")
    assert (second["jobStatus"], second["attemptNr"]) == ("finished", 2)
