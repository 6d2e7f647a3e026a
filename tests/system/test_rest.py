"""The API under Airflow's own API server: real tokens, real roles, a production from a shell script."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from prodsys.settings import REPOSITORY

API = "/prodsys/api/v1"
CALL_S = 60
PRODUCTION_S = 900
SOURCE, NEW, STOPPED = "PROD2025-016", "DEMO2026-901", "DEMO2026-905"
SCRIPT = REPOSITORY / "docs" / "examples" / "production.sh"


@pytest.fixture(scope="module")
def address(stack) -> str:
    sheet = REPOSITORY / "include" / "demo" / "requests_sheet.csv"
    stack.prodsys("request", "import", str(sheet), check=False)  # the demo may have done it
    return stack.settings.need("AIRFLOW_URL")


@pytest.fixture(scope="module")
def tokens(stack, address) -> dict[str, str]:
    """A token for each role, from Airflow itself."""
    found = {}
    for name in ("admin", "manager", "viewer"):
        answer = httpx.post(
            f"{address}/auth/token", json={"username": name, "password": stack.password(name)}, timeout=CALL_S
        )
        assert answer.status_code == 201, answer.text
        found[name] = answer.json()["access_token"]
    return found


@pytest.fixture
def rest(address) -> Iterator[httpx.Client]:
    """A client without any credential."""
    with httpx.Client(base_url=address + API, timeout=CALL_S) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_nothing_is_told(rest):
    for path in ("/requests", "/openapi.json", "/nothing", "/me"):
        answer = rest.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert rest.post(f"/requests/{SOURCE}/plan", json={}).status_code == 401
    assert rest.get("/requests", headers=bearer("forged")).status_code == 401


def test_roles_at_airflow_are_roles_here(rest, tokens):
    told = {name: rest.get("/me", headers=bearer(token)).json() for name, token in tokens.items()}
    assert {name: (one["name"], one["roles"]) for name, one in told.items()} == {
        "admin": ("admin", ["administrator"]),
        "manager": ("manager", ["manager"]),
        "viewer": ("viewer", ["viewer"]),
    }
    assert told["viewer"]["rights"] == []


def test_a_viewer_looks_and_changes_nothing(rest, tokens):
    viewer = bearer(tokens["viewer"])
    assert rest.get(f"/requests/{SOURCE}", headers=viewer).status_code == 200
    answer = rest.post(f"/requests/{SOURCE}/clone", json={"request_id": "DEMO2026-902"}, headers=viewer)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:prodsys:problem:not-allowed")
    assert rest.get("/audit", headers=viewer).status_code == 403  # as at Airflow
    assert rest.get("/audit", headers=bearer(tokens["manager"])).status_code == 200


def test_a_session_of_airflows_pages_needs_our_origin_for_a_change(rest, tokens, address):
    cookie = {"Cookie": f"_token={tokens['manager']}"}
    assert rest.get("/requests", headers=cookie).status_code == 200
    path, body = f"/requests/{SOURCE}/clone?dry_run=true", {"request_id": "DEMO2026-903"}
    for origin, status in ((None, 403), ("https://evil.example.org", 403), (address, 200)):
        headers = cookie | ({"Origin": origin} if origin else {})
        assert rest.post(path, json=body, headers=headers).status_code == status


def test_the_description_is_served_under_its_own_address(rest, tokens):
    served = rest.get("/openapi.json", headers=bearer(tokens["viewer"])).json()
    assert served["servers"] == [{"url": API}]


def test_airflow_itself_answers_beside_us(rest, address, tokens):
    found = httpx.get(f"{address}/api/v2/plugins", headers=bearer(tokens["admin"]), timeout=CALL_S).json()
    ours = next(one for one in found["plugins"] if one["name"] == "prodsys")
    assert [one["url_prefix"] for one in ours["fastapi_apps"]] == ["/prodsys"]


def run_script(stack, address, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {
        "PATH": os.environ["PATH"],
        "PRODSYS_AIRFLOW_URL": address,
        "PRODSYS_LOGIN": "manager",
        "PRODSYS_PASSWORD_FILE": str(stack.home / "secrets" / "airflow-manager.password"),
        "PRODSYS_WAIT_S": str(PRODUCTION_S - 60),
        "NO_PROXY": "*",
    }
    return subprocess.run(
        ["sh", str(SCRIPT), *arguments], env=own, capture_output=True, text=True, timeout=PRODUCTION_S, check=False
    )


@pytest.mark.timeout(PRODUCTION_S + 60)
def test_a_shell_script_runs_a_whole_production_with_curl_alone(stack, address, rest, tokens):
    began = time.monotonic()
    done = run_script(stack, address, SOURCE, NEW)
    print(done.stdout, done.stderr, f"{time.monotonic() - began:.0f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{NEW}: complete" in done.stdout
    assert "verdict full" in done.stdout
    certificate = rest.get(f"/certificates/{NEW}", headers=bearer(tokens["viewer"])).json()
    assert (certificate["body"]["approved_by"], certificate["body"]["events_delivered"]) == ("manager", 60)
    again = run_script(stack, address, SOURCE, NEW)  # said again: nothing is done twice
    assert again.returncode == 0, again.stdout + again.stderr
    assert certificate["path"] in again.stdout
    history = rest.get(f"/requests/{NEW}/history", headers=bearer(tokens["viewer"])).json()["items"]
    actions = [line["action"] for line in history]
    assert [actions.count(one) for one in ("clone", "plan", "approve", "launch")] == [1, 1, 1, 1]
    refused = run_script(stack, address, "PROD2025-999", "DEMO2026-904")
    assert refused.returncode == 1
    assert "request PROD2025-999 is not in the ledger" in refused.stderr


@pytest.mark.timeout(PRODUCTION_S)
def test_a_running_request_is_paused_resumed_and_aborted(rest, tokens, wait_until):
    """PanDA and Airflow are told from inside Airflow's own API server."""
    manager, here = bearer(tokens["manager"]), f"/requests/{STOPPED}"

    def act(name: str, body: dict, **headers: str) -> dict:
        answer = rest.post(f"{here}/{name}", json=body, headers=manager | headers)
        assert answer.status_code in (200, 202), answer.text  # 202: the dispatcher starts it
        return answer.json()

    def state() -> str:
        return rest.get(here, headers=manager).json()["state"]

    body = {"request_id": STOPPED, "seed_count": 3, "events_per_file": 20}
    assert rest.post(f"/requests/{SOURCE}/clone", json=body, headers=manager).status_code == 201
    digest = act("plan", {})["answer"]["digest"]
    act("approve", {"digest": digest})
    act("launch", {"wait": True}, **{"If-Match": "*"})
    wait_until(lambda: state() == "running", 120, "the run")
    assert act("pause", {"reason": "network maintenance"})["state"] == "paused"
    assert state() == "paused"
    assert act("resume", {})["state"] == "running"
    assert act("priority", {"priority": 950}, **{"If-Match": "*"})["request_id"] == STOPPED
    assert act("abort", {"reason": "wrong field map"})["state"] == "aborted"
    assert rest.get(here, headers=manager).json()["reason"] == "wrong field map"
    act("archive", {}, **{"If-Match": "*"})
    history = rest.get(f"{here}/history", headers=manager).json()["items"]
    acts = [line["action"] for line in history if line["who"] == "manager"]
    assert acts == ["clone", "plan", "approve", "launch", "pause", "resume", "priority", "abort", "archive"]


def test_what_ran_is_told_by_its_resources(rest, tokens):
    """After the production above: tasks, files, datasets, seeds, runs."""
    viewer = bearer(tokens["viewer"])
    tasks = rest.get(f"/tasks?request_id={NEW}", headers=viewer).json()
    assert [(one["step"], one["status"]) for one in tasks["items"]] == [("SIM", "done"), ("RECO", "done")]
    seeds = rest.get(f"/requests/{NEW}/seeds", headers=viewer).json()
    assert {one["state"] for one in seeds["items"]} == {"delivered"}
    steps = rest.get(f"/requests/{NEW}/steps", headers=viewer).json()["items"]
    assert [(one["step"], one["asked"], one["delivered"], one["verdict"]) for one in steps] == [
        ("SIM", 3, 3, "full"),
        ("RECO", 3, 3, "full"),
    ]
    datasets = rest.get(f"/datasets?request_id={NEW}&kind=dataset", headers=viewer).json()["items"]
    assert all(one["closed"] for one in datasets)
    simulated = next(one for one in datasets if (one["step"], one["data_type"]) == ("SIM", "S"))
    files = rest.get(f"/datasets/{simulated['did']}/files", headers=viewer).json()
    assert (files["total"], sum(one["events"] for one in files["items"])) == (3, 60)
    assert rest.get(f"/datasets/{simulated['did']}", headers=viewer).json()["rules"]
    runs = rest.get(f"/requests/{NEW}/runs", headers=viewer).json()["items"]
    assert [one["dag_id"] for one in runs] == [f"prod__{NEW}"]
