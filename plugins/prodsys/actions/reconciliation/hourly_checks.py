"""Compare, every hour, what takes longer: Rucio's rules and datasets, stored plans, all tasks of the VO in PanDA."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from prodsys.actions.core.context import Context
from prodsys.actions.reconciliation.duplicate_task_watch import find_duplicate_tasks
from prodsys.actions.reconciliation.findings import Check, Finding, keep_findings, run_check
from prodsys.actions.reconciliation.plan_checks import damaged_plans, damaged_publications
from prodsys.actions.reconciliation.rucio_checks import compare_datasets, compare_rules
from prodsys.ledger.findings import get_look, set_look
from prodsys.ledger.session import transaction

TWINS = "duplicates"
WHOLE = frozenset({"damaged_publications"})  # comparisons that look at everything each time


def compare_catalogues(ctx: Context, *, repair: bool) -> list[Finding]:
    """Disagreements that nobody has decided; each comparison goes on where it stopped, and ends none of the others."""
    looks: list[Check] = [duplicates, compare_rules, compare_datasets, damaged_plans, damaged_publications]
    return [one for look in looks for one in _make(ctx, look, repair)]


def _make(ctx: Context, look: Check, repair: bool) -> list[Finding]:
    """One comparison, stored before the next begins."""
    looked = run_check(look, ctx, repair)
    whole = looked.name in WHOLE or (looked.name == TWINS and repair)
    return keep_findings(ctx, [looked], closing=whole)


def duplicates(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Live tasks on our seeds that the ledger does not know, of all that changed since they were looked for."""
    now, window = datetime.now(UTC), timedelta(seconds=ctx.catalogue.profile.times.modified_window_s)
    with transaction(ctx.sessions) as session:
        seen_until = get_look(session, TWINS).seen_until or now
    since = max(min(seen_until, now) - window, now - timedelta(days=ctx.catalogue.policy.reconcile.ended_days))
    yield from find_duplicate_tasks(ctx, repair, (now - since).total_seconds())
    if repair:
        with transaction(ctx.sessions) as session:
            set_look(session, TWINS, seen_until=now)
