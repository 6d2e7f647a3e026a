"""Findings over REST: who looks, who decides, and what stays of it."""

from __future__ import annotations

import pytest

from prodsys.actions.reconciliation.findings import Finding, keep_findings, run_check

REQUEST = "PROD2025-016"


@pytest.fixture
def numbers(ctx) -> list[int]:
    """Two findings: one about a request, one about none."""

    def comparison(_ctx, _repair):
        yield Finding(REQUEST, "rule r1 expires", "changed in Rucio", False, "decide", subject="r1")
        yield Finding("", "PanDA could not be compared", "it is down", False, "wait")

    return [one.finding_id for one in keep_findings(ctx, [run_check(comparison, ctx, True)], closing=True)]


@pytest.fixture
def viewer(caller):
    return caller("viewer")


@pytest.fixture
def submitter(caller):
    return caller("submitter")


def test_findings_that_wait_are_listed_newest_first_for_whoever_may_look(viewer, numbers):
    body = viewer.ask("/findings", waiting="true")
    assert ([one["finding_id"] for one in body["items"]], body["total"]) == (numbers[::-1], 2)
    assert viewer.ask("/findings", request_id=REQUEST)["items"][0]["what"] == "rule r1 expires"
    assert viewer.ask("/findings", severity="error")["items"] == []
    shown = viewer.ask(f"/findings/{numbers[0]}")
    assert (shown["request_id"], shown["decided_by"], shown["closed_at"]) == (REQUEST, None, None)
    assert viewer.get("/findings/4711").status_code == 404


def test_a_finding_is_decided_once_by_somebody_with_the_right(manager, viewer, submitter, numbers):
    path = f"/findings/{numbers[0]}/decide"
    for person in (viewer, submitter):
        assert person.post(path, {"reason": "obsolete"}).status_code == 403
    assert manager.post(path, {"reason": ""}).status_code == 422
    dry = manager.post(path, {"reason": "obsolete"}, params={"dry_run": "true"}).json()
    assert (dry["dry_run"], dry["answer"]["decided_by"]) == (True, "manager")
    assert manager.ask(f"/findings/{numbers[0]}")["decided_by"] is None
    done = manager.do(path, {"reason": "obsolete"})
    assert (done["act"], done["request_id"], done["answer"]["reason"]) == ("decide", REQUEST, "obsolete")
    assert manager.do(path, {"reason": "obsolete"})["answer"] == done["answer"]
    assert manager.post(path, {"reason": "another"}).status_code == 409
    assert [one["finding_id"] for one in manager.ask("/findings", waiting="true")["items"]] == numbers[1:]
    assert manager.ask("/findings", waiting="false")["items"][0]["reason"] == "obsolete"
    (line,) = manager.ask("/audit", action="decide finding")["items"]
    assert (line["who"], line["request_id"], line["detail"]["finding"]) == ("manager", REQUEST, numbers[0])


def test_a_finding_about_no_request_is_decided_too(manager, numbers):
    done = manager.do(f"/findings/{numbers[1]}/decide", {"reason": "a maintenance"})
    assert (done["request_id"], done["state"], done["answer"]["finding_id"]) == ("", "", numbers[1])
    assert manager.post("/findings/4711/decide", {"reason": "x"}).status_code == 404
