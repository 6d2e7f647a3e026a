"""Change what runs: priority, finish with what is there, archive what has ended, take an approval back."""

from __future__ import annotations

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import CommandResult, send_command
from prodsys.actions.requests.seed_release import release_unused
from prodsys.errors import InvalidTransition, SpecInvalid
from prodsys.ledger.journal import write_audit
from prodsys.ledger.plans import forget_first_approval
from prodsys.ledger.publications import active_publications, current_version, publish
from prodsys.ledger.requests import approved_plan_row, get_request, list_steps, move, newest_certificate, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow
from prodsys.ledger.tasks import is_open, list_step_tasks
from prodsys.model import seeds as seed_ranges
from prodsys.model.approval import short
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import DELIVERED, RequestState
from prodsys.model.text import clean_reason
from prodsys.model.transitions import Action, Permission, possible_acts

LOWEST_PRIORITY, HIGHEST_PRIORITY = 1, 1000  # PanDA takes any number; above 1000 JEDI's own tasks stand
TERMINAL = DELIVERED | {RequestState.ABORTED, RequestState.DELETED, RequestState.ARCHIVED, RequestState.RECORDED}


def set_priority(ctx: Context, request_id: str, priority: int) -> CommandResult:
    """Give a request and its unfinished PanDA tasks another priority.

    Raises
    ------
    SpecInvalid
        The number is out of range.
    InvalidTransition
        The request is over.
    """
    ctx.check_permission("change the priority", Permission.CONTROL)
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise SpecInvalid("priority", str(priority), f"a number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}")
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) in TERMINAL:
            raise refusal(row, "changing the priority")
        if row.priority != priority:
            write_audit(session, ctx.who, "priority", request_id, before=row.priority, now=priority)
            row.priority = priority
    return send_command(ctx, request_id, lambda jedi_task_id: ctx.panda.change_priority(jedi_task_id, priority))


def finish(ctx: Context, request_id: str, reason: str = "") -> CommandResult:
    """End the running tasks of a request with what they have; settle then judges what came.

    Said again, what PanDA did not take (it was away, or JEDI had not refined the task yet) is told again. Bunches that
    are not begun are not finished: they begin when their turn comes, and may be finished then.

    Raises
    ------
    InvalidTransition
        The request does not run.
    """
    ctx.check_permission("finish", Permission.CONTROL)
    reason = clean_reason(reason)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) not in {RequestState.RUNNING, RequestState.PAUSED}:
            raise refusal(row, "finishing")
        for step in list_steps(session, request_id):  # what is there is what was wanted: nothing is run again
            if any(is_open(task) for task in list_step_tasks(session, step.step_id)):
                step.waived, step.granted = f"{ctx.who} finished it: {reason or 'no reason given'}", 0
        write_audit(session, ctx.who, "finish", request_id, reason=reason)
    return send_command(ctx, request_id, lambda task: ctx.panda.finish(task))


def withdraw(ctx: Context, request_id: str, reason: str) -> CommandResult:
    """Take an approval back before the run was started: the DAG leaves the bundle, the plan must be approved again.

    Its seeds come free; whoever plans or approves it again takes those that nobody else has taken meanwhile.

    Raises
    ------
    InvalidTransition
        It has run, or has a task: with the approval it would lose names and seeds that are spent.
    """
    ctx.check_permission("withdraw the approval", Permission.APPROVE)
    reason = clean_reason(reason)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        _check_never_run(session, row)
        if RequestState(row.state) is not RequestState.PLANNED:
            message, free = _withdraw_approval(session, ctx.who, row, reason)
        elif first := forget_first_approval(session, request_id):
            message, free = f"the first approval, by {first}, is withdrawn", ()
        else:
            return CommandResult(
                request_id, row.state, message="no approval was there to be withdrawn: nothing was changed"
            )
        write_audit(session, ctx.who, Action.WITHDRAW, request_id, reason=reason, seeds_free=seed_ranges.show(free))
        return CommandResult(request_id, row.state, message=f"{message}; its plan has to be approved again")


def _withdraw_approval(session: Session, who: str, row: RequestRow, reason: str) -> tuple[str, tuple[SeedRange, ...]]:
    """Forget who approved the plan and take the DAG out of the bundle; what was done, and the seeds that come free."""
    move(row, Action.WITHDRAW, reason)  # refuses first, in the words of the act
    plan = approved_plan_row(session, row.request_id)
    by = " and ".join(filter(None, (plan.approved_by, plan.seconded_by)))
    plan.approved_by = plan.approved_at = plan.seconded_by = plan.seconded_at = row.not_before = None
    _retire(session, who, row.request_id)
    free = release_unused(session, row, for_good=False)
    return f"the approval of plan {short(plan.digest)}, by {by}, is withdrawn", free


def _check_never_run(session: Session, row: RequestRow) -> None:
    started = row.launched_at is not None or row.runs > 1 or newest_certificate(session, row.request_id) is not None
    if started or any(list_step_tasks(session, step.step_id) for step in list_steps(session, row.request_id)):
        ways = [act for act in possible_acts(RequestState(row.state)) if act is not Action.WITHDRAW]
        action = "withdrawing the approval of a request whose run was started or that has a task"
        raise InvalidTransition(row.request_id, row.state, action, ways)


def _retire(session: Session, who: str, request_id: str) -> None:
    """Take a request out of the bundle, if it is there."""
    for one in active_publications(session, current_version(session)):
        if one.request_id == request_id:
            publish(session, request_id, one.revision, one.digest, who, retired=True)


def archive(ctx: Context, request_id: str) -> CommandResult:
    """Put a request that has ended away: its DAG leaves the bundle, its certificate and seeds stay for ever.

    Raises
    ------
    InvalidTransition
        It has not ended.
    """
    ctx.check_permission("archive", Permission.ARCHIVE)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) is not RequestState.ARCHIVED:
            move(row, Action.ARCHIVE)
            _retire(session, ctx.who, request_id)
            write_audit(session, ctx.who, Action.ARCHIVE, request_id)
        return CommandResult(request_id, row.state)
