"""Acts: a request from clone to launch, conditions, refusals, dry runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest

from prodsys.ledger.session import make_session_factory, transaction
from prodsys.ledger.tables import RequestRow
from tests.contract.rest.conftest import API

NEW = "PROD2026-001"
SOURCE = "/requests/PROD2025-016"
HERE = f"/requests/{NEW}"
REQUEST = "DEMO2025-016"
SMALL = {"request_id": NEW, "seed_count": 3, "events_per_file": 20}


@pytest.fixture
def draft(manager):
    manager.do(f"{SOURCE}/clone", SMALL)
    return manager


def state(caller, request_id: str = NEW) -> str:
    return caller.ask(f"/requests/{request_id}")["state"]


def test_a_clone_is_told_with_its_place_and_what_differs(manager):
    answer = manager.post(f"{SOURCE}/clone", SMALL)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{API}{HERE}"
    body = answer.json()
    assert (body["act"], body["request_id"], body["state"], body["dry_run"]) == ("clone", NEW, "draft", False)
    assert {one["field"] for one in body["answer"]["changes"]} >= {"request_id", "seeds", "events"}
    assert manager.get(HERE).headers["etag"] == answer.headers["etag"]
    assert manager.post(f"{SOURCE}/clone", SMALL).json() == body  # said again


def test_each_answer_carries_the_tag_that_the_next_act_wants(draft, airflow):
    planned = draft.post(f"{HERE}/plan")
    digest = planned.json()["answer"]["digest"]
    approved = draft.post(f"{HERE}/approve", {"digest": digest}, headers={"If-Match": planned.headers["etag"]})
    assert approved.json()["state"] == "approved"
    later = {"not_before": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    delayed = draft.post(f"{HERE}/launch", later, headers={"If-Match": approved.headers["etag"]})
    assert (delayed.json()["state"], delayed.json()["answer"]["started"]) == ("delayed", False)
    taken_back = draft.post(f"{HERE}/withdraw", {"reason": "r"}, headers={"If-Match": delayed.headers["etag"]})
    assert taken_back.json()["state"] == "planned"


def test_a_launch_starts_the_run(at_airflow, airflow):
    answer = at_airflow.do(f"/requests/{REQUEST}/launch", {"wait": True})
    assert answer["answer"] == {
        "started": True, "dag_id": f"prod__{REQUEST}", "dag_run_id": f"{REQUEST}-r1", "message": "started",
    }  # fmt: skip
    assert airflow.started == [f"{REQUEST}-r1"]


def test_a_launch_whose_run_is_to_come_answers_202_with_a_place_to_look(at_airflow, airflow, ctx):
    shown, airflow.digest = airflow.digest, "sha256:another"  # Airflow has not read the DAG yet
    answer = at_airflow.post(f"/requests/{REQUEST}/launch", {"wait": True}, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["state"], answer.json()["answer"]["started"]) == (202, "ready", False)
    assert answer.headers["location"] == f"/prodsys/api/v1/requests/{REQUEST}"
    assert int(answer.headers["retry-after"]) > 0
    without = at_airflow.post(f"/requests/{REQUEST}/launch", {}, headers={"If-Match": "*"})
    assert (without.status_code, without.json()["state"]) == (200, "ready")
    airflow.digest = shown
    again = at_airflow.post(f"/requests/{REQUEST}/launch", {"wait": True}, headers={"If-Match": "*"})
    assert (again.status_code, again.json()["answer"]["started"]) == (200, True)
    assert airflow.started == [f"{REQUEST}-r1"]


def test_an_act_on_an_old_picture_is_refused_and_does_nothing(draft):
    old = draft.get(HERE).headers["etag"]
    draft.do(f"{HERE}/priority", {"priority": 950})
    answer = draft.post(f"{HERE}/priority", {"priority": 100}, headers={"If-Match": old})
    assert (answer.status_code, answer.json()["type"]) == (412, "urn:prodsys:problem:request-changed")
    assert draft.ask(HERE)["priority"] == 950
    new = draft.get(HERE).headers["etag"]
    both = draft.post(f"{HERE}/priority", {"priority": 100}, headers={"If-Match": f"{old}, {new}"})
    assert both.status_code == 200
    weak = draft.post(f"{HERE}/priority", {"priority": 7}, headers={"If-Match": f"W/{both.headers['etag']}"})
    assert weak.status_code == 412  # RFC 9110: weak tags match nothing here
    assert draft.post(f"{HERE}/priority", {"priority": 7}, headers={"If-Match": "rubbish"}).status_code == 422


def test_a_new_plan_changes_the_picture_though_the_state_stays(draft, ctx):
    draft.do(f"{HERE}/plan")
    old = draft.get(HERE).headers["etag"]
    assert draft.post(f"{HERE}/plan").headers["etag"] == old  # the same plan: the same picture
    spec = draft.ask(HERE)["spec"] | {"script_version": "V02"}
    draft.call("PUT", HERE, json=spec, headers={"If-Match": old})
    assert draft.get(HERE).headers["etag"] != old


def test_what_replaces_a_decision_wants_if_match(draft):
    answer = draft.post(f"{HERE}/priority", {"priority": 950})
    assert (answer.status_code, answer.json()["type"]) == (428, "urn:prodsys:problem:condition-missing")
    for act in ("launch", "archive"):
        assert draft.post(f"{HERE}/{act}").status_code == 428
    assert draft.post(f"{HERE}/priority?dry_run=true", {"priority": 950}).status_code == 200
    assert draft.post(f"{HERE}/abort", {"reason": "an emergency needs no picture"}).status_code == 200


def test_of_two_who_edit_the_same_page_one_is_refused(draft):
    tag = draft.get(HERE).headers["etag"]
    together, statuses = Barrier(2), []

    def edit(number: int) -> None:
        together.wait()
        answer = draft.post(f"{HERE}/priority", {"priority": number}, headers={"If-Match": tag})
        statuses.append((answer.status_code, number))

    threads = [Thread(target=edit, args=(number,)) for number in (101, 102)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(status for status, _ in statuses) == [200, 412]
    assert (200, draft.ask(HERE)["priority"]) in statuses


def test_who_has_it_already_gets_304(draft):
    tag = draft.get(HERE).headers["etag"]
    again = draft.get(HERE, headers={"If-None-Match": f'"x", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    whole = draft.get("/requests")
    assert draft.get("/requests", headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


def test_an_approval_binds_to_the_digest(draft):
    draft.do(f"{HERE}/plan")
    wrong = "sha256:" + "0" * 64
    answer = draft.post(f"{HERE}/approve", {"digest": wrong})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:prodsys:problem:plan-changed")
    assert answer.json()["shown"] == wrong
    assert draft.post(f"{HERE}/approve", {}).status_code == 422


def test_a_refused_move_names_the_possible_acts(draft):
    answer = draft.post(f"{HERE}/pause")
    problem = answer.json()
    assert (answer.status_code, problem["state"], problem["action"]) == (409, "draft", "pause")
    assert "plan" in problem["possible"]
    assert draft.ask(HERE)["acts"] == problem["possible"]


def test_seeds_that_are_taken_are_named_with_their_owner(manager):
    answer = manager.post(f"{SOURCE}/clone", {"request_id": NEW, "seeds": manager.ask(SOURCE)["spec"]["seeds"]})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:prodsys:problem:seeds-taken")
    assert answer.json()["owners"][0][0] == "PROD2025-016"
    assert answer.json()["next_free"] > 1


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/priority", {"priority": 0}, "body.priority"),
        ("/priority", {"priority": "x"}, "body.priority"),
        ("/abort", {}, "body.reason"),
        ("/abort", {"reason": ""}, "body.reason"),
        ("/abort", {"reason": "nul \x00"}, "body.reason"),
        ("/pause", {"why": "unknown key"}, "body.why"),
        ("/launch", {"not_before": "2026-12-01T08:00:00"}, "body.not_before"),
        ("/launch", {"not_before": 1796112000}, "body.not_before"),
        ("/launch", {"not_before": "9999-12-31T23:59:59-12:00"}, "body.not_before"),
        ("/clone", {"request_id": "<script>"}, "body.request_id"),
        ("/clone", {"request_id": "PROD2026-" + "9" * 30}, "body.request_id"),
        ("/clone", {"request_id": NEW, "seeds": "9-1"}, "body.seeds"),
        ("/reuse", {"owner": "PROD2025-001", "kind": "fun", "reason": "r"}, "body.kind"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_place(manager, path, body, place):
    answer = manager.post(SOURCE + path, body, headers={"If-Match": "*"})
    assert answer.status_code == 422, answer.text
    assert place in answer.json()["detail"]


def test_a_body_that_is_no_json_is_a_bad_request(manager):
    answer = manager.call("POST", f"{SOURCE}/pause", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_dry_run_says_what_would_happen_and_changes_nothing(at_airflow, airflow):
    before = at_airflow.get(f"/requests/{REQUEST}")
    answer = at_airflow.post(f"/requests/{REQUEST}/launch?dry_run=true", {})
    body = answer.json()
    assert (answer.status_code, body["dry_run"], body["state"]) == (200, True, "ready")
    assert body["would"] == [f"airflow start run prod__{REQUEST} {REQUEST}-r1 conf={{}} note=launched by manager"]
    assert "etag" not in answer.headers
    after = at_airflow.get(f"/requests/{REQUEST}")
    assert (after.json(), after.headers["etag"], airflow.started) == (before.json(), before.headers["etag"], [])


def test_every_act_can_be_rehearsed(at_airflow, ctx):
    """What a dry run answers is what the act answers, or its refusal; the ledger stays as it is."""
    lines = at_airflow.ask("/audit")["total"]
    bodies = {"clone": SMALL, "priority": {"priority": 9}, "abort": {"reason": "r"}, "withdraw": {"reason": "r"}}
    for act in ("clone", "plan", "withdraw", "launch", "priority", "pause", "finish", "abort", "archive"):
        answer = at_airflow.post(f"/requests/{REQUEST}/{act}?dry_run=true", bodies.get(act, {}))
        assert answer.status_code in (200, 409), (act, answer.text)
    assert at_airflow.ask("/audit")["total"] == lines
    assert at_airflow.get(f"/requests/{NEW}").status_code == 404


def test_a_dry_run_on_an_old_picture_is_refused_too(draft):
    old = draft.get(HERE).headers["etag"]
    draft.do(f"{HERE}/priority", {"priority": 950})
    answer = draft.post(f"{HERE}/priority?dry_run=true", {"priority": 1}, headers={"If-Match": old})
    assert answer.status_code == 412


def test_a_request_is_written_and_revised(manager):
    spec = manager.ask(SOURCE)["spec"] | {"request_id": NEW, "seeds": "900001-900003", "recorded_status": "draft"}
    spec |= {"events_per_file": 20, "events": 60}
    made = manager.post("/requests", spec)
    assert (made.status_code, made.headers["location"], made.json()["state"]) == (201, f"{API}{HERE}", "draft")
    assert manager.post("/requests", spec).json() == made.json()
    assert manager.post("/requests", spec | {"description": "another"}).status_code == 409
    assert manager.call("PUT", HERE, json=spec).status_code == 428
    tag = manager.get(HERE).headers["etag"]
    changed = manager.call("PUT", HERE, json=spec | {"description": "d"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["answer"]["notes"]) == (200, [])
    assert manager.ask(HERE)["revision"] == 2
    stale = manager.call("PUT", HERE, json=spec | {"description": "e"}, headers={"If-Match": tag})
    assert (stale.status_code, manager.ask(HERE)["revision"]) == (412, 2)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"recorded_status": "done"}, 422),
        ({"request_id": "WRONG2026-001"}, 422),
        ({"seeds": "40001-40003"}, 409),
        ({"events": 61}, 422),
        ({"request_id": "PROD2026-" + "9" * 30}, 422),
        ({"colour": "red"}, 422),
    ],
)
def test_a_request_that_cannot_be_is_not_written(manager, change, status):
    spec = manager.ask(SOURCE)["spec"] | {"request_id": NEW, "recorded_status": "draft"}
    spec |= {"seeds": "900001-900003", "events_per_file": 20, "events": 60}
    answer = manager.post("/requests", spec | change)
    assert answer.status_code == status, answer.text
    assert manager.get(HERE).status_code == 404


def test_what_is_approved_is_not_revised(at_airflow):
    spec = at_airflow.ask(f"/requests/{REQUEST}")["spec"] | {"description": "late"}
    answer = at_airflow.call("PUT", f"/requests/{REQUEST}", json=spec, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:prodsys:problem:move-refused")


def test_a_service_that_is_away_is_503_with_when_to_ask_again(at_airflow, airflow, approved):
    with transaction(approved.sessions) as session:
        session.get(RequestRow, REQUEST).state = "running"
    airflow.busy = 1000
    answer = at_airflow.post(f"/requests/{REQUEST}/pause", {"reason": "maintenance"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert state(at_airflow, REQUEST) == "paused"  # the ledger says so first; the reconciler repeats the rest


def test_no_more_acts_at_once_than_slots(draft, api):
    pages = next(route.app for route in api.routes if route.path == "/prodsys")
    slots = next(route.app for route in pages.routes if route.path == "/api/v1").state.slots
    taken = [slots.one() for _ in range(6)]
    for one in taken:
        one.__enter__()
    answer = draft.post(f"{HERE}/plan")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:prodsys:problem:too-busy")
    assert draft.get(HERE).status_code == 200
    for one in taken:
        one.__exit__(None, None, None)
    assert draft.post(f"{HERE}/plan").status_code == 200


def test_a_star_in_quotes_is_a_tag_that_none_has(draft):
    answer = draft.post(f"{HERE}/priority", {"priority": 7}, headers={"If-Match": '"*"'})
    assert (answer.status_code, answer.json()["type"]) == (412, "urn:prodsys:problem:request-changed")


@pytest.mark.parametrize("origin", ["trial_of", "template"])
def test_what_people_cannot_change_is_refused_and_stays(draft, ctx, origin):
    with transaction(ctx.sessions) as session:
        row = session.get_one(RequestRow, NEW)
        setattr(row, origin, "weekly" if origin == "template" else "PROD2025-016")
        row.interval_start = datetime.now(UTC) if origin == "template" else None
    spec = draft.ask(HERE)["spec"] | {"description": "changed"}
    answer = draft.call("PUT", HERE, json=spec, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:prodsys:problem:id-taken")
    assert draft.ask(HERE)["revision"] == 1


def test_a_dry_run_does_not_wait_for_long_for_a_change_under_way(draft, ctx):
    with transaction(ctx.sessions) as session:
        session.get_one(RequestRow, NEW, with_for_update=True)
        answer = draft.post(f"{HERE}/plan?dry_run=true")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:prodsys:problem:ledger-unavailable")
    assert draft.post(f"{HERE}/plan?dry_run=true").status_code == 200


def test_a_dry_run_without_a_ledger_is_503(application, draft, ctx):
    away = make_session_factory("postgresql+psycopg://nobody@127.0.0.1:1/none")
    application.context = replace(ctx, sessions=away)
    answer = draft.post(f"{HERE}/plan?dry_run=true")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:prodsys:problem:ledger-unavailable")
