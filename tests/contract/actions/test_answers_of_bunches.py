"""Bunches fail and are answered one by one; an answer reaches the run that is parked on it, whatever was away."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from prodsys.actions.closing.reopening import accept, recover, retry
from prodsys.actions.core.context import Context
from prodsys.actions.core.request_snapshot import expect, show_snapshot
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_audit, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.runs.aborting import abort
from prodsys.actions.runs.launching import launch
from prodsys.actions.runs.pausing import pause
from prodsys.actions.runs.run_ownership import enter, note_failure
from prodsys.actions.settlement.step_questions import (
    Question,
    answer,
    ask,
    find_question,
    open_questions,
    wake_answered,
)
from prodsys.errors import AirflowUnavailable, AnswerRefused, InvalidTransition, RequestChanged
from prodsys.ledger.requests import approved_plan, get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import QuestionRow, RequestRow
from prodsys.model.names import dag_id_of
from prodsys.model.outcome import SeedOutcome, SeedState, StepOutcome
from prodsys.model.policy import Answer
from prodsys.model.statuses import RequestState, Verdict
from tests.contract.actions.airflow_api import Airflow

REQUEST = "DEMO2025-013"
DAG = dag_id_of(REQUEST)
RUN = (DAG, f"{REQUEST}-r1")
OUTCOME = StepOutcome(
    (SeedOutcome(1, SeedState.DELIVERED), SeedOutcome(2, SeedState.MISSING, reason="segmentation violation")),
    Verdict.FAILED,
    2,
)


@dataclass
class Parking(Airflow):
    """An Airflow in which airflow tasks are parked on questions; ``woken`` is what they were answered."""

    parked: list[str] = field(default_factory=list)  # subjects, each of an airflow task of this place
    woken: dict[str, str] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: dict) -> tuple[int, dict]:
        """Status and body of one call."""
        if self.busy or not path.endswith("/hitlDetails"):
            return super().answer(method, path, body)
        if method == "PATCH":
            subject = self.parked[int(path.split("/")[-3].removeprefix("t"))]
            self.woken[subject] = body["chosen_options"][0]
            return 200, {}
        rows = [
            {"subject": one, "task_instance": {"task_id": f"t{place}", "map_index": -1}}
            for place, one in enumerate(self.parked)
            if one not in self.woken
        ]
        return 200, {"hitl_details": rows, "total_entries": len(rows)}


@pytest.fixture
def airflow() -> Parking:
    return Parking()


@pytest.fixture
def running(approved: Context, airflow: Parking) -> Context:
    """Hands, and a request in two bunches that a run drives."""
    clone(approved, "PROD2025-013", REQUEST, CloneOrder(seed_count=4, events_per_file=20, bunches=2, bunches_at_once=2))
    plan(approved, REQUEST)
    airflow.digest = approve(approved, REQUEST).digest
    launch(approved, REQUEST)
    assert enter(approved, REQUEST, 1, *RUN).drive
    return approved


def asked(ctx: Context, bunch: int) -> Question:
    with transaction(ctx.sessions) as session:
        found, step = approved_plan(session, REQUEST), get_step(session, REQUEST, "SIM", bunch)
    return ask(ctx, found, step, OUTCOME, [("segmentation violation", (2,))])


def parked(ctx: Context, airflow: Parking, bunch: int) -> Question:
    question = asked(ctx, bunch)
    airflow.parked.append(question.subject)
    return question


def request(ctx: Context) -> RequestRow:
    with transaction(ctx.sessions) as session:
        return get_request(session, REQUEST)


def answered_by_one_who_died(ctx: Context, question: Question, given: Answer) -> None:
    with transaction(ctx.sessions) as session:
        row = session.get_one(QuestionRow, question.question_id)
        row.answer, row.answered_by, row.answered_at = str(given), "manager", row.asked_at
        row.reason = "wrong geometry"


# --- each bunch its own way -------------------------------------------------------------------------------------------
def test_a_bunch_that_fails_takes_no_other_bunchs_question_with_it(running: Context) -> None:
    first, second = asked(running, 1), asked(running, 2)
    answer(running, first.question_id, Answer.FAIL)
    note_failure(running, REQUEST, *RUN, "b001.sim.settle: SIM failed", 1)
    assert open_questions(running, REQUEST) == (second,)
    assert answer(running, second.question_id, Answer.ACCEPT, "enough").answer is Answer.ACCEPT


def test_a_bunch_that_fails_closes_its_own_question(running: Context) -> None:
    first, second = asked(running, 1), asked(running, 2)
    note_failure(running, REQUEST, *RUN, "b001.sim.data: lost", 1)
    assert open_questions(running, REQUEST) == (second,)
    assert "b001.sim.data: lost" in find_question(running, first.question_id).reason


def test_a_request_runs_as_long_as_its_run_and_fails_with_the_words_of_every_bunch(running: Context) -> None:
    for bunch in (1, 2, 1):
        note_failure(running, REQUEST, *RUN, f"bunch {bunch} is broken", bunch)
        assert enter(running, REQUEST, 1, *RUN).drive, "another lane works"
        assert request(running).state == RequestState.RUNNING
    assert request(running).reason == "bunch 1 is broken; bunch 2 is broken"
    with pytest.raises(InvalidTransition):
        retry(running, REQUEST)
    note_failure(running, REQUEST, *RUN, "its run is failed")
    assert request(running).state == RequestState.FAILED
    assert request(running).reason == "bunch 1 is broken; bunch 2 is broken; its run is failed"
    assert [line["action"] for line in show_audit(running, REQUEST)].count("fail") == 4


def test_a_lane_of_an_earlier_run_does_not_take_the_wheel_from_the_run_that_a_person_started(running: Context) -> None:
    note_failure(running, REQUEST, *RUN, "its run is failed")
    again = retry(running, REQUEST).launch.dag_run_id
    stale = enter(running, REQUEST, 1, *RUN)
    assert (stale.drive, stale.message) == (False, f"{REQUEST} was started again: run {again} drives it")
    assert request(running).state == RequestState.READY
    assert enter(running, REQUEST, 1, DAG, again).drive


def test_a_word_about_a_whole_request_answers_no_question_out_of_several(running: Context) -> None:
    numbers = [asked(running, bunch).question_id for bunch in (1, 2)]
    for act in (lambda: accept(running, REQUEST, "enough"), lambda: recover(running, REQUEST)):
        with pytest.raises(AnswerRefused, match=rf"waits for 2 answers \({numbers[0]}, {numbers[1]}\).*answer N"):
            act()
    assert len(open_questions(running, REQUEST)) == 2


def test_an_answer_said_again_answers_no_other_question(running: Context) -> None:
    first = asked(running, 1)
    accept(running, REQUEST, "enough")
    second = asked(running, 2)
    again = accept(running, REQUEST, "enough").message
    assert again.startswith(f"question {first.question_id}: manager said accept")
    assert again.endswith(f"not answered: {second.question_id} (prodsys request answer N)")
    assert open_questions(running, REQUEST) == (second,)


def test_an_answer_that_was_heard_does_not_stand_for_the_next_question(running: Context) -> None:
    asked(running, 1)
    accept(running, REQUEST, "enough")
    with transaction(running.sessions) as session:
        get_step(session, REQUEST, "SIM", 1).data_ready_at = datetime.now(UTC)
    second = asked(running, 2)
    assert f"question {second.question_id}:" in accept(running, REQUEST, "enough").message
    assert open_questions(running, REQUEST) == ()


# --- who waits is woken -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("given", [Answer.ACCEPT, Answer.RECOVER])
def test_an_answer_that_airflow_did_not_hear_is_told_by_the_next_one(running, airflow: Parking, given: Answer) -> None:
    question = parked(running, airflow, 1)
    act = {Answer.ACCEPT: lambda: accept(running, REQUEST, "enough"), Answer.RECOVER: lambda: recover(running, REQUEST)}
    airflow.busy = 1
    with pytest.raises(AirflowUnavailable):
        act[given]()
    assert airflow.woken == {}
    assert act[given]().state == RequestState.RUNNING
    assert airflow.woken == {question.subject: given}


def test_an_answer_that_airflow_did_not_hear_is_told_by_the_reconciler(running: Context, airflow: Parking) -> None:
    question = parked(running, airflow, 1)
    airflow.busy = 1
    with pytest.raises(AirflowUnavailable):
        answer(running, question.question_id, Answer.RECOVER)
    words = f"run woken, {question.subject}: manager said recover again"
    assert wake_answered(running) == [(REQUEST, words)]
    assert wake_answered(running) == []
    assert airflow.woken == {question.subject: Answer.RECOVER}


def test_an_answer_to_a_paused_request_wakes_its_run_too(running: Context, airflow: Parking) -> None:
    question = parked(running, airflow, 1)
    pause(running, REQUEST)
    assert accept(running, REQUEST, "enough").state == RequestState.PAUSED
    assert airflow.woken == {question.subject: Answer.ACCEPT}


def test_an_abort_wakes_the_run_wherever_it_is_parked(running: Context, airflow: Parking) -> None:
    first, second = parked(running, airflow, 1), parked(running, airflow, 2)
    answer(running, first.question_id, Answer.ABORT, "wrong geometry")
    assert airflow.woken == {first.subject: Answer.ABORT, second.subject: Answer.FAIL}


def test_an_abort_whose_giver_died_is_carried_out_by_the_reconciler(running: Context, airflow: Parking) -> None:
    question = parked(running, airflow, 1)
    answered_by_one_who_died(running, question, Answer.ABORT)
    told = wake_answered(running)
    assert told[0] == (REQUEST, "aborted: manager said abort: wrong geometry")
    assert request(running).state == RequestState.ABORTED
    assert airflow.woken == {question.subject: Answer.ABORT}
    line = next(one for one in show_audit(running, REQUEST) if one["action"] == "abort")
    assert line["who"] == "manager"


def test_an_abort_whose_giver_died_is_carried_out_by_whoever_would_ask_again(running: Context) -> None:
    answered_by_one_who_died(running, asked(running, 1), Answer.ABORT)
    assert asked(running, 2).answer is Answer.ABORT
    assert show_request(running, REQUEST)["state"] == RequestState.ABORTED


def test_nobody_is_asked_about_a_request_that_was_aborted_meanwhile(running: Context) -> None:
    abort(running, REQUEST, "wrong geometry")
    with pytest.raises(InvalidTransition, match="asking a person is not possible"):
        asked(running, 1)
    assert open_questions(running, REQUEST) == ()


def test_an_answer_is_taken_on_the_picture_that_was_seen_and_no_other(running: Context) -> None:
    question = asked(running, 1)
    seen = expect(running, REQUEST, (show_snapshot(running, REQUEST).tag,))
    asked(running, 2)
    with pytest.raises(RequestChanged):
        answer(seen, question.question_id, Answer.ACCEPT, "enough")
    now = expect(replace(running, who="deputy"), REQUEST, (show_snapshot(running, REQUEST).tag,))
    assert answer(now, question.question_id, Answer.ACCEPT, "enough").answered_by == "deputy"
