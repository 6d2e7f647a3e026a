"""Operators about plans that wait for an approval: see that people are asked, and ask one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from prodsys.hooks.failing import final_errors_fail
from prodsys.hooks.outages import WaitsForServices, outages_waited
from prodsys.hooks.run_notes import note_run
from prodsys.model.approval import COMMENT_LENGTH, Choice, code
from prodsys.operators.base import WHO, ServiceOperator
from prodsys.operators.parking import Asked, earlier_answer, park, read_answer, words_param

if TYPE_CHECKING:
    from typing import NoReturn

    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context
    from prodsys.actions.planning.approving import PlanQuestion


class AskOperator(ServiceOperator):
    """Starts a run of ``approve_plan`` for every plan that waits, and ends those whose plan does not wait any more."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Ask; the log says what."""
        from prodsys.actions.planning.approving import ask_about_plans

        for words in ask_about_plans(ctx):
            self.log.info("%s", words)


class ApproveOperator(WaitsForServices, ServiceOperator):
    """Asks on Airflow's page whether a plan is approved. Its run is one question: another one is another run."""

    template_fields = ("request_id", "digest", "said")
    ui_color = "#f3e6c8"

    def __init__(self, *, request_id: str, digest: str = "", said: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request_id, self.digest, self.said = request_id, digest, said

    def execute(self, context: AirflowContext) -> str:
        """Why there is nothing to ask, else it parks."""
        from prodsys.hooks.context import build_context

        with final_errors_fail():
            ctx = build_context(who=WHO)
            with outages_waited(self, ctx, context):
                return self.act(ctx, context)

    def act(self, ctx: Context, context: AirflowContext) -> str:
        """Look whether there is something to ask, and ask it."""
        from prodsys.actions.planning.approving import plan_question

        question = plan_question(ctx, self.request_id, self.digest)
        if not question.closed:
            given = earlier_answer(ctx, context, question.subject.line, resumed=self.outage is not None)
            if given is not None:
                return self._take(ctx, context, given, question.subject.digest)
            self._park(context, question)
        note_run(ctx, context, question.closed)
        return question.closed

    def _park(self, context: AirflowContext, question: PlanQuestion) -> NoReturn:
        said = f"**Asked again**\n\n- {code(self.said)}\n\n" if self.said else ""
        binds = "Approval binds to the plan with this digest: leave it as it is."
        digest = Param(question.subject.digest, type="string", title="Digest", description=binds)
        needed = "Stands in the audit log. Whoever rejects has to say why."
        asked = Asked(
            subject=question.subject.line,
            body=said + question.body,
            options=tuple(str(one) for one in Choice),
            params={"digest": digest, "comment": words_param("Comment", needed, COMMENT_LENGTH)},
        )
        park(context, asked, self.answered.__name__, digest=question.subject.digest)

    def answered(self, context: AirflowContext, event: Any, digest: str) -> str:
        """What the answer did; when the plan still waits, another run asks, with the reason."""
        from prodsys.hooks.context import build_context

        with final_errors_fail():
            ctx = build_context(who=WHO)
            with outages_waited(self, ctx, context):
                return self._take(ctx, context, event, digest)

    def _take(self, ctx: Context, context: AirflowContext, event: Any, digest: str) -> str:
        from prodsys.actions.planning.approving import ask, plan_question, take_answer

        answer = read_answer(event)
        if answer is None:
            return self.act(ctx, context)
        taken = take_answer(ctx, self.request_id, digest, answer.person, answer.choice, answer.params)
        self.log.info("%s", taken.words)
        note_run(ctx, context, taken.words)
        now = plan_question(ctx, self.request_id, digest)
        if taken.ask_again and not now.closed:
            said = taken.words if taken.refused else ""
            self.log.info("run %s asks again", ask(ctx, now.subject, said, context["dag_run"].run_id))
        return taken.words
