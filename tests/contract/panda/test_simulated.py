"""Jobs without processes: the same API and states as real ones, sizes and durations from the experiment's history."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda import recordings
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.outcome import Outcome, shape_differences
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NOT_OURS, skip
from tests.contract.panda.survivors import SIMULATED, Client, Count, Sent, task_map

SIM_FILE, RECO_FILE = 18358.86e9 / 10000, 18536.20e9 / 9992
"""Bytes of one file: tasks 364 and 363 of the experiment's list."""

SIM_WALL_S, RECO_WALL_S = 24612, 20 * 60
SPEED, SLOTS = 20_000.0, 40
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def box(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield a sandbox whose queues are simulated by its setting, and quick: a SIM job of 4000 events takes 1.2 s."""
    if "live" in TARGETS:
        skip(NOT_OURS)
    folder = tmp_path_factory.mktemp("simulated")
    sites = folder / "simulated.yaml"
    queue = {"name": SIMULATED, "rse": "LOCAL_EOS", "slots": SLOTS}
    sites.write_text(json.dumps([queue]), encoding="utf-8")
    url = postgres.create_database("panda_simulated")
    target = Sandbox(folder, url, speed=SPEED, SITES=str(sites), JOBS="simulated")
    target.start()
    yield target
    target.stop()


@pytest.fixture
def count(postgres: PostgresHandle, box: Sandbox) -> Count:
    """Return the book-keeper of the box's tables."""
    return Count(postgres.url("panda_simulated"))


def _sim_map(name: str, seeds: int, **changes: Any) -> dict[str, Any]:
    body = task_map(Sent(name, list(range(1, seeds + 1)), SIMULATED, "plain"))
    text = body["task_parameters"]["jobParameters"][0]["value"].replace("--n=4 ", "--n=4000 ")
    body["task_parameters"]["jobParameters"][0]["value"] = re.sub(r"--n=4$", "--n=4000", text)
    body["task_parameters"] |= changes
    return body


def _reco_map(sim: dict[str, Any], parent: int) -> dict[str, Any]:
    """Body of the RECO of a SIM: reads S and P, writes R."""
    name = sim["taskName"]
    inputs = [
        {"type": "template", "param_type": "input", "dataset": f"{name}.{kind}", "value": f"--in={stream}"}
        for kind, stream in (("S", "${IN}"), ("P", "${IN2}"))
    ]
    output = {"type": "template", "param_type": "output", "dataset": f"{name}.R", "value": f"{name}.R.${{SN}}.root"}
    new = {"taskName": f"{name}.RECO", "jobParameters": [{"type": "constant", "value": "reco.C"}, *inputs, output]}
    new |= {"log": {**sim["log"], "dataset": f"{name}.RECO.log", "value": f"{name}.RECO.log.${{SN}}.tgz"}}
    dropped = ("pfnList", "nFiles", "noInput")
    return {
        "task_parameters": {**{key: value for key, value in sim.items() if key not in dropped}, **new},
        "parent_tid": parent,
    }


def _run(box: Sandbox, body: dict[str, Any]) -> Outcome:
    """What became of a task that runs to its end."""
    client = _client(box)
    task_id = client.submit(body)
    client.wait(PATIENCE_S)
    return client.look(task_id)


def _client(box: Sandbox) -> Client:
    return Client(box, 1)


def _wall_s(job: dict[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(job[key]["__datetime__"]) for key in ("startTime", "endTime"))
    return (ended - began).total_seconds()


def _sizes(outcome: Outcome, ending: str) -> list[int]:
    return [file["fsize"] for job in outcome.jobs for file in job["Files"] if file["dataset"].endswith(ending)]


@pytest.fixture(scope="module")
def chain(box: Sandbox) -> tuple[Outcome, Outcome]:
    """Return a SIM of 100 jobs and its RECO."""
    body = _sim_map("chain", 100)
    sim = _run(box, body)
    return sim, _run(box, _reco_map(body["task_parameters"], sim.task_id))


def test_a_sim_file_has_the_size_of_the_history_within_one_percent(chain: tuple[Outcome, Outcome]) -> None:
    sim, reco = chain
    assert [sim.info["status"], reco.info["status"]] == ["done", "done"]
    sizes = [s + p for s, p in zip(_sizes(sim, ".S"), _sizes(sim, ".P"), strict=True)]
    assert len(sizes) == 100
    assert all(abs(size / SIM_FILE - 1) < 0.01 for size in sizes)
    assert len(set(sizes)) > 90
    assert all(abs(size / RECO_FILE - 1) < 0.01 for size in _sizes(reco, ".R"))


def test_cpu_times_are_those_of_the_history_and_wall_times_are_divided_by_the_speed(
    chain: tuple[Outcome, Outcome], count: Count
) -> None:
    for outcome, usual_s in zip(chain, (SIM_WALL_S, RECO_WALL_S), strict=True):
        query = (
            "select extract(epoch from end_time - start_time) as wall_s, cpu_s from job where jedi_task_id = %(task)s"
        )
        rows = count.rows(query, task=outcome.task_id)
        assert statistics.fmean(float(row["wall_s"]) for row in rows) == pytest.approx(usual_s / SPEED, rel=0.15)
        assert all(0.8 < row["cpu_s"] / float(row["wall_s"]) / SPEED < 1 for row in rows)
        assert len({row["wall_s"] for row in rows}) > 50
        assert all(abs(job["jobDuration"] - _wall_s(job)) <= 1 for job in outcome.jobs)


def test_a_simulated_job_looks_like_a_recorded_one(chain: tuple[Outcome, Outcome]) -> None:
    recorded = recordings.outcomes("chain_done")
    for ours, theirs in zip(chain, recorded, strict=False):
        job = next(one for one in theirs.jobs if one["jobStatus"] == "finished")
        assert shape_differences(job, ours.jobs[0]) == []
        assert shape_differences(theirs.info, ours.info) == [
            line for line in shape_differences(theirs.info, ours.info) if "raw_task_params" in line
        ]
    for file in (file for outcome in chain for job in outcome.jobs for file in job["Files"]):
        if file["type"] in ("output", "log"):
            assert re.fullmatch(r"ad:[0-9a-f]{8}", file["checksum"])
            assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", file["GUID"])
    assert all(job["nEvents"] == 4000 for outcome in chain for job in outcome.jobs)
    assert [outcome.files(".log") and len(outcome.files(".log")) for outcome in chain] == [100, 100]


def test_pairs_stay_pairs_and_every_slot_is_finished_once(chain: tuple[Outcome, Outcome], count: Count) -> None:
    for outcome in chain:
        assert [slot["good"] for slot in count.slots(outcome.task_id)] == [1] * 100
    for job in chain[1].jobs:
        s, p = (next(file["lfn"] for file in job["Files"] if file["dataset"].endswith(kind)) for kind in (".S", ".P"))
        assert s.split(".")[-2] == p.split(".")[-2]


def test_nothing_is_written_to_a_storage(chain: tuple[Outcome, Outcome], box: Sandbox) -> None:
    assert chain[0].info["status"] == "done"
    assert not box.rse_root.exists() or not any(box.rse_root.rglob("*.root"))


def test_no_more_jobs_run_than_the_queue_has_slots(box: Sandbox, count: Count) -> None:
    client = _client(box)
    task_id = client.submit(_sim_map("slots", 200))
    most, query = 0, "select count(*) from job where status in ('sent', 'starting', 'running')"
    while client.status(task_id) not in ("done", "finished", "failed"):
        most = max(most, count.rows(query)[0]["count"])
        time.sleep(0.05)
    assert most == SLOTS


def test_the_same_task_and_slot_takes_the_same_time_again() -> None:
    from sandbox.panda.jobs.believable import usual_wall_s

    first, again = (usual_wall_s("SIM", 4000, "T|7|1") for _ in range(2))
    assert first == again != usual_wall_s("SIM", 4000, "T|8|1")
    assert usual_wall_s("SIM", 2000, "T|7|1") == pytest.approx(first / 2)


def test_a_rule_fails_simulated_jobs_with_its_code_and_the_next_attempt_passes(box: Sandbox) -> None:
    box.play({"match": {"task": "struck", "seed": [3, 4]}, "fail": {"times": 1, "error": {"pilotErrorCode": 1137}}})
    outcome = _run(box, _sim_map("struck", 10))
    box.play()
    failed = [job for job in outcome.attempts if job["jobStatus"] == "failed"]
    assert [job["pilotErrorCode"] for job in failed] == [1137, 1137]
    assert [job["attemptNr"] for job in outcome.attempts[10:]] == [2, 2]
    assert outcome.info["status"] == "done"
    assert sorted(outcome.files(".S").values()) == ["failed"] * 2 + ["finished"] * 10


def test_a_silent_simulated_pilot_is_a_lost_heartbeat(box: Sandbox) -> None:
    box.play({"match": {"task": "silent", "seed": 2}, "no_reply": {"times": 1}})
    outcome = _run(box, _sim_map("silent", 4))
    box.play()
    failed = [job for job in outcome.attempts if job["jobStatus"] == "failed"]
    assert [job["jobDispatcherErrorCode"] for job in failed] == [102]
    assert outcome.info["status"] == "done"


def test_an_older_database_gets_the_columns_and_indexes_that_came_later(fresh_database: Callable[[], str]) -> None:
    from sqlalchemy import inspect, text

    from sandbox.panda.tables import connect, create_schema

    engine = connect(fresh_database())
    create_schema(engine)
    with engine.begin() as connection:
        connection.execute(text("drop index job_in_queue"))
        connection.execute(text("create index ix_file_lfn on file (lfn)"))
        connection.execute(text("alter table task drop column locked_time"))
    create_schema(engine)
    found = inspect(engine)
    assert "job_in_queue" in {index["name"] for index in found.get_indexes("job")}
    assert "ix_file_lfn" not in {index["name"] for index in found.get_indexes("file")}
    assert "locked_time" in {column["name"] for column in found.get_columns("task")}
    engine.dispose()


def test_kill_finish_pause_and_retry_work_on_simulated_jobs(box: Sandbox, count: Count) -> None:
    box.play(
        {"match": {"task": "(killed|ended|paused)$"}, "slow": {"wall_s": 4}},
        {"match": {"task": "again$", "seed": [1, 2]}, "fail": {"times": 1}},
    )
    client = _client(box)
    ids = {name: client.submit(_sim_map(name, 60)) for name in ("killed", "ended", "paused")}
    ids["again"] = client.submit(_sim_map("again", 6, maxAttempt=1))
    for name, verb in (("killed", "kill"), ("ended", "finish"), ("paused", "pause")):
        client.command(verb, ids[name])
    while client.status(ids["paused"]) != "paused":
        assert client.status(ids["paused"]) not in ("done", "failed")
    client.command("resume", ids["paused"])
    while client.status(ids["again"]) != "finished":
        assert client.status(ids["again"]) != "done"
    client.command("retry", ids["again"])
    client.wait(PATIENCE_S)
    while client.status(ids["again"]) == "finished":
        pass
    client.wait(PATIENCE_S)
    box.play()
    found = {name: client.look(task_id).info["status"] for name, task_id in ids.items()}
    assert found == {"killed": "aborted", "ended": found["ended"], "paused": "done", "again": "done"}
    assert found["ended"] in ("finished", "failed")
    assert not count.odd()
