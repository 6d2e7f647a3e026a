"""``prodsys reconcile``: what ledger, PanDA, Airflow and Rucio do not agree about, and what nobody has decided yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from prodsys.cli.output import FINDINGS, print_json, print_text
from prodsys.cli.request_commands import acting
from prodsys.model.times import utc_minutes

if TYPE_CHECKING:
    from prodsys.actions.core.context import Context
    from prodsys.actions.reconciliation.findings import Finding


def print_comparison(who: str | None, *, repair: bool, as_json: bool) -> None:
    """Compare, and print every disagreement; the exit code says whether one is left."""
    from prodsys.actions.reconciliation.hourly_checks import compare_catalogues
    from prodsys.actions.reconciliation.reconciling import reconcile

    ctx = acting(who)
    seen = [*reconcile(ctx, repair=repair), *compare_catalogues(ctx, repair=repair)]
    print_findings(_with_open(ctx, seen), as_json=as_json)


def _with_open(ctx: Context, seen: Sequence[Finding]) -> list[Finding]:
    """What was seen now, and what was found before and waits for a person."""
    from prodsys.actions.reconciliation.findings import open_findings

    numbers, keys = {one.finding_id for one in seen}, {one.key for one in seen}
    return [*seen, *(one for one in open_findings(ctx) if one.finding_id not in numbers and one.key not in keys)]


def print_findings(found: Iterable[Finding], *, as_json: bool) -> None:
    """Print findings; the exit code says whether one is left."""
    found = list(found)
    left = [one for one in found if not (one.repaired or one.decided_by)]
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            print_text(_line(one))
        print_text(f"{len(found)} disagreements, {len(left)} open")
    if left:
        raise typer.Exit(FINDINGS)


def _line(one: Finding) -> str:
    done = "mended" if one.repaired else f"decided by {one.decided_by}" if one.decided_by else "open"
    number = f" finding {one.finding_id}" if one.finding_id else ""
    since = f" since {utc_minutes(one.first_seen)}" if one.first_seen else ""
    advice = f": {one.advice}" if one.advice else ""
    return f"{done}{number}{since}: {one.request_id or 'all'}: {one.what} ({one.cause}){advice}"
