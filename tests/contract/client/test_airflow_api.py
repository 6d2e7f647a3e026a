"""AirflowClient against Airflow's own api-server, on a metadata database of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from prodsys.errors import AirflowRefused, AirflowUnavailable
from prodsys.orchestrator.client import AirflowClient
from prodsys.orchestrator.marks import EVENTS, standing_failures
from sandbox.stack.ports import free_port
from sandbox.stack.postgres import PostgresHandle

START_MAX_S = 120
USER, PASSWORD = "prodsys", "pa55word"
DIGEST = "sha256:9f2c"
DAG_FILE = f'''
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("prod__TEST2025-001", schedule=None, tags=["prodsys", "{DIGEST}"]) as dag:
    EmptyOperator(task_id="gate")
'''
BROKEN_FILE = "from airflow.sdk import DAG\nraise ValueError('a faulty spec')\n"


@dataclass
class Airflow:
    """The server and how to speak to it."""

    url: str
    client: AirflowClient


@pytest.fixture(scope="module")
def airflow(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow")
    environment = _prepare(home, postgres.create_database("airflow_api"))
    _run(environment, "db", "migrate")
    _run(environment, "dags", "reserialize")
    port = free_port()
    with (home / "api-server.log").open("wb") as log:
        command = [*_AIRFLOW, "api-server", "--port", str(port), "--host", "127.0.0.1", "--workers", "1"]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, server, home / "api-server.log")
        yield Airflow(url, AirflowClient(url, USER, PASSWORD, 20))
    finally:
        server.terminate()
        server.wait(timeout=30)


_AIRFLOW = [sys.executable, "-m", "airflow"]


def _prepare(home: Path, database_url: str) -> dict[str, str]:
    (home / "dags").mkdir()
    (home / "dags" / "good.py").write_text(DAG_FILE, encoding="utf-8")
    (home / "dags" / "broken.py").write_text(BROKEN_FILE, encoding="utf-8")
    (home / "passwords.json").write_text(json.dumps({USER: PASSWORD}), encoding="utf-8")
    own = {
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "DATABASE__SQL_ALCHEMY_CONN": database_url.replace("postgresql+psycopg:", "postgresql+psycopg2:"),
        "API_AUTH__JWT_SECRET": "a secret of sixty-four bytes that only this test knows, for HS512",
        "API__SECRET_KEY": "another",
        "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
    }
    return {**os.environ, "AIRFLOW_HOME": str(home), **{f"AIRFLOW__{name}": value for name, value in own.items()}}


def _run(environment: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [*_AIRFLOW, *arguments], env=dict(environment), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/api/v2/monitor/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError(f"the api-server did not start: {log.read_text(encoding='utf-8')[-3000:]}")


def test_a_dag_is_ready_with_its_own_digest_only(airflow: Airflow):
    ready = airflow.client.dag_ready
    assert ready("prod__TEST2025-001")
    assert ready("prod__TEST2025-001", DIGEST)
    assert not ready("prod__TEST2025-001", "sha256:0000")
    assert not ready("prod__TEST2025-999")


def test_faulty_files_are_told(airflow: Airflow):
    faults = airflow.client.import_errors()
    assert [fault.filename for fault in faults] == ["broken.py"]
    assert "a faulty spec" in faults[0].stack_trace


def test_a_run_lives(airflow: Airflow):
    client, dag_id, run_id = airflow.client, "prod__TEST2025-001", "TEST2025-001-r1"
    before = datetime.now(UTC)
    assert client.get_run(dag_id, run_id) is None
    run = client.start_run(dag_id, run_id, {"step": "SIM"}, "launched by manager")
    assert client.start_run(dag_id, run_id) == run
    assert (run.airflow_state, run.conf, run.note) == ("queued", {"step": "SIM"}, "launched by manager")
    assert client.list_runs(dag_id) == (run,)
    assert run in client.list_runs("~")
    assert run in client.list_runs("~", ("queued", "running"))
    assert client.set_run_note(dag_id, run_id, "x" * 1500).note == "x" * 1000
    assert client.set_run_state(dag_id, run_id, "failed").airflow_state == "failed"
    assert [task.task_id for task in client.list_task_instances(dag_id, run_id)] == ["gate"]
    client.clear_run(dag_id, run_id)
    assert client.get_run(dag_id, run_id).airflow_state == "queued"
    client.unpause_dag(dag_id)
    assert dag_id not in client.list_paused_dags()
    client.pause_dag(dag_id)
    assert dag_id in client.list_paused_dags()
    lines = client.event_log(dag_id, before)
    assert {line.owner for line in lines} == {USER}
    assert [line.event_log_id for line in lines] == sorted(line.event_log_id for line in lines)
    assert client.event_log(dag_id, lines[-1].when) == ()
    assert client.event_log(dag_id, before, event="nothing") == ()


def test_a_person_who_marks_an_airflow_task_failed_stands_in_the_event_log(airflow: Airflow):
    client, dag_id, run_id = airflow.client, "prod__TEST2025-001", "TEST2025-001-r2"
    client.start_run(dag_id, run_id)
    token = httpx.post(f"{airflow.url}/auth/token", json={"username": USER, "password": PASSWORD}).json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    place = f"{airflow.url}/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/gate"
    assert httpx.patch(place, headers=headers, json={"new_state": "failed"}).status_code == 200
    lines = [line for line in client.event_log(dag_id, dag_run_id=run_id) if line.task_id == "gate"]
    assert [(line.event, line.owner, line.try_number) for line in lines] == [("patch_task_instance", USER, None)]
    assert json.loads(lines[0].extra)["new_state"] == "failed"


DAG_ID = "prod__TEST2025-001"
GATE = "/taskInstances/gate"


def as_person(airflow: Airflow, method: str, path: str, body: dict[str, object]) -> int:
    """What a person does in the UI; the status of the answer."""
    token = httpx.post(f"{airflow.url}/auth/token", json={"username": USER, "password": PASSWORD}).json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    return httpx.request(method, f"{airflow.url}/api/v2/dags{path}", headers=headers, json=body).status_code


def standing(airflow: Airflow, run_id: str) -> list[str]:
    """What of a run a person failed and did not take back, as the reconciler asks."""
    run = airflow.client.get_run(DAG_ID, run_id)
    assert run is not None
    failed = airflow.client.list_task_instances(DAG_ID, run_id, ("failed",))
    entries = [line for dag in (DAG_ID, "~") for line in airflow.client.event_log(dag, events=EVENTS)]
    return [one.task_id or "the run" for one in standing_failures(run, failed, entries, "prodsys-service")]


def test_a_failure_of_a_person_stands_until_it_is_cleared_in_whatever_way(airflow: Airflow):
    marked = {"new_state": "failed"}
    clears: dict[str, tuple[str, dict[str, object]]] = {
        "tasks": ("/clearTaskInstances", {"task_ids": ["gate"], "include_downstream": True, "reset_dag_runs": True}),
        "index": ("/clearTaskInstances", {"task_ids": [["gate", -1]]}),
        "run": ("/dagRuns/{run}/clear", {"only_failed": True}),
        "runs": ("/clearDagRuns", {"dag_runs": [{"dag_run_id": "{run}"}]}),
    }
    for number, (way, (path, body)) in enumerate(clears.items()):
        run_id = f"TEST2025-001-r1.{number + 10}"
        airflow.client.start_run(DAG_ID, run_id)
        assert standing(airflow, run_id) == []
        assert as_person(airflow, "PATCH", f"/{DAG_ID}/dagRuns/{run_id}{GATE}", marked) == 200
        assert standing(airflow, run_id) == ["gate"], way
        assert as_person(airflow, "PATCH", f"/{DAG_ID}/dagRuns/{run_id}{GATE}/dry_run", {"new_state": "success"}) == 200
        text = json.dumps(body | ({"dag_run_id": run_id} if "task_ids" in body else {})).replace("{run}", run_id)
        place = f"/{DAG_ID}{path.format(run=run_id)}"
        assert as_person(airflow, "POST", place, json.loads(text) | {"dry_run": True}) == 200
        assert standing(airflow, run_id) == ["gate"], f"{way}: a dry run takes nothing back"
        assert as_person(airflow, "POST", place, json.loads(text) | {"dry_run": False}) == 200
        assert standing(airflow, run_id) == [], way


def test_a_failure_that_a_person_marked_success_does_not_stand(airflow: Airflow):
    run_id = "TEST2025-001-r1.20"
    airflow.client.start_run(DAG_ID, run_id)
    for state, found in (("failed", ["gate"]), ("success", [])):
        body = {"new_state": state}
        assert as_person(airflow, "PATCH", f"/{DAG_ID}/dagRuns/{run_id}{GATE}/-1", body) == 200
        assert standing(airflow, run_id) == found


def test_a_run_that_a_person_failed_stands_until_it_is_queued_again(airflow: Airflow):
    run_id = "TEST2025-001-r1.21"
    airflow.client.start_run(DAG_ID, run_id)
    assert as_person(airflow, "PATCH", f"/{DAG_ID}/dagRuns/{run_id}", {"state": "failed"}) == 200
    assert "the run" in standing(airflow, run_id)
    assert as_person(airflow, "PATCH", f"/{DAG_ID}/dagRuns/{run_id}", {"state": "queued"}) == 200
    assert "the run" not in standing(airflow, run_id)


def test_runs_failed_in_one_call_stand_in_the_log_of_their_dag(airflow: Airflow):
    run_id = "TEST2025-001-r1.22"
    airflow.client.start_run(DAG_ID, run_id)
    update = {"action": "update", "entities": [{"dag_run_id": run_id, "state": "failed"}]}
    assert as_person(airflow, "PATCH", f"/{DAG_ID}/dagRuns", {"actions": [update]}) == 200
    assert airflow.client.get_run(DAG_ID, run_id).airflow_state == "failed"
    assert "the run" in standing(airflow, run_id)


def test_a_call_about_many_airflow_tasks_leaves_no_line_and_so_is_nobodys_word(airflow: Airflow):
    run_id = "TEST2025-001-r1.23"
    airflow.client.start_run(DAG_ID, run_id)
    update = {"action": "update", "entities": [{"task_id": "gate", "new_state": "failed"}]}
    assert as_person(airflow, "PATCH", f"/{DAG_ID}/dagRuns/{run_id}/taskInstances", {"actions": [update]}) == 200
    (gate,) = airflow.client.list_task_instances(DAG_ID, run_id, ("failed",))
    assert gate.task_id == "gate"
    assert standing(airflow, run_id) == []


def test_what_airflow_refuses_is_told_in_its_words(airflow: Airflow):
    with pytest.raises(AirflowRefused, match="not found") as caught:
        airflow.client.start_run("prod__TEST2025-999", "r")
    assert caught.value.status == 404
    with pytest.raises(AirflowRefused):
        AirflowClient(airflow.url, USER, "wrong", 20).list_runs("~")
    with pytest.raises(AirflowUnavailable):
        AirflowClient("http://127.0.0.1:1", USER, PASSWORD, 2).list_runs("~")
