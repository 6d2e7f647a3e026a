"""``prodsys reconcile``: what ledger, PanDA, Airflow and Rucio do not agree about."""

from __future__ import annotations

from dataclasses import asdict

import typer

from prodsys.cli.output import FINDINGS, print_json, print_text
from prodsys.cli.request_commands import acting


def print_findings(who: str | None, *, repair: bool, as_json: bool) -> None:
    """Print every disagreement; the exit code says whether one is left."""
    from prodsys.actions.reconciling import reconcile

    found = reconcile(acting(who), repair=repair)
    left = [one for one in found if not one.repaired]
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            done = "mended" if one.repaired else "open"
            advice = f": {one.advice}" if one.advice else ""
            print_text(f"{done}: {one.request_id or 'all'}: {one.what} ({one.cause}){advice}")
        print_text(f"{len(found)} disagreements, {len(left)} open")
    if left:
        raise typer.Exit(FINDINGS)
