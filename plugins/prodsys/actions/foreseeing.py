"""What a plan will take, from productions that have ended; and what trials took, read from PanDA once."""

from __future__ import annotations

import logging

from sqlalchemy import update

from prodsys.actions.context import Context
from prodsys.errors import SettingMissing, TaskUnknown
from prodsys.ledger.history import list_measures, unmeasured_tasks
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import StepRow
from prodsys.model.estimate import Estimate, build_estimate, core_seconds
from prodsys.model.outcome import JobRecord
from prodsys.model.plan import Plan

log = logging.getLogger(__name__)


def foresee(ctx: Context, plan: Plan) -> Estimate:
    """Expected volume, core hours and duration of a plan.

    Raises
    ------
    PandaUnavailable
        A trial of it was not measured yet, and PanDA does not answer.
    """
    measure_trials(ctx, plan.configuration_digest)
    with transaction(ctx.sessions) as session:
        measures = list_measures(session, plan)
    slots = {queue.name: queue.slots for queue in ctx.catalogue.sites.queues}
    return build_estimate(plan, ctx.catalogue.chain_of(plan.spec), slots, measures)


def measure_trials(ctx: Context, configuration: str) -> None:
    """Write down the core seconds of steps of trials where they are not known yet."""
    with transaction(ctx.sessions) as session:
        open_steps = unmeasured_tasks(session, configuration)
    for step_id, task_ids in open_steps:
        try:
            jobs = [job for one in task_ids for job in _jobs(ctx, one)]
        except SettingMissing:  # no PanDA here: whoever has one measures it
            return
        with transaction(ctx.sessions) as session:
            session.execute(update(StepRow).where(StepRow.step_id == step_id).values(core_s=core_seconds(jobs)))


def _jobs(ctx: Context, jedi_task_id: int) -> tuple[JobRecord, ...]:
    try:
        return ctx.panda.get_jobs(jedi_task_id)
    except TaskUnknown:
        log.warning("PanDA has forgotten task %s: it tells nothing about times", jedi_task_id)
        return ()
