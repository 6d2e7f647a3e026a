"""Plans that wait are asked about on Airflow's page, once each; an answer counts when it is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.planning.approving import (
    ask,
    ask_about_plans,
    plan_question,
    reject,
    take_answer,
    waiting_questions,
)
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.runs.controlling import withdraw
from prodsys.errors import AirflowUnavailable, InvalidTransition, NotAllowed, PlanChanged, SpecInvalid
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow, RequestRow
from prodsys.model.approval import COMMENT_LENGTH, short
from prodsys.model.policy import SecondPerson, TrialRule
from prodsys.orchestrator.client import AirflowClient
from tests.contract.actions.airflow_api import serve
from tests.contract.actions.question_board import Board

SOURCE, REQUEST, OTHER = "PROD2025-016", "DEMO2025-016", "DEMO2025-017"
SMALL = CloneOrder(seed_count=3, events_per_file=20)
SERVICE = "prodsys"


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def hands(ctx: Context, import_demo, board: Board) -> Iterator[Context]:
    """Yield hands of Airflow's own processes, with an Airflow that shows runs."""
    import_demo("requests_sheet.csv")
    with serve(board) as address:
        clients = replace(ctx.clients, airflow=lambda: AirflowClient(address, SERVICE, "p", 5))
        yield replace(ctx, who="airflow", roles=frozenset({"service"}), clients=clients)


@pytest.fixture
def digest(hands: Context) -> str:
    """Digest of a plan that waits."""
    return planned(hands, REQUEST)


def planned(hands: Context, request_id: str) -> str:
    clone(hands, SOURCE, request_id, SMALL)
    return plan(hands, request_id).digest


def strict(hands: Context) -> Context:
    """Hands where two persons must approve."""
    limit = SecondPerson(above_core_hours=1e-9, above_bytes=1)
    policy = hands.catalogue.policy.model_copy(update={"second_person": limit})
    return replace(hands, catalogue=hands.catalogue.model_copy(update={"policy": policy}))


def other_specs(hands: Context) -> Context:
    policy = hands.catalogue.policy.model_copy(update={"sample_files": 9})
    return replace(hands, catalogue=hands.catalogue.model_copy(update={"policy": policy}))


def state(hands: Context, request_id: str = REQUEST) -> str:
    with transaction(hands.sessions) as session:
        return session.get_one(RequestRow, request_id).state


def audit(hands: Context, *actions: str) -> list[tuple[str, str]]:
    with transaction(hands.sessions) as session:
        wanted = select(AuditRow).where(AuditRow.request_id == REQUEST).order_by(AuditRow.audit_id)
        return [(row.who, row.action) for row in session.scalars(wanted) if row.action in actions]


def say(hands: Context, digest: str, choice: str = "Approve", person: str = "manager", **params: object):
    return take_answer(hands, REQUEST, digest, person, choice, {"digest": digest, "comment": "", **params})


# --- asking ----------------------------------------------------------------------------------------------------------
def test_each_plan_that_waits_is_asked_about_once(hands, board, digest):
    other = planned(hands, OTHER)
    ask_about_plans(hands)
    runs = [f"{REQUEST}-{short(digest)}", f"{OTHER}-{short(other)}"]
    assert board.open_runs == runs
    assert board.runs[runs[0]]["conf"]["digest"] == digest
    assert ask_about_plans(hands) == []
    assert board.open_runs == runs


def test_history_and_drafts_are_not_asked_about(hands, board):
    clone(hands, SOURCE, REQUEST, SMALL)
    assert ask_about_plans(hands) == []
    assert board.runs == {}


def test_nothing_is_asked_before_airflow_shows_the_dag(hands, board, digest):
    board.shown = False
    [words] = ask_about_plans(hands)
    assert "does not show the DAG approve_plan" in words
    board.shown, board.busy = True, 1
    with pytest.raises(AirflowUnavailable):
        ask_about_plans(hands)


def test_a_question_answered_elsewhere_ends_with_the_answer_as_its_note(hands, board, digest):
    ask_about_plans(hands)
    approve(hands.acting_as("manager", "manager"), REQUEST, digest)
    [words] = ask_about_plans(hands)
    [run] = board.runs.values()
    assert (run["state"], run["note"]) == ("success", f"{REQUEST} is approved; manager approved its plan")
    assert run["note"] in words
    assert ask_about_plans(hands) == []


def test_a_changed_plan_is_asked_about_and_the_old_one_no_more(hands, board, digest):
    ask_about_plans(hands)
    changed = other_specs(hands)
    assert "have changed since: plan it again" in ask_about_plans(changed)[0]
    assert board.open_runs == []
    new = plan(changed, REQUEST).digest
    ask_about_plans(changed)
    assert board.open_runs == [f"{REQUEST}-{short(new)}"]
    assert "`sample_files`: `3` → `9`" in plan_question(changed, REQUEST).body


def test_a_plan_whose_approval_was_withdrawn_is_asked_about_by_another_run(hands, board, digest):
    ask_about_plans(hands)
    manager = hands.acting_as("manager", "manager")
    approve(manager, REQUEST, digest)
    ask_about_plans(hands)
    withdraw(manager, REQUEST, "second thoughts")
    ask_about_plans(hands)
    assert board.open_runs == [f"{REQUEST}-{short(digest)}.2"]


def test_a_question_is_asked_anew_when_another_person_has_approved_first(hands, board, digest):
    two = strict(hands)
    ask_about_plans(two)
    approve(two.acting_as("deputy", "manager"), REQUEST, digest)
    ask_about_plans(two)
    ended, asked = board.runs.values()
    assert (ended["state"], asked["state"]) == ("success", "running")
    assert "asked anew" in ended["note"]
    assert plan_question(two, REQUEST).body.startswith("**`deputy` has approved it; a second person must, too.**")


def test_a_run_started_by_hand_counts_as_the_question(hands, board, digest):
    conf = {"request_id": REQUEST, "digest": "", "words": ""}
    board.runs["manual__1"] = {
        "dag_id": "approve_plan",
        "dag_run_id": "manual__1",
        "state": "running",
        "conf": conf,
    }
    assert ask_about_plans(hands) == []
    board.runs["manual__1"]["conf"] = conf | {"request_id": "PROD2025-999"}
    ask_about_plans(hands)
    assert board.runs["manual__1"]["state"] == "running", "its own airflow task says that there is none"


def test_asked_again_by_the_run_that_was_answered_it_is_another_run(hands, board, digest):
    ask_about_plans(hands)
    [first] = board.open_runs
    subject = plan_question(hands, REQUEST).subject
    assert ask(hands, subject, "wrong digest", asking=first) == f"{first}.2"
    assert board.runs[f"{first}.2"]["conf"]["said"] == "wrong digest"
    assert ask(hands, subject, "wrong digest", asking=first) == f"{first}.2", "said again it is the same run"
    board.end(first)
    assert ask_about_plans(hands) == []


# --- answers ---------------------------------------------------------------------------------------------------------
def test_an_answer_approves_in_the_name_of_whoever_gave_it(hands, digest):
    taken = say(hands, digest, comment="for the talk in May")
    assert not taken.ask_again
    assert "approved by manager" in taken.words
    assert state(hands) == "approved"
    assert audit(hands, "approve", "comment") == [("manager", "approve"), ("manager", "comment")]
    assert "is approved; manager approved its plan" in say(hands, digest, person="deputy").words


@pytest.mark.parametrize(
    ("choice", "params", "reason"),
    [
        ("Approve", {"digest": "sha256:0"}, "`sha256:0` is not that of the plan"),
        ("Approve", {"digest": None}, "is not that of the plan"),
        ("Approve", {"comment": "x" * (COMMENT_LENGTH + 1)}, "no text of at most 500"),
        ("Approve", {"comment": 7}, "no text of at most 500"),
        ("Reject", {"comment": "  "}, "has to say why"),
        ("Perhaps", {}, "none of Approve, Reject"),
    ],
)
def test_an_answer_with_invalid_parameters_is_asked_again(hands, digest, choice, params, reason):
    taken = take_answer(hands, REQUEST, digest, "manager", choice, {"digest": digest, "comment": ""} | params)
    assert (taken.ask_again, taken.refused) == (True, True)
    assert reason in taken.words
    assert state(hands) == "planned"
    assert audit(hands, "approve", "reject", "comment") == []


def test_a_service_account_approves_nothing(hands, digest):
    assert say(hands, digest, person=SERVICE).refused
    assert state(hands) == "planned"


def test_a_large_plan_needs_two_persons_and_the_first_is_not_the_second(hands, digest):
    two = strict(hands)
    first = say(two, digest)
    assert (first.ask_again, first.refused) == (True, False)
    assert "waits for a second person" in first.words
    again = say(two, digest)
    assert again.refused
    assert "a second one must" in again.words
    assert state(two) == "planned"
    assert not say(two, digest, person="deputy").ask_again
    assert state(two) == "approved"


def test_who_may_not_approve_is_told_so_and_it_is_asked_again(hands, digest):
    rights = hands.catalogue.policy.rights
    policy = hands.catalogue.policy.model_copy(update={"rights": {**rights, "approve": ("administrator",)}})
    taken = say(replace(hands, catalogue=hands.catalogue.model_copy(update={"policy": policy})), digest)
    assert taken.refused
    assert "needs the role administrator" in taken.words


@pytest.mark.parametrize("person", ["operator", "nobody known"])
def test_whom_airflow_lets_answer_has_no_right_by_that(hands, digest, person):
    taken = say(hands, digest, person=person)
    assert taken.refused
    assert f"{person} may not approve" in taken.words
    assert say(hands, digest, "Reject", person=person, comment="no").refused
    assert state(hands) == "planned"


def test_an_administrator_approves_as_one(hands, digest):
    assert not say(hands, digest, person="admin").refused
    assert state(hands) == "approved"


def test_while_airflow_does_not_tell_the_roles_nothing_is_approved(hands, board, digest):
    board.busy = 1
    with pytest.raises(AirflowUnavailable):
        say(hands, digest)
    assert state(hands) == "planned"


def test_an_answer_to_a_plan_that_changed_meanwhile_approves_nothing(hands, digest):
    taken = say(other_specs(hands), digest)
    assert (taken.ask_again, taken.refused) == (False, False)
    assert "plan it again" in taken.words
    plan(other_specs(hands), REQUEST)
    assert "was planned again" in say(other_specs(hands), digest).words
    assert state(hands) == "planned"


# --- reject ----------------------------------------------------------------------------------------------------------
def test_a_rejected_plan_must_be_made_again_and_the_reason_stands_with_the_request(hands, board, digest):
    ask_about_plans(hands)
    taken = say(hands, digest, "Reject", comment="too many seeds")
    assert not taken.ask_again
    assert state(hands) == "checked"
    assert audit(hands, "reject") == [("manager", "reject")]
    assert "rejected by manager: too many seeds" in plan_question(hands, REQUEST).closed
    with pytest.raises(InvalidTransition):
        approve(hands.acting_as("manager", "manager"), REQUEST, digest)
    ask_about_plans(hands)
    assert board.open_runs == []
    assert plan(hands, REQUEST).digest == digest
    ask_about_plans(hands)
    assert board.open_runs == [f"{REQUEST}-{short(digest)}.2"]


def test_rejecting_again_changes_nothing(hands, digest):
    manager = hands.acting_as("manager", "manager")
    first = reject(manager, REQUEST, "too many seeds", digest)
    assert reject(manager, REQUEST, "too many seeds", digest) == first
    assert len(audit(hands, "reject")) == 1


def test_a_rejection_takes_the_first_of_two_approvals_back(hands, digest):
    two = strict(hands)
    say(two, digest)
    say(two, digest, "Reject", person="deputy", comment="wrong field map")
    plan(two, REQUEST)
    assert "waits for a second person" in say(two, digest, person="deputy").words


def test_who_rejects_has_the_right_a_reason_and_the_plan_in_sight(hands, digest):
    manager = hands.acting_as("manager", "manager")
    with pytest.raises(NotAllowed):
        reject(hands.acting_as("physicist", "submitter"), REQUEST, "no")
    with pytest.raises(SpecInvalid, match="without a word"):
        reject(manager, REQUEST, " ")
    with pytest.raises(PlanChanged):
        reject(manager, REQUEST, "no", "sha256:0")
    approve(manager, REQUEST, digest)
    with pytest.raises(InvalidTransition):
        reject(manager, REQUEST, "no", digest)


def test_the_questions_that_wait_are_listed_by_request(hands, digest):
    planned(hands, OTHER)
    assert [one.subject.request_id for one in waiting_questions(hands)] == [REQUEST, OTHER]


# --- one rule for words and names -------------------------------------------------------------------------------------
@pytest.mark.parametrize("choice", ["Reject", "Approve"])
def test_a_comment_with_control_characters_is_not_taken(hands, digest, choice):
    comment = "esc \x1b[31m red \n[2026-11-28] ERROR forged"
    taken = say(hands, digest, choice, comment=comment)
    assert taken.refused
    assert "holds the control character U+001B escape" in taken.words
    assert state(hands) == "planned"


def test_a_comment_is_kept_on_one_line(hands, digest):
    say(hands, digest, "Reject", comment="too small\n[2026-11-28] ERROR forged\u202e")
    with transaction(hands.sessions) as session:
        reason = session.get_one(RequestRow, REQUEST).reason
    assert reason.endswith(": too small [2026-11-28] ERROR forged")


@pytest.mark.parametrize("again", ["manager ", "Manager", "man\u200bager", "\uff4danager"])
def test_a_name_written_otherwise_is_no_second_person(hands, digest, again):
    two = strict(hands)
    approve(two.acting_as("manager", "manager"), REQUEST, digest)
    answer = approve(two.acting_as(again, "manager"), REQUEST, digest)
    assert "waits for a second person" in answer.waits_for
    assert state(hands) == "planned"
    assert approve(two.acting_as("deputy", "manager"), REQUEST, digest).state == "approved"


def test_the_page_says_what_an_approval_needs_before_anybody_presses(hands, digest):
    two = strict(hands)
    body = plan_question(two, REQUEST).body
    assert "**Before it can be approved**" in body
    assert "two persons must approve it" in body
    assert "two persons must approve it" in plan(two, REQUEST).waits_for
    assert "Before it can be approved" not in plan_question(hands, REQUEST).body


def test_the_page_and_the_plan_say_that_a_trial_is_needed(hands, digest):
    rule = TrialRule(above_core_hours=0, seeds=2)
    policy = hands.catalogue.policy.model_copy(update={"trial": (rule,)})
    careful = replace(hands, catalogue=hands.catalogue.model_copy(update={"policy": policy}))
    assert f"prodsys request trial {REQUEST}" in plan_question(careful, REQUEST).body
    assert f"prodsys request trial {REQUEST}" in plan(careful, REQUEST).waits_for
