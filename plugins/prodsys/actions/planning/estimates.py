"""What a plan will take, from what productions took that have ended."""

from __future__ import annotations

from prodsys.actions.core.context import Context
from prodsys.ledger.history import list_measures
from prodsys.ledger.session import transaction
from prodsys.model.estimate import Estimate, build_estimate
from prodsys.model.plan import Plan


def foresee(ctx: Context, plan: Plan) -> Estimate:
    """Expected volume, core hours and duration of a plan."""
    with transaction(ctx.sessions) as session:
        measures = list_measures(session, plan)
    slots = {queue.name: queue.slots for queue in ctx.catalogue.sites.in_service}
    return build_estimate(plan, ctx.catalogue.chain_of(plan.spec), slots, measures)
