"""Every shipped scenario does what its file says; the sandbox only."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import httpx
import psutil
import pytest
from typer.testing import CliRunner

from sandbox.panda.commands import app
from sandbox.panda.jobs.job_folder import JobFolder
from sandbox.panda.trouble.scenario_commands import SCENARIOS
from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda import server_plays, task_plays, unreadable_plays  # noqa: F401 - entering their plays
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.plays import ON_SERVER, ON_TASKS, Stage, label_of
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NOT_OURS, skip
from tests.contract.panda.target import Server

SHIPPED = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
KILLS, SEED = 6, 20251121
QUEUES = [
    {"name": "SPD_LOCAL", "rse": "LOCAL_EOS", "slots": 12},
    {"name": "SPD_PNPI", "rse": "LOCAL_EOS", "slots": 4},
    {"name": "SPD_SWITCHED_OFF", "rse": "LOCAL_EOS", "slots": 2},
]


@pytest.fixture(scope="module")
def stricken(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield a sandbox under the rules of all plays on tasks."""
    if "live" in TARGETS:
        skip(NOT_OURS)
    target = Sandbox(tmp_path_factory.mktemp("stricken"), postgres.create_database("panda_stricken"), speed=20)
    (target.folder / "sites.yaml").write_text(json.dumps(QUEUES), encoding="utf-8")
    target.play(*(rule for bill in ON_TASKS.values() for rule in bill.rules))
    target.start()
    yield target
    target.stop()


def _stage(sandbox: Sandbox, name: str) -> Stage:
    return Stage(sandbox, Server(sandbox.url, sandbox.issuer.token(), "spd.production", poll_s=0.4), name)


@pytest.fixture(scope="module")
def played(stricken: Sandbox) -> dict[str, Future[None]]:
    """Return all plays on tasks, played side by side to their ends."""
    with ThreadPoolExecutor(max_workers=len(ON_TASKS)) as pool:
        running = {name: pool.submit(bill.play, _stage(stricken, name)) for name, bill in ON_TASKS.items()}
        wait(running.values(), timeout=180)
    return running


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_does_what_it_says(name: str, stricken: Sandbox, played: dict[str, Future[None]]) -> None:
    if name in ON_TASKS:
        played[name].result(timeout=1)
        return
    stricken.play(*ON_SERVER[name].rules)
    try:
        ON_SERVER[name].play(_stage(stricken, name))
    finally:
        stricken.play()


def test_a_file_that_breaks_while_it_is_in_force_changes_nothing_and_says_so(
    stricken: Sandbox, played: dict[str, Future[None]]
) -> None:
    del played
    stricken.play({"match": {"endpoint": "is_alive"}, "answer": {"how": "html", "times": "always"}})
    stage = _stage(stricken, "broken")
    assert "Sign in" in server_plays.ask(stage).text
    stricken.scenario.write_text("rules: [{match: {tusk: SIM}, fail: {}}]")
    assert "Sign in" in server_plays.ask(stage).text
    health = httpx.get(f"{stricken.url}/health", timeout=10).json()
    assert health["ok"]
    assert "rule 1: match.tusk: unknown key 'tusk', did you mean task?" in health["scenario_trouble"]
    stricken.play()
    assert server_plays.alive(stage)


def test_a_rule_strikes_once_though_the_server_is_killed(stricken: Sandbox, played: dict[str, Future[None]]) -> None:
    del played
    stage = _stage(stricken, "counted")
    stricken.play({"name": "twice", "match": {"endpoint": "is_alive"}, "answer": {"how": "error", "times": 2}})
    assert server_plays.ask(stage).status_code == 500
    stricken.kill("server")
    stricken.start()
    assert [server_plays.ask(stage).status_code for _ in range(2)] == [500, 200]
    rows = httpx.get(f"{stricken.url}/sandbox/scenario/journal", timeout=10).json()
    assert sum(row["rule"] == "twice" for row in rows) == 2
    stricken.play()


def test_the_journal_is_told_at_a_shell(
    stricken: Sandbox, played: dict[str, Future[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    del played
    monkeypatch.setenv("PRODSYS_PANDA_URL", stricken.url)
    monkeypatch.setenv("SANDBOX_PANDA_SCENARIO", str(stricken.scenario))
    shell = CliRunner()
    rows = json.loads(shell.invoke(app, ["scenario", "journal", "--json", "--limit", "1000"]).output)
    killed = next(row for row in rows if row["what"] == "kill by user2")
    told = shell.invoke(app, ["scenario", "journal", "--task", str(killed["jedi_task_id"])]).output.splitlines()
    assert [line.split("  ", 1)[1] for line in told] == [
        f"task {killed['jedi_task_id']}: kill by user2  [a kill behind our back]"
    ]
    stricken.play({"match": {"task": "nobody"}, "fail": {}})
    assert "in force since 20" in shell.invoke(app, ["scenario", "show"]).output


def test_a_running_job_shows_signs_of_life_and_a_killed_task_takes_its_processes_along(
    stricken: Sandbox, played: dict[str, Future[None]]
) -> None:
    del played
    stage = _stage(stricken, "life")
    stricken.play({"match": {"task": label_of("life")}, "slow": {"wall_s": 60}})
    task_id = stage.submit(seeds=1)
    stage.server.wait_for_jobs(task_id, "running")
    before = _job(stage, task_id)
    folder = JobFolder(stricken.folder / "work" / "jobs", before["PandaID"])
    pid = folder.pid
    assert pid is not None
    _until(lambda: _job(stage, task_id)["modificationTime"] != before["modificationTime"])
    assert _job(stage, task_id)["stateChangeTime"] == before["stateChangeTime"]
    stage.server.post("task/kill", task_id=task_id)
    outcome = stage.end(task_id)
    assert (outcome.info["status"], outcome.jobs[0]["jobStatus"]) == ("aborted", "cancelled")
    _until(lambda: not psutil.pid_exists(pid) and not folder.path.exists())


def test_a_job_fails_once_however_often_jedi_is_killed(stricken: Sandbox, played: dict[str, Future[None]]) -> None:
    del played
    stage, choice = _stage(stricken, "mortal"), random.Random(SEED)
    stricken.play({"name": "once", "match": {"task": label_of("mortal")}, "fail": {"times": 1, "error": "sigterm"}})
    task_id = stage.submit(seeds=12)
    for _ in range(KILLS):
        time.sleep(choice.uniform(0.2, 1.0))
        stricken.kill("jedi")
        stricken.start()
    outcome = stage.end(task_id)
    attempts = Counter((job["jobStatus"], job["pilotErrorCode"]) for job in outcome.jobs)
    assert (outcome.info["status"], attempts) == ("done", {("failed", 1201): 12, ("finished", 0): 12})
    assert stage.journal(task_id) == ["job fails: Job killed by signal: SIGTERM"] * 12


def _job(stage: Stage, task_id: int) -> dict[str, Any]:
    (job,) = stage.server.get("task/get_job_descriptions", task_id=task_id)["data"]
    return dict(job)


def _until(what: Callable[[], bool], patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)
