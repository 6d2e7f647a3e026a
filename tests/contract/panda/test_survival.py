"""kill -9 of server and JEDI at any moment: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uproot

from sandbox.panda.jobs.storage import file_path
from sandbox.stack.postgres import PostgresHandle, start_cluster, start_postgres
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NOT_OURS, skip
from tests.contract.panda.survivors import REAL, SIMULATED, Client, Count, Sent

KILLS = int(os.environ.get("SURVIVAL_KILLS", "50"))
SEED = int(os.environ.get("SURVIVAL_SEED", "0")) or secrets.randbelow(10**9) + 1
"""Every run has its own; a failing one is done again with ``SURVIVAL_SEED=<the printed number>``."""

AT_WORK = 0.85
"""Part of the kills that hit processes at work; the others come at any moment, also while one is starting."""

PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresHandle]:
    """Yield a PostgreSQL server that may be restarted."""
    if "live" in TARGETS:
        skip(NOT_OURS)
    handle = start_postgres(tmp_path_factory.mktemp("postgres-victim"))
    yield handle
    handle.stop()


@pytest.fixture(scope="module")
def victim(database: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield a sandbox that is there to be killed; one queue has processes, one is simulated."""
    folder = tmp_path_factory.mktemp("victim")
    sites = folder / "two_kinds.yaml"
    queues = [
        {"name": REAL, "rse": "LOCAL_EOS", "slots": 8},
        {"name": SIMULATED, "rse": "LOCAL_EOS", "slots": 100, "jobs": "simulated"},
    ]
    sites.write_text(json.dumps(queues), encoding="utf-8")
    target = Sandbox(folder, database.create_database("panda_victim"), SITES=str(sites))
    target.start()
    yield target
    target.stop()


@pytest.fixture
def count(database: PostgresHandle, victim: Sandbox) -> Count:
    """Return the book-keeper of the victim's tables."""
    return Count(database.url("panda_victim"))


def test_killed_fifty_times_nothing_is_lost_and_nothing_is_done_twice(victim: Sandbox, count: Count) -> None:
    print(f"SURVIVAL_SEED={SEED}")
    choice, client = random.Random(SEED), Client(victim, SEED)
    victim.play({"match": {"task": r"\.K\d+$", "share": 0.1}, "fail": {"times": 1}})
    client.start()
    for _ in range(KILLS):
        if choice.random() < AT_WORK:
            _wait_until_both_work(victim, count)
        time.sleep(choice.uniform(0.0, 0.6))
        for part in choice.choice((["jedi"], ["jedi"], ["server"], ["jedi", "server"])):
            victim.kill(part)
        victim.revive()
    victim.start()
    client.stop()
    client.join(PATIENCE_S)
    client.wait(PATIENCE_S)
    _wait_for_the_doubtful(client, count)
    assert not count.odd(), f"SURVIVAL_SEED={SEED}"
    for sent in client.book:
        ids = count.tasks_named(sent.name)
        assert ids == [sent.task_id] if sent.task_id is not None else len(ids) <= 1, (SEED, sent, ids)
        for task_id in ids:
            _check_task(victim, count, sent, task_id)
    known = sum(one.task_id is not None for one in client.book)
    print(f"{len(client.book)} submissions, {known} with a reply; {count.summary()}")
    assert known >= KILLS // 5


def _wait_until_both_work(victim: Sandbox, count: Count) -> None:
    """Return when the server answers and JEDI has taken its turn."""
    victim.start()
    deadline = time.monotonic() + PATIENCE_S
    while not count.jedi_works():
        assert time.monotonic() < deadline, f"JEDI does not work, see {victim.folder}/jedi.log"
        time.sleep(0.05)


def _wait_for_the_doubtful(client: Client, count: Count) -> None:
    """Wait for tasks that were accepted though their client never heard of it."""
    deadline = time.monotonic() + PATIENCE_S
    while waiting := count.rows("select jedi_task_id from task where end_time is null"):
        assert time.monotonic() < deadline, waiting
        time.sleep(0.1)
    assert not client.is_alive()


def _check_task(victim: Sandbox, count: Count, sent: Sent, task_id: int) -> None:
    """Every slot of a task has exactly one finished job, or none and a command that says why."""
    slots, status, told = count.slots(task_id), count.status(task_id), (SEED, sent)
    assert all(slot["good"] == (slot["status"] == "finished") for slot in slots), told
    finished = sum(slot["good"] for slot in slots)
    if sent.accepted and sent.accepted[0] in ("kill", "finish", "soft_finish"):
        ended = {"kill": ("aborted",), "finish": ("finished", "failed"), "soft_finish": ("finished", "failed")}
        assert status in ended[sent.accepted[0]] or (status, finished) == ("done", len(sent.seeds)), told
    elif sent.plan == "plain":
        assert (status, finished) == ("done", len(sent.seeds)), told
    outputs = count.outputs(task_id)
    assert len(outputs) == 3 * finished, told
    assert sorted(int(slot["lfn"].split(":")[1]) for slot in slots) == (sent.seeds if slots else []), told
    for row in outputs:
        _check_output(victim, row)


def _check_output(victim: Sandbox, row: dict[str, Any]) -> None:
    """A file is as its job reported it, and holds the events of the job's seed."""
    assert row["size"] == row["report"]["files"][row["lfn"]]["size"] > 0
    path = file_path(victim.rse_root / "LOCAL_EOS", "MC2025_S2", row["lfn"])
    assert path.exists() == (row["site"] == REAL)
    if row["site"] == SIMULATED or not row["dataset"].endswith(".S"):
        return
    seed = int(re.findall(r"--seed=(\d+)", row["parameters"])[0])
    assert path.stat().st_size == row["size"]
    with uproot.open(path) as opened:
        events = opened["events"].arrays(["event", "seed"], library="np")
    assert len(events["event"]) == 4000
    assert (events["event"][0], set(events["seed"])) == ((seed - 1) * 4000 + 1, {seed})


def _submit(victim: Sandbox, name: str, seeds: list[int], site: str = REAL) -> tuple[Client, Sent]:
    """Client and book entry of one task that was accepted."""
    client, sent = Client(victim, SEED), Sent(name, seeds, site, "plain")
    client.book.append(sent)
    client._submit(sent)
    assert sent.task_id is not None
    return client, sent


def test_a_frozen_jedi_keeps_no_answer_back_and_goes_on_later(victim: Sandbox, count: Count) -> None:
    victim.signal("jedi", signal.SIGSTOP)
    try:
        client, sent = _submit(victim, "frozen", [1, 2, 3])
        began = time.monotonic()
        statuses = [client.status(sent.task_id or 0) for _ in range(20)]
        assert statuses == [None] * 20
        assert time.monotonic() - began < 10
    finally:
        victim.signal("jedi", signal.SIGCONT)
    client.wait(PATIENCE_S)
    _check_task(victim, count, sent, sent.task_id or 0)


def test_postgresql_restarts_under_both_and_they_go_on(database: PostgresHandle, victim: Sandbox) -> None:
    real, first = _submit(victim, "restart", list(range(1, 21)))
    simulated, second = _submit(victim, "restart-simulated", list(range(1, 301)), SIMULATED)
    pids = victim.pid("server"), victim.pid("jedi")
    time.sleep(1.5)
    database.stop()
    time.sleep(1.0)
    again = start_cluster(database.cluster, database.log)
    database._process = again._process  # the fixture stops the one that runs
    real.wait(PATIENCE_S)
    simulated.wait(PATIENCE_S)
    assert (victim.pid("server"), victim.pid("jedi")) == pids
    count = Count(database.url("panda_victim"))
    for sent in (first, second):
        _check_task(victim, count, sent, sent.task_id or 0)
    assert not count.odd()


def test_a_submission_killed_halfway_is_there_or_not_but_never_half(victim: Sandbox, count: Count) -> None:
    book, client = [Sent(f"H{index}", [index + 1], SIMULATED, "plain") for index in range(12)], Client(victim, SEED)
    for index, sent in enumerate(book):
        if index == 5:
            victim.kill("server")
        client._submit(sent)
        if index == 6:
            victim.start()
    assert sum(sent.task_id is not None for sent in book) == 10
    client.book += book
    client.wait(PATIENCE_S)
    assert [len(count.tasks_named(sent.name)) for sent in book] == [1] * 5 + [0] * 2 + [1] * 5


def test_a_job_that_dies_without_a_word_has_lost_its_heartbeat(victim: Sandbox, count: Count) -> None:
    victim.play({"match": {"task": "lostjob"}, "slow": {"wall_s": 30}})
    client, sent = _submit(victim, "lostjob", [7])
    query = "select panda_id from job where jedi_task_id = %(task)s and status = 'running'"
    deadline = time.monotonic() + PATIENCE_S
    while not (jobs := count.rows(query, task=sent.task_id)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victim.play()
    _kill_job(victim.folder / "work" / "jobs" / str(jobs[0]["panda_id"]))
    client.wait(PATIENCE_S)
    query = "select status, attempt_nr, errors from job where jedi_task_id = %(task)s order by panda_id"
    first, second = count.rows(query, task=sent.task_id)
    assert (first["status"], first["errors"]["jobDispatcherErrorCode"]) == ("failed", 102)
    assert first["errors"]["jobDispatcherErrorDiag"].startswith("lost heartbeat : ")
    assert (second["status"], second["attempt_nr"]) == ("finished", 2)


def _kill_job(folder: Path) -> None:
    """End a job's process at once."""
    import json

    pid = None
    while pid is None:
        with contextlib.suppress(OSError, ValueError):
            pid = int(json.loads((folder / "pid.json").read_text(encoding="ascii"))["pid"])
    os.kill(pid, signal.SIGKILL)


def test_everybody_is_still_there_after_all_that(victim: Sandbox) -> None:
    assert httpx.get(f"{victim.url}/health", timeout=10).status_code == 200
