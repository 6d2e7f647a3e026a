"""Questions to people on Airflow's own page: a plan that waits for approval, a step that brought too little."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from prodsys.model.approval import short
from prodsys.settings import REPOSITORY

CALL_S = 120
ASKED_S = 400  # a minute of the door, and the starts of two airflow tasks on a busy machine
PRODUCTION_S = 1500
SOURCE, PLANNED, ELSEWHERE, LOSSY = "PROD2025-016", "DEMO2026-921", "DEMO2026-922", "DEMO2026-923"
SEEDS, EVENTS = 3, 20
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass(frozen=True)
class Person:
    """Somebody at Airflow's API."""

    client: httpx.Client

    def questions(self, dag_id: str) -> list[dict[str, Any]]:
        """Questions of a DAG that wait for an answer."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/~/hitlDetails"
        answer = self.client.get(path, params={"response_received": False, "state": "awaiting_input"})
        assert answer.status_code == 200, answer.text
        return answer.json()["hitl_details"]

    def answer(self, question: dict[str, Any], option: str, **params: Any) -> int:
        """HTTP status of an answer."""
        task = question["task_instance"]
        path = f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}/-1"
        body = {"chosen_options": [option], "params_input": params}
        return self.client.patch(f"{path}/hitlDetails", json=body).status_code

    def states(self, dag_id: str, run_id: str) -> set[str]:
        """States of the airflow tasks of a run; none while there is no such run."""
        answer = self.client.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return {one["state"] for one in answer.json().get("task_instances", ())}

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return self.client.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").json()


@pytest.fixture(scope="module")
def people(stack) -> Iterator[Callable[[str], Person]]:
    """People, each logged in once."""
    sheet = REPOSITORY / "include" / "demo" / "requests_sheet.csv"
    stack.prodsys("request", "import", str(sheet), check=False)  # the demo may have done it
    address, known = stack.settings.need("AIRFLOW_URL"), {}

    def log_in(name: str) -> Person:
        if name not in known:
            body = {"username": name, "password": stack.password(name)}
            token = httpx.post(f"{address}/auth/token", json=body, timeout=CALL_S).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            known[name] = Person(httpx.Client(base_url=address, headers=headers, timeout=CALL_S))
        return known[name]

    yield log_in
    for person in known.values():
        person.client.close()


@pytest.fixture(scope="module")
def planned(stack, people) -> dict[str, str]:
    """Request -> digest of its plan, of the two that wait from the beginning."""
    return {name: make_plan(stack, name) for name in (PLANNED, ELSEWHERE)}


def make_plan(stack, request_id: str) -> str:
    stack.prodsys("request", "clone", SOURCE, request_id, "--seed-count", str(SEEDS), "--events-per-file", str(EVENTS))
    return stack.json("request", "plan", request_id)["digest"]


def asked_about(person: Person, request_id: str, but: str = "") -> Callable[[], dict[str, Any] | None]:
    """Look for the open question about a plan, in another run than the one named."""

    def look() -> dict[str, Any] | None:
        found = [one for one in person.questions("approve_plan") if one["subject"].startswith(f"{request_id}: ")]
        return next((one for one in found if one["task_instance"]["dag_run_id"] != but), None)

    return look


def show(stack, request_id: str) -> dict[str, Any]:
    return stack.json("request", "show", request_id)


@pytest.mark.timeout(3 * ASKED_S)
def test_a_plan_is_approved_on_airflows_page_by_whoever_answers_with_its_digest(stack, people, planned, wait_until):
    manager, digest = people("manager"), planned[PLANNED]
    first = wait_until(asked_about(manager, PLANNED), ASKED_S, "the question about the plan")
    run_id = first["task_instance"]["dag_run_id"]
    assert run_id == f"{PLANNED}-{short(digest)}"
    assert first["options"] == ["Approve", "Reject"]
    assert first["params"]["digest"]["value"] == digest
    assert f"{SEEDS} jobs" in first["body"]
    assert people("viewer").answer(first, "Approve", digest=digest) == 403
    assert manager.answer(first, "Approve", digest="sha256:0", comment="") == 200  # Airflow takes it, we do not
    second = wait_until(asked_about(manager, PLANNED, run_id), ASKED_S, "the question asked again")
    assert "is not that of the plan" in second["body"]
    assert show(stack, PLANNED)["state"] == "planned"
    assert manager.answer(second, "Approve", digest=digest, comment="for the spring") == 200
    wait_until(lambda: show(stack, PLANNED)["state"] == "approved", ASKED_S, "the approval")
    found = show(stack, PLANNED)
    assert (found["plan"], found["approved_by"]) == (digest, "manager")
    told = {(line["who"], line["action"]) for line in found["audit"]}
    assert {("manager", "approve"), ("manager", "comment")} <= told
    run_id = second["task_instance"]["dag_run_id"]
    run = wait_until(
        lambda: (run := manager.run("approve_plan", run_id))["state"] == "success" and run, ASKED_S, "the run's end"
    )
    assert "approved by manager" in run["note"]


@pytest.mark.timeout(2 * ASKED_S)
def test_a_plan_approved_elsewhere_is_not_asked_about_any_more(stack, people, planned, wait_until):
    manager, digest = people("manager"), planned[ELSEWHERE]
    asked = wait_until(asked_about(manager, ELSEWHERE), ASKED_S, "the question about the plan")
    stack.prodsys("request", "approve", ELSEWHERE, "--digest", digest, "--as", "deputy")
    wait_until(lambda: asked_about(manager, ELSEWHERE)() is None, ASKED_S, "the end of the question")
    run = manager.run("approve_plan", asked["task_instance"]["dag_run_id"])
    assert (run["state"], run["note"]) == ("success", f"{ELSEWHERE} is approved; deputy approved its plan")
    assert manager.answer(asked, "Reject", digest=digest, comment="too late") == 200  # Airflow keeps it, nothing more
    assert show(stack, ELSEWHERE)["state"] == "approved"


@pytest.mark.timeout(3 * ASKED_S)
def test_an_answer_before_the_scheduler_knows_that_the_question_is_asked_is_not_lost(stack, people, wait_until):
    """Airflow takes the woken task for killed and tries it again without the answer (docs/decisions/approval.md)."""
    request_id, manager = "DEMO2026-925", people("manager")
    digest = make_plan(stack, request_id)
    run_id, scheduler = f"{request_id}-{short(digest)}", stack.pid("scheduler")
    wait_until(lambda: manager.states("approve_plan", run_id) & {"running", "awaiting_input"}, ASKED_S, "the asking")
    os.kill(scheduler, signal.SIGSTOP)
    try:
        asked = wait_until(asked_about(manager, request_id), ASKED_S, "the question about the plan")
        assert manager.answer(asked, "Approve", digest=digest, comment="") == 200
        assert manager.states("approve_plan", run_id) == {"scheduled"}
    finally:
        os.kill(scheduler, signal.SIGCONT)
    wait_until(lambda: show(stack, request_id)["state"] == "approved", ASKED_S, "the approval")
    assert show(stack, request_id)["approved_by"] == "manager"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
@pytest.mark.timeout(2 * ASKED_S)
def test_the_page_shows_the_plan_and_takes_an_answer_without_a_comment(stack, people, wait_until, tmp_path):
    from playwright.sync_api import expect, sync_playwright

    request_id = "DEMO2026-924"
    make_plan(stack, request_id)
    asked = wait_until(asked_about(people("manager"), request_id), ASKED_S, "the question about the plan")
    address, run_id = stack.settings.need("AIRFLOW_URL"), asked["task_instance"]["dag_run_id"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1500, "height": 1900})
        page.set_default_timeout(CALL_S * 1000)
        page.goto(f"{address}/auth/login/")
        page.fill("#username", "manager")
        page.fill("#password", stack.password("manager"))
        page.click("input[type=submit]")
        page.wait_for_url(lambda url: "/auth/login" not in url)
        page.goto(f"{address}/dags/approve_plan/runs/{run_id}/tasks/approve/required_actions")
        page.get_by_text(f"{request_id}.SIM", exact=True).first.wait_for()
        button = page.get_by_role("button", name="Approve", exact=True)
        expect(button).to_be_enabled(timeout=CALL_S * 1000)
        page.screenshot(path=tmp_path / "approval.png")
        button.click()
        wait_until(lambda: show(stack, request_id)["state"] == "approved", ASKED_S, "the approval")
        browser.close()
    assert show(stack, request_id)["approved_by"] == "manager"


@pytest.fixture
def losing(stack, tmp_path: Path) -> Iterator[list[int]]:
    """Seeds of a production in which all but the first fail for ever."""
    make_plan(stack, LOSSY)
    first, last = map(int, show(stack, LOSSY)["seeds"].split("-"))
    lost = list(range(first + 1, last + 1))
    deed = {"times": "always", "error": "segmentation_fault"}
    rule = {"name": "two seeds never come", "match": {"task": f"^{LOSSY}.SIM", "seed": lost}, "fail": deed}
    scenario = tmp_path / "lossy.yaml"
    scenario.write_text(json.dumps({"description": "two of three seeds fail for ever", "rules": [rule]}))
    stack.prodsys("sandbox", "scenario", "use", str(scenario))
    yield lost
    stack.prodsys("sandbox", "scenario", "use", "quiet")


@pytest.mark.timeout(3 * PRODUCTION_S)
def test_a_loss_is_asked_about_accepted_with_a_reason_and_recovered_later(stack, people, losing, wait_until):
    manager, dag_id = people("manager"), f"prod__{LOSSY}"
    stack.prodsys("request", "approve", LOSSY)
    stack.prodsys("request", "launch", LOSSY)

    def asked() -> dict[str, Any] | None:
        return next(iter(manager.questions(dag_id)), None)

    def ended(state: str) -> Callable[[], bool]:
        return lambda: show(stack, LOSSY)["state"] == state

    question = wait_until(asked, PRODUCTION_S, "the question about SIM")
    assert question["task_instance"]["task_id"] == "sim.settle"
    assert "1 of 3 seeds came" in question["body"]
    assert manager.answer(question, "accept", reason=None) == 200
    again = wait_until(asked, ASKED_S, "the question asked again")
    assert again["subject"] == question["subject"]
    [waits] = stack.json("request", "questions", LOSSY)
    assert waits["answer"] is None
    reason = "one seed is enough for the talk"
    stack.prodsys("request", "answer", str(waits["question_id"]), "accept", "--reason", reason, "--as", "manager")
    wait_until(ended("accepted"), PRODUCTION_S, "the accepted end")
    certificate = stack.json("request", "certificate", LOSSY)
    missing = {one["seed"]: one["waived"] for one in certificate["seeds_missing"]}
    assert missing == dict.fromkeys(losing, f"manager: {reason}")
    assert manager.questions(dag_id) == []

    stack.prodsys("sandbox", "scenario", "use", "quiet")
    stack.prodsys("request", "recover", LOSSY, "--reason", "the talk is over", "--as", "manager")
    wait_until(ended("complete"), PRODUCTION_S, "the recovery")
    certificate = stack.json("request", "certificate", LOSSY)
    assert (certificate["certificate_revision"], certificate["seeds_missing"]) == (2, [])
    assert certificate["events_delivered"] == SEEDS * EVENTS
