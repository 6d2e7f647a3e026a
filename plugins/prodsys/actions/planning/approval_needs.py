"""What an approval of a plan still needs, said before anybody presses a button: a trial, a second person."""

from __future__ import annotations

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.errors import TrialMissing
from prodsys.ledger.history import list_trials
from prodsys.ledger.tables import PlanRow, RequestRow
from prodsys.model.estimate import Estimate
from prodsys.model.plan import Plan


def size_of(estimate: Estimate | None, built: Plan) -> tuple[float, int]:
    """Core hours and bytes with all copies, as they were shown; the specs' own of a plan without estimate."""
    if estimate is None:
        return built.core_hours, built.volume_with_copies_bytes
    return estimate.core_hours, estimate.volume_with_copies_bytes


def stored_estimate(stored: PlanRow) -> Estimate | None:
    """The estimate that was shown with a plan, or None."""
    return Estimate.model_validate(stored.estimate) if stored.estimate else None


def approval_needs(
    session: Session, ctx: Context, row: RequestRow, built: Plan, estimate: Estimate | None, first: str | None = None
) -> tuple[str, ...]:
    """What an approval lacks, each with the command that brings it; () when one person's word is enough.

    Parameters
    ----------
    session, ctx
        The ledger and the policy.
    row, built, estimate
        The request, its plan and what was shown with it.
    first
        Who has approved it already.
    """
    core_hours, volume_bytes = size_of(estimate, built)
    found = []
    if (missing := find_missing_trial(session, ctx, row, built, core_hours)) is not None:
        found.append(str(missing))
    limit = ctx.catalogue.policy.second_person
    if limit is not None and limit.is_needed(core_hours, volume_bytes):
        size = f"{core_hours:,.0f} core hours, {volume_bytes / 1e12:,.1f} TB with all copies"
        after = f"{first} has approved it, a second person must" if first else "two persons must approve it"
        found.append(f"{after}: {size} (second_person of policy.yaml): prodsys request approve {row.request_id}")
    return tuple(found)


def find_missing_trial(
    session: Session, ctx: Context, row: RequestRow, built: Plan, core_hours: float
) -> TrialMissing | None:
    """Why policy wants a trial first; None when it wants none, or has one that succeeded."""
    rule = ctx.catalogue.policy.trial_rule(row.request_id, built.spec.chain, built.partition)
    if rule is None or row.trial_of is not None or core_hours <= rule.above_core_hours:
        return None
    trials = list_trials(session, built.configuration_digest)
    if any(trial.tried(built) for trial in trials):
        return None
    known = [(trial.request_id, trial.state.value) for trial in trials]
    return TrialMissing(row.request_id, core_hours, rule.above_core_hours, known)
