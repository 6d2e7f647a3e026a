"""What the manager may do at Airflow itself: requests and their questions, and nothing that runs the deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from prodsys.settings import REPOSITORY

CALL_S, SHOWN_S = 120, 300
pytestmark = pytest.mark.timeout(900)  # the first test waits for the stack
SOURCE, REQUEST = "PROD2025-016", "DEMO2026-941"
DAG = f"prod__{REQUEST}"
SERVICE_DAGS = ("dispatch", "reconcile", "intake", "approval", "report")


@pytest.fixture(scope="module")
def manager(stack) -> Iterator[httpx.Client]:
    """Airflow's API with the manager's token."""
    address = stack.settings.need("AIRFLOW_URL")
    body = {"username": "manager", "password": stack.password("manager")}
    token = httpx.post(f"{address}/auth/token", json=body, timeout=CALL_S).json()["access_token"]
    with httpx.Client(
        base_url=f"{address}/api/v2", headers={"Authorization": f"Bearer {token}"}, timeout=CALL_S
    ) as one:
        yield one


@pytest.fixture(scope="module")
def published(stack, manager) -> str:
    """DAG of a request that is approved."""
    sheet = REPOSITORY / "include" / "demo" / "requests_sheet.csv"
    stack.prodsys("request", "import", str(sheet), check=False)  # the demo may have done it
    stack.prodsys("request", "clone", SOURCE, REQUEST, "--seed-count", "3", "--events-per-file", "20")
    stack.prodsys("request", "plan", REQUEST)
    stack.prodsys("request", "approve", REQUEST)
    return DAG


def run(name: str) -> dict[str, object]:
    return {"dag_run_id": name, "logical_date": None}


@pytest.mark.parametrize("dag_id", SERVICE_DAGS)
def test_the_manager_cannot_touch_what_runs_the_deployment(manager, dag_id: str) -> None:
    backfill = {"dag_id": dag_id, "from_date": "2026-01-01T00:00:00Z", "to_date": "2026-01-02T00:00:00Z"}
    assert manager.get(f"/dags/{dag_id}").status_code == 200
    assert manager.patch(f"/dags/{dag_id}", json={"is_paused": True}).status_code == 403
    assert manager.post(f"/dags/{dag_id}/dagRuns", json=run("by-hand")).status_code == 403
    assert manager.post("/backfills", json=backfill).status_code == 403
    assert manager.delete(f"/dags/{dag_id}").status_code == 403
    assert manager.get(f"/dags/{dag_id}").json()["is_paused"] is False


def test_the_manager_starts_no_question_by_hand(manager) -> None:
    assert manager.post("/dags/approve_plan/dagRuns", json=run("by-hand")).status_code == 403


def test_the_manager_pauses_and_starts_requests_and_clears_nothing(
    manager, published: str, wait_until: Callable[..., object]
) -> None:
    paused = {"is_paused": True}
    wait_until(lambda: manager.patch(f"/dags/{published}", json=paused).status_code == 200, SHOWN_S, "the rights")
    assert manager.post(f"/dags/{published}/dagRuns", json=run("by-hand")).status_code == 200
    assert manager.patch(f"/dags/{published}/dagRuns/by-hand", json={"state": "failed"}).status_code == 403
    assert manager.post(f"/dags/{published}/dagRuns/by-hand/clear", json={"dry_run": False}).status_code == 403
    assert manager.delete(f"/dags/{published}/dagRuns/by-hand").status_code == 403
    assert manager.patch(f"/dags/{published}", json={"is_paused": False}).status_code == 200


@pytest.mark.parametrize("program", ["iam", "tokens", "panda-server", "panda-jedi", "rucio-server"])
def test_no_program_that_needs_no_ledger_knows_its_password(stack, program: str) -> None:
    password = (stack.home / "secrets" / "postgres-prodsys.password").read_text().strip()
    environment = Path(f"/proc/{stack.pid(program)}/environ").read_bytes()
    assert password.encode() not in environment
    assert b"PRODSYS_DATABASE_URL" not in environment
