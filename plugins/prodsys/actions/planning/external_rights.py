"""Whether Rucio lets us write where a plan writes: the scope is there and ours, the storages are there."""

from __future__ import annotations

from prodsys.actions.core.context import Context
from prodsys.errors import SpecInvalid
from prodsys.model.plan import Plan


def check_scope(ctx: Context, plan: Plan) -> tuple[str, ...]:
    """() when the partition's scope is there and this account may add data to it.

    Raises
    ------
    SpecInvalid
        It is not: PanDA would break the task, and the name of the task would be spent.
    """
    place, account = f"{plan.request_id}.partition", ctx.rucio.account
    scope = ctx.rucio.find_scope(plan.partition)
    if scope is None:
        command = f"rucio-admin scope add --account {account} --scope {plan.partition}"
        remedy = f"an administrator of Rucio makes it: {command}; or edit campaign, stage or partition of the request"
        raise SpecInvalid(place, f"there is no scope {plan.partition} in Rucio", remedy)
    if not scope.ours:
        message = f"the scope {plan.partition} is in Rucio, and the account {account} may not add data to it"
        remedy = (
            "its owner may; name a partition whose scope is ours: "
            f"prodsys request edit {plan.request_id} partition=NAME, or ask the administrators of Rucio"
        )
        raise SpecInvalid(place, message, remedy)
    return ()


def check_storages(ctx: Context, plan: Plan) -> tuple[str, ...]:
    """() when Rucio knows all storages of the plan.

    Raises
    ------
    SpecInvalid
        It does not: no replication rule could be made.
    """
    brokered = [queue.rse for queue in ctx.catalogue.sites.queues if queue.enabled]
    written = [rse for step in plan.steps for rse in ([step.rse] if step.rse else brokered)]
    wanted = dict.fromkeys([*plan.rules.rses, *written])
    if missing := sorted(wanted.keys() - ctx.rucio.find_rses()):
        message = f"Rucio knows no storage {', '.join(missing)}"
        remedy = f"mend rses in partitions.yaml and sites.yaml, or have it made: rucio-admin rse add {missing[0]}"
        raise SpecInvalid(f"{plan.request_id}.partition", message, remedy)
    return ()
