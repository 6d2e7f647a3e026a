"""AirflowClient against the shapes of Airflow 3.3.2's REST API; the wire is replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from prodsys.errors import AirflowAnswerInvalid, AirflowRefused, AirflowUnavailable
from prodsys.orchestrator.client import PAGE, AirflowClient

URL = "http://airflow.example"
RUN = {
    "dag_id": "prod__DEMO2025-010",
    "dag_run_id": "DEMO2025-010-r1",
    "state": "running",
    "start_date": "2026-11-21T10:00:00.123456Z",
    "end_date": None,
    "note": None,
    "conf": {"seeds": 3},
    "bundle_version": "7",
}
DAG = {
    "dag_id": "prod__DEMO2025-010",
    "is_stale": False,
    "has_import_errors": False,
    "last_parsed_time": "2026-11-21T10:00:00Z",
    "tags": [{"name": "prodsys"}, {"name": "sha256:9f2c"}],
}


@dataclass
class Airflow:
    """What answers at the other end of the wire."""

    answers: dict[tuple[str, str], Callable[[httpx.Request], httpx.Response]] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)
    logins: int = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path == "/auth/token":
            self.logins += 1
            return httpx.Response(201, json={"access_token": f"t{self.logins}"})
        return self.answers[request.method, request.url.raw_path.decode().split("?")[0]](request)

    def say(self, method: str, path: str, status: int, body: Any) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.answers[method, f"/api/v2{path}"] = lambda _: httpx.Response(status, text=text)


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    airflow = Airflow()
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: airflow.handle(request))
    return airflow


@pytest.fixture
def client() -> AirflowClient:
    return AirflowClient(f"{URL}/", "prodsys", "pa55", 5)


def test_a_run_is_started_once_and_found_again(airflow: Airflow, client: AirflowClient):
    airflow.say("POST", "/dags/prod__DEMO2025-010/dagRuns", 200, RUN)
    run = client.start_run("prod__DEMO2025-010", "DEMO2025-010-r1", {"seeds": 3}, "launched by manager")
    assert (run.airflow_state, run.bundle_version, run.conf) == ("running", "7", {"seeds": 3})
    assert run.started == datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)
    assert json.loads(airflow.asked[-1].content) == {
        "dag_run_id": "DEMO2025-010-r1",
        "logical_date": None,
        "conf": {"seeds": 3},
        "note": "launched by manager",
    }
    airflow.say("POST", "/dags/prod__DEMO2025-010/dagRuns", 409, {"detail": "already exists"})
    airflow.say("GET", "/dags/prod__DEMO2025-010/dagRuns/DEMO2025-010-r1", 200, RUN)
    assert client.start_run("prod__DEMO2025-010", "DEMO2025-010-r1") == run


def test_a_conflict_about_something_else_is_a_refusal(airflow: Airflow, client: AirflowClient):
    airflow.say("POST", "/dags/d/dagRuns", 409, {"detail": "other"})
    airflow.say("GET", "/dags/d/dagRuns/r", 404, {"detail": "no run"})
    with pytest.raises(AirflowRefused, match="other"):
        client.start_run("d", "r")


@pytest.mark.parametrize(
    ("changed", "digest", "ready"),
    [
        ({}, None, True),
        ({}, "sha256:9f2c", True),
        ({}, "sha256:0000", False),
        ({"is_stale": True}, None, False),
        ({"has_import_errors": True}, None, False),
        ({"last_parsed_time": None}, None, False),
    ],
)
def test_a_dag_is_ready_when_airflow_shows_the_wanted_revision(
    airflow: Airflow, client: AirflowClient, changed: dict, digest: str | None, ready: bool
):
    airflow.say("GET", "/dags/prod__DEMO2025-010", 200, DAG | changed)
    assert client.dag_ready("prod__DEMO2025-010", digest) is ready


def test_a_dag_that_airflow_does_not_know_is_not_ready(airflow: Airflow, client: AirflowClient):
    airflow.say("GET", "/dags/x", 404, {"detail": "The Dag with ID: `x` was not found"})
    airflow.say("GET", "/dags/x/dagRuns/r", 404, {"detail": "not found"})
    assert client.dag_ready("x") is False
    assert client.get_run("x", "r") is None


def test_paused_dags_are_told_by_their_ids(airflow: Airflow, client: AirflowClient):
    airflow.say("GET", "/dags", 200, {"dags": [DAG], "total_entries": 1})
    assert client.list_paused_dags() == {"prod__DEMO2025-010"}
    assert airflow.asked[-1].url.params["paused"] == "true"


def test_a_token_that_is_not_taken_any_more_is_renewed_once(airflow: Airflow, client: AirflowClient):
    def only_the_second(request: httpx.Request) -> httpx.Response:
        known = request.headers["authorization"] == "Bearer t2"
        return httpx.Response(200, json=RUN) if known else httpx.Response(401, json={"detail": "Invalid JWT token"})

    airflow.answers["GET", "/api/v2/dags/d/dagRuns/r"] = only_the_second
    assert client.get_run("d", "r") is not None
    assert airflow.logins == 2
    airflow.say("GET", "/dags/d/dagRuns/r", 401, {"detail": "Invalid JWT token"})
    with pytest.raises(AirflowRefused, match="Invalid JWT"):
        client.get_run("d", "r")
    assert airflow.logins == 3


def test_all_pages_are_read(airflow: Airflow, client: AirflowClient):
    entries = [
        {"event_log_id": n, "when": "2026-11-21T10:00:00Z", "event": "failed", "owner": "manager", "dag_id": "d"}
        | {"run_id": "r", "task_id": "sim.wait", "map_index": -1, "try_number": 1, "extra": None}
        for n in range(250)
    ]

    def page(request: httpx.Request) -> httpx.Response:
        start, size = int(request.url.params["offset"]), int(request.url.params["limit"])
        return httpx.Response(200, json={"event_logs": entries[start : start + size], "total_entries": 250})

    airflow.answers["GET", "/api/v2/eventLogs"] = page
    lines = client.event_log("d", datetime(2026, 11, 21, tzinfo=UTC), event="failed", try_number=1)
    assert [line.event_log_id for line in lines] == list(range(250))
    assert (lines[0].dag_run_id, lines[0].owner, lines[0].extra) == ("r", "manager", "")
    assert len([one for one in airflow.asked if one.url.path.endswith("eventLogs")]) == 3
    asked = dict(airflow.asked[-1].url.params)
    assert asked["after"] == "2026-11-21T00:00:00+00:00"
    assert (asked["limit"], asked["order_by"], "task_id" in asked) == (str(PAGE), "event_log_id", False)


@pytest.mark.parametrize(
    "body",
    [
        {"event_logs": [], "total_entries": 3},  # the list ended early
        {"event_logs": None, "total_entries": 3},
        {"event_logs": [], "total_entries": None},
        {"total_entries": 0},
    ],
)
def test_a_list_that_ends_early_is_no_end(airflow: Airflow, client: AirflowClient, body: dict[str, Any]):
    airflow.say("GET", "/eventLogs", 200, body)
    with pytest.raises(AirflowUnavailable):
        client.event_log("d")


def test_not_found_counts_in_airflows_own_words_only(airflow: Airflow, client: AirflowClient):
    """What stands in the place of Airflow knows no run either, and the request would be taken for lost."""
    airflow.say("GET", "/dags/d/dagRuns/r", 404, "<html>404 Not Found</html>")
    with pytest.raises(AirflowUnavailable, match="not in Airflow's own words"):
        client.get_run("d", "r")


def test_a_note_is_as_long_as_airflow_takes_it(airflow: Airflow, client: AirflowClient):
    airflow.say("POST", "/dags/d/dagRuns", 200, RUN)
    client.start_run("d", "r", note="x" * 1001)
    assert json.loads(airflow.asked[-1].content)["note"] == "x" * 1000


def test_states_and_notes_are_changed_alone(airflow: Airflow, client: AirflowClient):
    airflow.say("PATCH", "/dags/d/dagRuns/r", 200, RUN)
    airflow.say("PATCH", "/dags/d", 200, DAG)
    client.set_run_state("d", "r", "failed")
    client.set_run_note("d", "r", "x" * 2000)
    client.pause_dag("d")
    client.unpause_dag("d")
    patches = [(dict(one.url.params), json.loads(one.content)) for one in airflow.asked if one.method == "PATCH"]
    assert patches == [
        ({"update_mask": "state"}, {"state": "failed"}),
        ({"update_mask": "note"}, {"note": "x" * 1000}),
        ({"update_mask": "is_paused"}, {"is_paused": True}),
        ({"update_mask": "is_paused"}, {"is_paused": False}),
    ]


def test_ids_cannot_leave_their_place_in_the_address(airflow: Airflow, client: AirflowClient):
    airflow.say("GET", "/dags/a%2F..%2Fb/dagRuns/r%3Fx%3D1", 200, RUN)
    assert client.get_run("a/../b", "r?x=1") is not None


@pytest.mark.parametrize(("status", "body"), [(503, "busy"), (502, ""), (200, "<html>"), (200, "[]"), (200, "{}")])
def test_an_airflow_in_trouble_is_unavailable(airflow: Airflow, client: AirflowClient, status: int, body: str):
    airflow.say("GET", "/dags/d/dagRuns/r", status, body)
    with pytest.raises(AirflowUnavailable):
        client.get_run("d", "r")


def test_an_airflow_that_is_away_is_unavailable_and_the_password_stays_here(monkeypatch: pytest.MonkeyPatch):
    def away(*_: object, **__: object) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", away)
    with pytest.raises(AirflowUnavailable, match=r"airflow\.example") as caught:
        AirflowClient(URL, "prodsys", "pa55", 5).import_errors()
    assert "pa55" not in str(caught.value)


def test_import_errors_and_airflow_tasks_are_listed(airflow: Airflow, client: AirflowClient):
    row = {
        "filename": "a.py",
        "bundle_name": "requests",
        "stack_trace": "SyntaxError",
        "timestamp": "2026-11-21T10:00:00Z",
    }
    airflow.say("GET", "/importErrors", 200, {"import_errors": [row], "total_entries": 1})
    task = {
        "task_id": "sim.wait",
        "map_index": -1,
        "try_number": 2,
        "state": None,
        "start_date": None,
        "end_date": None,
    }
    airflow.say("GET", "/dags/d/dagRuns/r/taskInstances", 200, {"task_instances": [task], "total_entries": 1})
    airflow.say("GET", "/dags/d/dagRuns", 200, {"dag_runs": [RUN], "total_entries": 1})
    assert client.import_errors()[0].stack_trace == "SyntaxError"
    assert client.list_task_instances("d", "r")[0].try_number == 2
    assert client.list_runs("d")[0].dag_run_id == "DEMO2025-010-r1"


def test_runs_are_listed_by_state(airflow: Airflow, client: AirflowClient):
    airflow.say("GET", "/dags/d/dagRuns", 200, {"dag_runs": [RUN], "total_entries": 1})
    assert len(client.list_runs("d", ("queued", "running"))) == 1
    assert airflow.asked[-1].url.params.get_list("state") == ["queued", "running"]


def test_the_roles_of_a_user_are_asked_of_airflows_user_list(airflow: Airflow, client: AirflowClient):
    users = "/auth/fab/v1/users"
    found = {"username": "anna", "roles": [{"name": "ProductionManager"}, {"name": "Viewer"}]}
    airflow.answers["GET", f"{users}/anna"] = lambda _: httpx.Response(200, json=found)
    airflow.answers["GET", f"{users}/..%2Fadmin"] = lambda _: httpx.Response(404, json={"detail": "not found"})
    airflow.answers["GET", f"{users}/odd"] = lambda _: httpx.Response(200, json={"roles": ["Admin"]})
    assert client.list_roles("anna") == {"ProductionManager", "Viewer"}
    assert client.list_roles("../admin") == frozenset()
    with pytest.raises(AirflowAnswerInvalid, match=r"unknown shape.*TypeError"):
        client.list_roles("odd")
