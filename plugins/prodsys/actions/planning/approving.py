"""Ask on Airflow's page whether a plan is approved, and take the answer (docs/decisions/approval.md).

A run of the DAG ``approve_plan`` is one question about one plan. The ledger alone says which plans wait; a run asks.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.acting_user import acting_at_airflow
from prodsys.actions.core.context import Context
from prodsys.actions.planning.approval_needs import approval_needs, stored_estimate
from prodsys.actions.planning.planning import approve
from prodsys.actions.requests.seed_claims import lock_with_seeds
from prodsys.actions.requests.seed_release import release_unused
from prodsys.errors import (
    AirflowRefused,
    InvalidTransition,
    PlanChanged,
    ProductionError,
    RequestUnknown,
    ServiceUnavailable,
    SpecInvalid,
)
from prodsys.ledger.journal import write_audit
from prodsys.ledger.plans import changes_of, forget_first_approval
from prodsys.ledger.requests import find_plan, get_request, get_spec, move, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow, RequestRow
from prodsys.model import seeds as seed_ranges
from prodsys.model.approval import (
    DAG_ID,
    SAID_LENGTH,
    Choice,
    Subject,
    describe_question,
    digest_of_words,
    fault_of_answer,
    short,
)
from prodsys.model.plan import Plan, build_plan
from prodsys.model.statuses import RequestState
from prodsys.model.text import clean_reason, same_person
from prodsys.model.transitions import Action, Permission, find_move
from prodsys.orchestrator.entries import RunInfo

OPEN_RUNS = ("queued", "running")


@dataclass(frozen=True)
class PlanQuestion:
    """The question about the newest plan of a request as it stands now."""

    subject: Subject
    body: str = ""
    first: str = ""  # who approved it already, of two
    closed: str = ""  # why there is nothing to be asked; "" while it waits for an answer


@dataclass(frozen=True)
class Taken:
    """What an answer did."""

    words: str
    ask_again: bool = False
    refused: bool = False  # nothing was done; the words say why


@dataclass(frozen=True)
class Rejection:
    """A request whose plan was rejected."""

    request_id: str
    state: str
    reason: str


# --- which plans wait ------------------------------------------------------------------------------------------------
def plan_question(ctx: Context, request_id: str, digest: str = "") -> PlanQuestion:
    """The question about a plan, about the newest without a digest; closed when it does not wait for approval.

    Raises
    ------
    RequestUnknown
        The ledger has no such request.
    """
    with transaction(ctx.sessions) as session:
        return _question(session, ctx, get_request(session, request_id), digest)


def waiting_questions(ctx: Context) -> tuple[PlanQuestion, ...]:
    """Questions about all plans that wait for an approval, by request."""
    with transaction(ctx.sessions) as session:
        wanted = select(RequestRow).where(RequestRow.state.in_(_approvable())).order_by(RequestRow.request_id)
        found = [_question(session, ctx, row) for row in session.scalars(wanted)]
    return tuple(one for one in found if not one.closed)


def _approvable() -> list[str]:
    return [str(state) for state in RequestState if find_move(state, Action.APPROVE)]


def _question(session: Session, ctx: Context, row: RequestRow, digest: str = "") -> PlanQuestion:
    stored = find_plan(session, row.request_id)
    wanted = digest or (stored.digest if stored else "")
    if stored is None or find_move(RequestState(row.state), Action.APPROVE) is None:
        return PlanQuestion(Subject(row.request_id, wanted, ""), closed=_in_words(row, stored))
    shown = Plan.model_validate(stored.body)
    if closed := _why_stale(session, ctx, shown, stored.digest, wanted):
        return PlanQuestion(Subject(row.request_id, wanted, ""), closed=closed)
    first = stored.approved_by or ""
    estimate = stored_estimate(stored)
    body = describe_question(
        shown,
        stored.digest,
        estimate,
        changes_of(session, stored),
        [str(one) for one in stored.warnings or ()],
        first,
        approval_needs(session, ctx, row, shown, estimate, first),
    )
    return PlanQuestion(Subject(row.request_id, wanted, digest_of_words(body)), body, first)


def _in_words(row: RequestRow, stored: PlanRow | None) -> str:
    """What became of a plan that does not wait."""
    by = " and ".join(filter(None, (stored.approved_by, stored.seconded_by))) if stored else ""
    approved = f"; {by} approved its plan" if stored and stored.approved_at else ""
    return f"{row.request_id} is {row.state}{approved}" + (f": {row.reason}" if row.reason else "")


def _why_stale(session: Session, ctx: Context, shown: Plan, newest: str, digest: str) -> str:
    """Why this plan cannot be approved though one waits; "" when it can."""
    name = shown.request_id
    if newest != digest:
        return f"{name} was planned again: plan {newest} waits now"
    try:
        current = build_plan(get_spec(session, name), shown.revision, ctx.catalogue, shown.reading).digest()
    except SpecInvalid as error:
        return f"{name} cannot be planned any more: {error}"
    return "" if current == digest else f"the specs of {name} have changed since: plan it again"


# --- asking ----------------------------------------------------------------------------------------------------------
def ask_about_plans(ctx: Context) -> list[str]:
    """See that there is one question about every plan that waits, and none about others; what was done, in words."""
    if not ctx.airflow.dag_ready(DAG_ID):
        return [f"Airflow does not show the DAG {DAG_ID} yet"]
    waiting = waiting_questions(ctx)
    runs = [(run, Subject.of_conf(run.conf)) for run in ctx.airflow.list_runs(DAG_ID, OPEN_RUNS)]
    done = [_end(ctx, run, asked) for run, asked in runs if not any(asked.is_about(one.subject) for one in waiting)]
    for one in waiting:
        if not any(asked.is_about(one.subject) for _, asked in runs):
            done.append(f"{one.subject.line} is asked by run {ask(ctx, one.subject)}")
    return [words for words in done if words]


def ask(ctx: Context, subject: Subject, said: str = "", asking: str = "") -> str:
    """Id of the run that asks; an open one stays as it is, but for ``asking``, whose question has been answered."""
    conf = {**subject.conf, "said": said[:SAID_LENGTH]}
    for number in itertools.count(1):
        run_id = subject.run_id(number)
        if run_id != asking:
            run = ctx.airflow.start_run(DAG_ID, run_id, conf, note=said or f"asks whether {subject.line} is approved")
            if not run.is_terminal:
                break
    return run_id


def _end(ctx: Context, run: RunInfo, asked: Subject) -> str:
    """End a question that is none any more; "" when it is one all the same, or has ended by itself."""
    try:
        now = plan_question(ctx, asked.request_id, asked.digest)
    except RequestUnknown:
        return ""  # started by hand: its run says so itself
    if not now.closed and asked.is_about(now.subject):
        return ""
    why = now.closed or f"{now.subject.line} is asked anew: what is shown with it has changed"
    try:
        ctx.airflow.set_run_note(run.dag_id, run.dag_run_id, why)
        ctx.airflow.set_run_state(run.dag_id, run.dag_run_id, "success")
    except AirflowRefused as refused:
        return f"run {run.dag_run_id} could not be ended: {refused}"
    return f"run {run.dag_run_id} has ended: {why}"


# --- answers ---------------------------------------------------------------------------------------------------------
def take_answer(
    ctx: Context, request_id: str, digest: str, person: str, choice: str, params: Mapping[str, Any]
) -> Taken:
    """What an answer on Airflow's page did; ``ask_again`` when the plan still waits."""
    question = plan_question(ctx, request_id, digest)
    if question.closed:
        return Taken(question.closed)
    if fault := fault_of_answer(choice, params, digest) or _fault_of_person(ctx, question, person):
        return Taken(f"the answer of {person} was not taken: {fault}", ask_again=True, refused=True)
    comment = clean_reason(str(params.get("comment") or ""), "comment")
    try:
        acting = acting_at_airflow(ctx, person)
        if choice == Choice.REJECT:
            return Taken(f"{request_id} is {reject(acting, request_id, comment, digest).state}: {comment}")
        return _approve(acting, request_id, digest, comment)
    except (InvalidTransition, PlanChanged) as late:  # somebody was faster
        return Taken(str(late))
    except ServiceUnavailable:
        raise
    except ProductionError as no:  # a right, a trial, seeds: the plan waits on
        return Taken(f"the answer of {person} was not taken: {no}", ask_again=True, refused=True)


def _fault_of_person(ctx: Context, question: PlanQuestion, person: str) -> str:
    if same_person(person, ctx.airflow.user):
        return "a service account approves nothing"
    if same_person(person, question.first):
        return "the same person has approved it before, a second one must"
    return ""


def _approve(ctx: Context, request_id: str, digest: str, comment: str) -> Taken:
    answer = approve(ctx, request_id, digest)
    if comment:
        with transaction(ctx.sessions) as session:
            write_audit(session, ctx.who, "comment", request_id, digest=digest, comment=comment)
    if answer.waits_for:
        return Taken(f"{request_id} is {answer.waits_for}", ask_again=True)
    return Taken(f"{request_id} is {answer.state}: plan {short(digest)}, approved by {ctx.who}")


def reject(ctx: Context, request_id: str, reason: str, digest: str | None = None) -> Rejection:
    """Say no to the plan that was shown: the request has to be planned again before it can be approved.

    Its seeds come free; whoever plans it again takes those that nobody else has taken meanwhile.

    Raises
    ------
    SpecInvalid
        No reason is given.
    PlanChanged
        ``digest`` is not that of the newest plan: look again.
    InvalidTransition
        No plan waits for an approval.
    """
    ctx.check_permission("reject a plan", Permission.APPROVE)
    reason = clean_reason(reason)
    if not reason:
        raise SpecInvalid("reason", "a plan is not rejected without a word", "say what has to change")
    with transaction(ctx.sessions) as session:
        row = lock_with_seeds(session, request_id)
        stored = find_plan(session, request_id)
        if stored is None:
            raise refusal(row, Action.REJECT)
        if digest and digest != stored.digest:
            raise PlanChanged(request_id, digest, stored.digest)
        words = f"plan {short(stored.digest)} was rejected by {ctx.who}: {reason}"
        if RequestState(row.state) is not RequestState.CHECKED or row.reason != words:  # else it is said again
            move(row, Action.REJECT, words)
            forget_first_approval(session, request_id)
            free = seed_ranges.show(release_unused(session, row, for_good=False))
            write_audit(
                session, ctx.who, Action.REJECT, request_id, digest=stored.digest, reason=reason, seeds_free=free
            )
        return Rejection(request_id, row.state, row.reason)
