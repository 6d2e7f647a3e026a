"""What an aborted request left in Rucio: listed first, then given an end."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import CommandResult
from prodsys.actions.runs.aborting import abort
from prodsys.actions.submission.output_datasets import known_outputs, planned_outputs
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import find_plan, get_request, list_steps, newest_certificate, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow
from prodsys.ledger.tasks import list_step_tasks
from prodsys.model.names import Did
from prodsys.model.plan import Plan
from prodsys.model.statuses import RequestState
from prodsys.model.transitions import Permission

GRACE_S = 24 * 3600  # until what was cleaned away is gone: a day to find out that it was a mistake


@dataclass(frozen=True)
class Cleaned:
    """An aborted request, the tasks that were told, and what expires."""

    told: CommandResult
    expiring: tuple[str, ...]


def abort_and_clean(ctx: Context, request_id: str, reason: str) -> Cleaned:
    """Abort a request and let everything it registered in Rucio expire within a day; may be said again.

    Raises
    ------
    InvalidTransition
        The request has ended in another way, or has a certificate: what it delivered is not taken away like this.
    """
    with transaction(ctx.sessions) as session:
        if newest_certificate(session, request_id) is not None:
            raise refusal(get_request(session, request_id), "cleaning away what a certificate has promised")
    told = abort(ctx, request_id, reason)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        if RequestState(row.state) is not RequestState.ABORTED:
            raise refusal(row, "cleaning")
    dids = written_dids(ctx, request_id)
    there = ctx.rucio.find_known(dids) if dids else ()
    for did in there:
        ctx.rucio.expire(did, GRACE_S)
    expiring = tuple(map(str, there))
    with transaction(ctx.sessions) as session:
        write_audit(session, ctx.who, "clean", request_id, dids=list(expiring), within_s=GRACE_S)
    return Cleaned(told, expiring)


def written_dids(ctx: Context, request_id: str) -> tuple[Did, ...]:
    """Containers, datasets and inputs that the request, or PanDA for it, may have registered; containers first."""
    ctx.check_permission("look at what was written", Permission.ABORT)
    with transaction(ctx.sessions) as session:
        stored = find_plan(session, request_id)
        if stored is None:
            return ()
        plan = Plan.model_validate(stored.body)
        known = session.scalars(select(DatasetRow.did).where(DatasetRow.request_id == request_id)).all()
        tasks = [task for step in list_steps(session, request_id) for task in list_step_tasks(session, step.step_id)]
    containers = [plan.request_container, *(one.container for step in plan.steps for one in step.datasets)]
    names = dict.fromkeys(name for task in tasks for name in (*planned_outputs(task), *known_outputs(task)))
    outputs = [str(Did(plan.partition, name)) for name in names]
    own = f"{plan.sample}."  # what a task reads may be another request's
    inputs = [name for task in tasks for name in task.inputs.values() if name.startswith(own)]
    made = [str(Did(plan.partition, name)) for name in inputs]
    return tuple(Did.parse(did) for did in dict.fromkeys([*containers, *known, *made, *outputs]))
