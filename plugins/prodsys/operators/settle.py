"""Conclude about a step: go on, run again what is missing, or ask a person (DESIGN decision 7)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prodsys.errors import AirflowRefused, AnswerRefused, NotAllowed, StepFailed
from prodsys.hooks.failing import TryAgain, final_errors_fail, record_failures
from prodsys.hooks.outages import outages_waited
from prodsys.hooks.panda import PandaHook
from prodsys.hooks.run_notes import note_run
from prodsys.model.policy import Answer
from prodsys.model.statuses import Verdict
from prodsys.operators.base import WHO, StepOperator
from prodsys.operators.parking import Asked, earlier_answer, park, read_answer, words_param
from prodsys.triggers.panda_task import PandaTaskTrigger, check_in_time

if TYPE_CHECKING:
    from typing import NoReturn

    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context
    from prodsys.actions.settlement.settling import SettleAnswer
    from prodsys.actions.settlement.step_questions import Question
    from prodsys.actions.submission.waiting import WaitTarget

REASON_LENGTH = 500


class SettleOperator(StepOperator):
    """Compares what a step brought with the plan, seed by seed; recovers by policy, then asks a person.

    It defers while further tasks work, and parks while a person is asked; the DAG's shape never changes. An
    answer counts when policy.yaml gives the right to accept to a role that the person has at Airflow.
    """

    ui_color = "#e2d4f0"
    kept_in_outage = ("_deadline_ts", "_asked")

    def __init__(self, *, panda_conn_id: str = PandaHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.panda_conn_id = panda_conn_id
        self._deadline_ts: float | None = None
        self._asked = False  # in this try; Airflow keeps the words of a question for as long as a try lasts

    def drive(self, ctx: Context, context: AirflowContext) -> Any:
        """What follows the verdict; an accepted partial stays green and leaves a note on the run."""
        return self.settle(ctx, context)

    def settle(self, ctx: Context, context: AirflowContext) -> Any:
        """Settle, as far as that goes without waiting."""
        from prodsys.actions.settlement.settling import settle_step

        answer = settle_step(ctx, self.request_id, self.step, self.bunch)
        self.log.info("%s of %s: %s", self.step, self.request_id, answer.message)
        if answer.wait is not None:
            self._wait(ctx, answer.wait)
        if answer.question is not None:
            return self._ask(ctx, context, answer.question)
        if answer.verdict is Verdict.PARTIAL:
            note_run(ctx, context, answer.message)
        return self.settled(ctx, context, answer)

    def settled(self, ctx: Context, context: AirflowContext, answer: SettleAnswer) -> Any:  # noqa: ARG002
        """The verdict."""
        return str(answer.verdict)

    # --- waiting for a task ---------------------------------------------------------------------------------------
    def _wait(self, ctx: Context, target: WaitTarget) -> NoReturn:
        times = ctx.catalogue.profile.times
        deadline_ts = self._deadline_ts or time.time() + times.wait_max_s
        trigger = PandaTaskTrigger.to_wait_for(target, times, deadline_ts, self.panda_conn_id)
        kept = {"deadline_ts": deadline_ts, "asked": self._asked}
        self.defer(trigger=trigger, method_name=self.waited.__name__, kwargs=kept)

    def waited(
        self, context: AirflowContext, event: Any, deadline_ts: float | None = None, *, asked: bool = False
    ) -> Any:
        """Go on after a wait; every entry settles anew, whatever the event says (`dag.test` keeps no arguments)."""
        from prodsys.hooks.context import build_context

        self._deadline_ts, self._asked = deadline_ts, asked
        with final_errors_fail(), record_failures(build_context(who=WHO), context, self.request_id, self.task_id):
            check_in_time(event)
        return self.execute(context)

    # --- asking a person ------------------------------------------------------------------------------------------
    def _ask(self, ctx: Context, context: AirflowContext, question: Question) -> Any:
        resumed = self.outage is not None
        given = None if self._asked and not resumed else earlier_answer(ctx, context, question.subject, resumed=resumed)
        if given is not None:
            return self.answered(context, given, question.question_id)
        note_run(ctx, context, f"waits for an answer: {question.subject}")
        return self._park(context, question)

    def _park(self, context: AirflowContext, question: Question) -> NoReturn:
        if self._asked:
            raise TryAgain(f"{question.subject} is asked by the next try: a try shows one question")
        reason = words_param("Reason", "Why, for the certificate; accepting needs one.", REASON_LENGTH)
        asked = Asked(
            subject=question.subject,
            body=question.body,
            options=tuple(str(one) for one in question.options),
            params={"reason": reason},
            default=str(question.default),
            timeout=max(question.due_at - datetime.now(UTC), timedelta()),
        )
        park(context, asked, self.answered.__name__, question_id=question.question_id)

    def answered(self, context: AirflowContext, event: Any, question_id: int) -> Any:
        """Go on after an answer; one that cannot be taken is asked again, on the same page."""
        from prodsys.hooks.context import build_context

        self._asked = True
        ctx = build_context(who=WHO)
        with (
            final_errors_fail(),
            record_failures(ctx, context, self.request_id, self.task_id),
            outages_waited(self, ctx, context),
        ):
            question = self._take(ctx, context, event, question_id)
            if question.answer is None:
                self._asked = False
                self._park(context, question)
            if question.answer in {Answer.FAIL, Answer.ABORT}:
                raise StepFailed(self.request_id, self.step, Verdict.FAILED, question.said)
        return self.execute(context)

    def _take(self, ctx: Context, context: AirflowContext, event: Any, question_id: int) -> Question:
        """The question as it stands after this event."""
        from prodsys.actions.core.acting_user import acting_at_airflow
        from prodsys.actions.settlement.step_questions import answer, expire, find_question, finish_abort

        found = find_question(ctx, question_id)
        if found is None:
            raise AnswerRefused(question_id, "the ledger does not know this question")
        if found.answer is not None:
            finish_abort(ctx, found)
            return found
        given = read_answer(event)
        if given is None:
            return expire(ctx, question_id)
        try:
            words = str(given.params.get("reason") or "")
            person = acting_at_airflow(ctx, given.person)
            return answer(person, question_id, Answer(given.choice), words, wake=False)
        except (AnswerRefused, NotAllowed, AirflowRefused, ValueError) as refusal:
            self.log.warning("the answer of %s cannot be taken: %s", given.person, refusal)
            note_run(ctx, context, f"asked again, the answer of {given.person} cannot be taken: {refusal}")
            return found
