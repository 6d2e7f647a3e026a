"""Findings are rows: of damage in the ledger, of comparisons that broke; and how the command line shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import text, update
from typer.testing import CliRunner

from prodsys.actions.core.context import Context
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.reconciliation.findings import (
    Finding,
    check_request,
    decide,
    keep_findings,
    open_findings,
    run_check,
)
from prodsys.actions.reconciliation.hourly_checks import compare_catalogues
from prodsys.actions.reconciliation.plan_checks import damaged_plans, damaged_publications, is_intact
from prodsys.cli.main import app
from prodsys.errors import NotFound, SpecInvalid
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow, FindingRow, PlanRow, PublicationRow, RequestRow
from prodsys.model.statuses import Severity
from tests.contract.actions.long_history import Wire, serve, with_services

REQUEST = "DEMO2025-016"


@pytest.fixture
def here(approved: Context) -> Iterator[Context]:
    """A context whose services have nothing to say, and an approved request."""
    with serve(Wire()) as wire:
        yield with_services(approved, wire)


def kept(ctx: Context, *found: Finding) -> list[Finding]:
    """What becomes of the findings of a comparison."""

    def comparison(_ctx: Context, _repair: bool) -> Iterator[Finding]:
        yield from found

    return keep_findings(ctx, [run_check(comparison, ctx, True)], closing=True)


# --- damage -----------------------------------------------------------------------------------------------------------
def test_a_stored_plan_that_is_not_what_was_approved_is_told_until_it_is_put_back(here: Context) -> None:
    assert compare_catalogues(here, repair=True) == []
    with transaction(here.sessions) as session:
        before = session.query(PlanRow).filter_by(request_id=REQUEST).one().body
        session.execute(update(PlanRow).values(body=before | {"events": before.get("events", 0) + 1}))
    for _ in range(2):
        (told,) = compare_catalogues(here, repair=True)
        assert (told.request_id, told.severity) == (REQUEST, Severity.ERROR)
        assert "is not what was approved" in told.what
    with transaction(here.sessions) as session:
        session.execute(update(PlanRow).values(body=before))
    assert compare_catalogues(here, repair=True) == []
    assert open_findings(here) == ()


def test_a_body_that_is_no_plan_at_all_is_damaged_and_no_exception(here: Context) -> None:
    with transaction(here.sessions) as session:
        session.execute(update(PlanRow).values(body={"request_id": REQUEST}))
    (told,) = damaged_plans(here, True)
    assert told.fact == "damaged"
    with transaction(here.sessions) as session:
        row = session.query(PlanRow).filter_by(request_id=REQUEST).one()
    assert not is_intact(row.body, row.digest)


def test_plans_are_looked_at_in_turns(here: Context) -> None:
    with transaction(here.sessions) as session:
        body = session.query(PlanRow).filter_by(request_id=REQUEST).one().body
        for number in range(300):
            one = {"request_id": f"TEST2026-{number:03d}", "digest": f"sha256:{number}", "planned_by": "bulk"}
            common = {"state": "approved", "recorded_status": "draft", "campaign": "c", "requester": "bulk"}
            session.add(RequestRow(request_id=one["request_id"], **common))
            session.flush()
            session.add(PlanRow(**one, revision=1, body=body, approved_by="bulk"))
        session.flush()
        session.execute(update(PlanRow).values(approved_at=text("now()")))
    found = [len(list(damaged_plans(here, True))) for _ in range(3)]
    assert sum(found[:2]) == 300, "all within two passes"
    assert found[2] == found[0], "and from the beginning"


def test_a_publication_of_a_plan_that_nobody_approved_is_told(here: Context) -> None:
    assert list(damaged_publications(here, True)) == []
    with transaction(here.sessions) as session:
        session.execute(update(PublicationRow).values(digest="sha256:0000"))
    (told,) = compare_catalogues(here, repair=True)
    assert "is of the plan sha256:0000, which nobody approved" in told.what
    assert told.look == "damaged_publications"


# --- one mistake hides nothing ----------------------------------------------------------------------------------------
def test_a_mistake_of_ours_in_one_request_is_a_finding_and_the_others_are_looked_at(here: Context) -> None:
    def broken() -> Iterator[Finding]:
        yield Finding(REQUEST, "first", "", False)
        raise KeyError("status")

    found = [*check_request(REQUEST, broken()), *check_request("other", iter([Finding("other", "second", "", False)]))]
    assert [one.what for one in found] == ["first", "it could not be compared", "second"]
    assert (found[1].cause, found[1].severity) == ("KeyError: 'status'", Severity.ERROR)


def test_a_comparison_that_broke_closes_nothing_it_did_not_see(here: Context) -> None:
    first = Finding(REQUEST, "a run is gone", "", False, fact="gone")
    kept(here, first)

    def comparison(_ctx: Context, _repair: bool) -> Iterator[Finding]:
        raise RuntimeError("no more")
        yield first

    keep_findings(here, [run_check(comparison, here, True)], closing=True)
    assert [one.what for one in open_findings(here)] == ["a run is gone", "comparison could not be compared"]
    kept(here)
    assert open_findings(here) == ()


# --- rows -------------------------------------------------------------------------------------------------------------
def test_the_same_again_is_the_same_finding_and_another_fact_another_one(here: Context) -> None:
    stuck, gone = (Finding(REQUEST, f"it is {one}", "", False, subject="r1", fact=one) for one in ("STUCK", "GONE"))
    (first,), (again,), (other,) = kept(here, stuck), kept(here, stuck), kept(here, gone)
    assert first.finding_id == again.finding_id != other.finding_id
    assert first.first_seen == again.first_seen
    assert [one.what for one in open_findings(here)] == ["it is GONE"]


def test_what_was_decided_and_went_away_is_told_when_it_comes_again(here: Context) -> None:
    stuck = Finding(REQUEST, "it is STUCK", "", False, subject="r1", fact="STUCK")
    (first,) = kept(here, stuck)
    decide(here, first.finding_id, "known")
    assert kept(here, stuck) == []
    kept(here)
    (again,) = kept(here, stuck)
    assert again.finding_id != first.finding_id


def test_a_decision_leaves_an_audit_line_and_can_be_tried(here: Context) -> None:
    (told,) = kept(here, Finding(REQUEST, "it is STUCK", "", False))
    assert run_dry(here, lambda hands: decide(hands, told.finding_id, "known")).answer.decided_by == "manager"
    assert open_findings(here) == (told,)
    decide(here, told.finding_id, "known")
    with transaction(here.sessions) as session:
        line = session.query(AuditRow).filter_by(action="decide finding").one()
    assert (line.who, line.request_id) == ("manager", REQUEST)
    assert line.detail == {"finding": told.finding_id, "what": "it is STUCK", "reason": "known"}
    with pytest.raises(NotFound, match="no finding 4711"):
        decide(here, 4711, "known")


def test_the_reason_of_a_decision_is_cleaned_like_every_other(here: Context) -> None:
    (told,) = kept(here, Finding(REQUEST, "it is STUCK", "", False))
    with pytest.raises(SpecInvalid, match="control character"):
        decide(here, told.finding_id, "known\x1b[2J")
    assert decide(here, told.finding_id, "  known\u200b ").reason == "known"
    assert decide(here, told.finding_id, "known").reason == "known"  # the same word again


def test_a_look_without_repair_stores_what_nobody_can_mend_and_nothing_else(here: Context) -> None:
    with transaction(here.sessions) as session:
        session.execute(update(PublicationRow).values(digest="sha256:0000"))
    (told,) = compare_catalogues(here, repair=False)
    with transaction(here.sessions) as session:
        assert session.query(FindingRow).count() == 1
    assert told.finding_id


# --- the command line -------------------------------------------------------------------------------------------------
@pytest.fixture
def shell(here: Context, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name, value in {"DATABASE_URL": ledger_url, "USER": "manager", "ROLES": "manager"}.items():
        monkeypatch.setenv(f"PRODSYS_{name}", value)
    return CliRunner()


def test_open_findings_are_listed_and_decided_on_the_command_line(here: Context, shell: CliRunner) -> None:
    (told,) = kept(here, Finding(REQUEST, "rule r1 expires", "changed in Rucio", False, subject="r1"))
    listed = shell.invoke(app, ["finding", "list", "--json"])
    assert listed.exit_code == 1, listed.output
    (shown,) = json.loads(listed.output)
    assert (shown["finding_id"], shown["what"], shown["decided_by"]) == (told.finding_id, "rule r1 expires", "")
    assert shell.invoke(app, ["finding", "decide", str(told.finding_id)]).exit_code == 2, "a reason is needed"
    decided = shell.invoke(app, ["finding", "decide", str(told.finding_id), "--reason", "obsolete"])
    assert f"finding {told.finding_id} is decided by manager: obsolete (rule r1 expires)" in decided.output
    after = shell.invoke(app, ["finding", "list"])
    assert (after.exit_code, after.output) == (0, "0 disagreements, 0 open\n")
