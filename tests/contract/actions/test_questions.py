"""Questions about a step: asked once, answered once, by who may, from whatever side; and what an answer leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from prodsys.actions.closing.reopening import accept, recover, retry
from prodsys.actions.core.context import Context
from prodsys.actions.queries.showing import show_audit, show_request
from prodsys.actions.runs.launching import launch
from prodsys.actions.runs.run_ownership import enter, note_failure
from prodsys.actions.settlement.step_questions import Question, answer, ask, expire, find_question, open_questions
from prodsys.errors import AnswerRefused, InvalidTransition, NotAllowed, NothingMissing, SpecInvalid
from prodsys.ledger.requests import approved_plan, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import QuestionRow, StepRow
from prodsys.model.names import dag_id_of
from prodsys.model.outcome import SeedOutcome, SeedState, StepOutcome
from prodsys.model.policy import Answer
from prodsys.model.statuses import RequestState, Verdict

REQUEST = "DEMO2025-016"
RUN = (dag_id_of(REQUEST), f"{REQUEST}-r1")


@pytest.fixture
def running(approved: Context) -> Context:
    """Hands, and a request that a run drives."""
    launch(approved, REQUEST)
    assert enter(approved, REQUEST, 1, *RUN).drive
    return approved


def outcome(*, delivered: bool = True, own: bool = True) -> StepOutcome:
    good = SeedOutcome(1, SeedState.DELIVERED if delivered else SeedState.MISSING, reason="" if delivered else "x")
    lost = SeedOutcome(2, SeedState.MISSING, reason="`code` 1305\nsecond line", lost_in="" if own else "SIM")
    return StepOutcome((good, lost), Verdict.FAILED, 2)


def asked(ctx: Context, **came: bool) -> Question:
    with transaction(ctx.sessions) as session:
        plan, step = approved_plan(session, REQUEST), get_step(session, REQUEST, "SIM")
    found = outcome(**came)
    return ask(ctx, plan, step, found, [("`code` 1305\nsecond line", (2,))])


def step(ctx: Context) -> StepRow:
    with transaction(ctx.sessions) as session:
        return get_step(session, REQUEST, "SIM")


def overdue(ctx: Context, question: Question) -> None:
    with transaction(ctx.sessions) as session:
        session.get_one(QuestionRow, question.question_id).due_at = datetime.now(UTC) - timedelta(seconds=1)


def test_a_step_has_one_open_question_however_often_it_is_asked(running: Context) -> None:
    first = asked(running)
    assert asked(running) == first
    assert open_questions(running) == open_questions(running, REQUEST) == (first,)
    assert open_questions(running, "DEMO2025-999") == ()


def test_text_from_outside_stays_in_its_code_span(running: Context) -> None:
    assert "- 1 x `'code' 1305 second line`: seeds 2" in asked(running).body


def test_nothing_is_accepted_of_nothing_and_nothing_recovered_that_another_step_lost(running: Context) -> None:
    assert asked(running, delivered=False).options == (Answer.RECOVER, Answer.ABORT, Answer.FAIL)


def test_what_another_step_lost_is_not_run_again_here(running: Context) -> None:
    assert asked(running, own=False).options == (Answer.ACCEPT, Answer.ABORT, Answer.FAIL)


def test_an_accepted_loss_needs_a_reason_which_the_step_keeps(running: Context) -> None:
    question = asked(running)
    with pytest.raises(AnswerRefused, match="needs a reason"):
        answer(running, question.question_id, Answer.ACCEPT, "  ")
    taken = answer(running, question.question_id, Answer.ACCEPT, "enough for the plot")
    assert taken.said == "manager said accept: enough for the plot"
    assert (step(running).waived, step(running).granted) == ("manager: enough for the plot", 0)
    assert open_questions(running) == ()


def test_an_answer_s_reason_holds_no_control_characters_and_no_forged_line(running: Context) -> None:
    question = asked(running)
    with pytest.raises(SpecInvalid, match=r"control character U\+001B escape"):
        answer(running, question.question_id, Answer.ACCEPT, "esc \x1b[31m red")
    taken = answer(running, question.question_id, Answer.ACCEPT, "enough\n[2026-11-28] ERROR forged\u202e")
    assert taken.reason == "enough [2026-11-28] ERROR forged"


def test_the_same_answer_again_changes_nothing_and_another_one_is_refused(running: Context) -> None:
    question = asked(running)
    first = answer(running, question.question_id, Answer.RECOVER)
    assert answer(running, question.question_id, Answer.RECOVER) == first
    assert step(running).granted == 1
    with pytest.raises(AnswerRefused, match="manager answered 'recover again'"):
        answer(running, question.question_id, Answer.FAIL)
    assert [line["action"] for line in show_audit(running, REQUEST)].count("answer") == 1


def test_who_may_not_accept_may_not_answer(running: Context) -> None:
    question = asked(running)
    viewer = replace(running, who="eve", roles=frozenset({"viewer"}))
    for act in (
        lambda: answer(viewer, question.question_id, Answer.ABORT),
        lambda: accept(viewer, REQUEST, "because"),
        lambda: recover(viewer, REQUEST),
        lambda: retry(viewer, REQUEST),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert open_questions(running) == (question,)


def test_an_answer_that_is_not_possible_is_refused_with_those_that_are(running: Context) -> None:
    question = asked(running, delivered=False)
    with pytest.raises(AnswerRefused, match="possible: recover again, abort, stop as failed"):
        answer(running, question.question_id, Answer.ACCEPT, "why not")
    with pytest.raises(AnswerRefused, match="no such question"):
        answer(running, 4711, Answer.ABORT)


def test_past_its_time_the_default_is_the_answer_and_nobody_gave_it(running: Context) -> None:
    question = asked(running)
    overdue(running, question)
    late = asked(running)
    assert (late.question_id, late.answer, late.answered_by) == (question.question_id, Answer.FAIL, "nobody")


def test_a_person_who_answers_in_the_last_moment_is_heard(running: Context) -> None:
    question = asked(running)
    overdue(running, question)
    given = answer(running, question.question_id, Answer.RECOVER)
    assert expire(running, question.question_id) == given
    with pytest.raises(AnswerRefused, match="no such question"):
        expire(running, 4711)


def test_an_abort_is_an_answer(running: Context) -> None:
    question = asked(running)
    answer(running, question.question_id, Answer.ABORT, "wrong geometry")
    assert show_request(running, REQUEST)["state"] == RequestState.ABORTED


def test_recover_and_accept_are_answers_while_somebody_waits_for_one(running: Context) -> None:
    question = asked(running)
    said = recover(running, REQUEST, "once more")
    assert (said.launch, said.state) == (None, RequestState.RUNNING)
    assert find_question(running, question.question_id).answer is Answer.RECOVER


def test_a_run_that_has_ended_leaves_no_question_behind(running: Context) -> None:
    question = asked(running)
    note_failure(running, REQUEST, *RUN, "PanDA was gone for a day")
    assert open_questions(running) == ()
    closed = find_question(running, question.question_id)
    assert (closed.answer, closed.answered_by) == (Answer.FAIL, "prodsys")
    assert "PanDA was gone for a day" in closed.reason


def test_a_failed_request_is_started_again_under_another_run_once(running: Context, airflow) -> None:
    note_failure(running, REQUEST, *RUN, "something")
    assert retry(running, REQUEST).launch.dag_run_id == f"{REQUEST}-r1.2"
    assert retry(running, REQUEST).message == "it is on its way already"
    assert airflow.started == [f"{REQUEST}-r1", f"{REQUEST}-r1.2"]
    assert enter(running, REQUEST, 1, RUN[0], f"{REQUEST}-r1.2").drive


def test_what_runs_or_lacks_nothing_is_not_opened_again(running: Context) -> None:
    for act in (lambda: retry(running, REQUEST), lambda: recover(running, REQUEST)):
        with pytest.raises(InvalidTransition):
            act()
    with pytest.raises(InvalidTransition):
        accept(running, REQUEST, "why not")
    with pytest.raises(SpecInvalid, match="needs one"):
        accept(running, REQUEST, "")
    note_failure(running, REQUEST, *RUN, "something")
    with pytest.raises(NothingMissing):
        recover(running, REQUEST)
