"""The main job: seven requests from plan to certificate, and what can be asked about them afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import jsonschema
import pytest

from prodsys.settings import REPOSITORY

TIMEOUT_S = 60


def airflow(stack, who: str) -> httpx.Client:
    url = stack.settings.need("AIRFLOW_URL")
    reply = httpx.post(f"{url}/auth/token", json={"username": who, "password": stack.password(who)}, timeout=TIMEOUT_S)
    reply.raise_for_status()
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    return httpx.Client(base_url=f"{url}/api/v2", headers=headers, timeout=TIMEOUT_S)


def panda_tasks(stack) -> list[int]:
    return sorted(task["jedi_task_id"] for task in stack.json("task", "list") if task["jedi_task_id"])


def test_six_requests_are_complete_and_one_is_accepted(demo):
    states = {one["request"]: one["state"] for one in demo["requests"]}
    assert sorted(states.values()) == ["accepted"] + ["complete"] * 6
    assert sorted(states) == [f"DEMO2025-{number:03d}" for number in range(10, 17)]


def test_the_report_says_how_to_ask_for_oneself(demo):
    assert set(demo) == {"panda", "rucio", "rses", "requests"}
    assert Path(demo["panda"]["token_file"]).stat().st_mode & 0o777 == 0o600
    assert set(demo["rses"]) == {"JINR_EOS", "PNPI_EOS"}
    assert set(demo["requests"][0]) == {
        "request", "configuration", "seeds", "events_per_seed", "dag_id", "dag_run_id", "state", "tasks", "datasets",
        "containers", "rules", "missing_seeds", "certificate",
    }  # fmt: skip


def test_one_job_failed_once_and_was_healed(demo):
    jobs = {one["request"]: one["tasks"][0]["jobs"] for one in demo["requests"] if one["state"] == "complete"}
    assert sorted(jobs.values()) == [3, 3, 3, 3, 3, 4]


def test_the_certificate_of_the_accepted_request_names_the_missing_seed(demo):
    (accepted,) = [one for one in demo["requests"] if one["state"] == "accepted"]
    certificate = json.loads(Path(accepted["certificate"]).read_text())
    (missing,) = certificate["seeds_missing"]
    assert [missing["seed"]] == accepted["missing_seeds"]
    assert "segmentation violation" in missing["reason"]
    assert certificate["planned_by"] == certificate["approved_by"] == "manager"
    schema = json.loads((REPOSITORY / "include" / "specs" / "schema" / "certificate.json").read_text())
    jsonschema.validate(certificate, schema)


def test_line_n_of_each_list_is_the_same_seed(demo):
    for request in demo["requests"]:
        path = Path(request["certificate"])
        certificate = json.loads(path.read_text())
        seed_of = {file["lfn"]: file["seed"] for data in certificate["datasets"] for file in data["files"]}
        lists = [
            [
                seed_of[line.rpartition("/")[2]]
                for line in (path.parent / f"{request['request']}_{word}.txt").read_text().split()
            ]
            for word in ("recofiles", "simfiles", "paramfiles")
        ]
        delivered = [seed for seed in request["seeds"] if seed not in request["missing_seeds"]]
        assert lists == [delivered] * 3


def test_a_second_demo_submits_nothing_and_reads_the_same_numbers(stack, demo):
    before = panda_tasks(stack)
    stack.prodsys("demo")
    again = json.loads((stack.home / "demo" / "report.json").read_text())
    assert again == demo
    assert panda_tasks(stack) == before


def test_the_run_id_is_an_idempotency_key(stack, demo):
    body = {"logical_date": None, "dag_run_id": "DEMO2025-016-r1"}
    with airflow(stack, "manager") as client:
        assert client.post("/dags/prod__DEMO2025-016/dagRuns", json=body).status_code == 409


def test_a_second_run_of_a_complete_request_ends_at_once_with_its_certificate(stack, demo, wait_until):
    before = panda_tasks(stack)
    body = {"logical_date": None, "dag_run_id": "again-1", "note": "started by curl"}
    with airflow(stack, "manager") as client:
        assert client.post("/dags/prod__DEMO2025-016/dagRuns", json=body).status_code == 200

        def ended():
            run = client.get("/dags/prod__DEMO2025-016/dagRuns/again-1").json()
            return run if run["state"] in ("success", "failed") else None

        run = wait_until(ended, 120, "the second run's end")
        states = client.get("/dags/prod__DEMO2025-016/dagRuns/again-1/taskInstances").json()["task_instances"]
    assert run["state"] == "success"
    assert "r1.json" in run["note"]
    assert {one["state"] for one in states if one["task_id"] != "gate"} == {"skipped"}
    assert panda_tasks(stack) == before


def test_a_viewer_starts_nothing_and_a_manager_marks_nothing(stack, demo):
    with airflow(stack, "viewer") as client:
        body = {"logical_date": None, "dag_run_id": "viewer-1"}
        assert client.post("/dags/prod__DEMO2025-016/dagRuns", json=body).status_code == 403
    with airflow(stack, "manager") as client:
        mark = client.patch("/dags/prod__DEMO2025-016/dagRuns/DEMO2025-016-r1", json={"state": "failed"})
        clear = client.post("/dags/prod__DEMO2025-016/clearTaskInstances", json={"dag_run_id": "DEMO2025-016-r1"})
        assert (mark.status_code, clear.status_code) == (403, 403)


def test_the_ledger_holds_no_disagreement(stack, demo):
    from prodsys.actions.reconciliation.reconciling import reconcile

    assert reconcile(stack.context("robot", "service"), repair=False) == []


def test_no_secret_stands_in_a_log_or_the_journal(stack, demo):
    secrets = {
        path.read_text().strip()
        for path in (stack.home / "secrets").iterdir()
        if path.is_file() and path.suffix in {".password", ".secret", ".token"}
    }
    secrets = {one for one in secrets if len(one) > 12}
    assert secrets
    places = [path for path in (stack.home / "log").iterdir() if path.is_file()]
    places += (stack.home / "airflow" / "logs").rglob("*.log")
    for path in places:
        text = path.read_text(errors="replace")
        assert not [one[:3] for one in secrets if one in text], path


@pytest.mark.parametrize("program", ["api-server", "scheduler", "panda-jedi", "rucio-server", "postgres"])
def test_status_names_each_program(stack, program):
    rows = {row["name"]: row for row in stack.json("stack", "status")["programs"]}
    assert rows[program]["state"] == "healthy"
    assert rows[program]["memory_bytes"] > 1_000_000
    assert Path(rows[program]["log"]).exists()
