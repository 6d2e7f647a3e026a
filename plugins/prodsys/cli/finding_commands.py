"""``prodsys finding ...``: disagreements that wait for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from prodsys.cli.doing import DryRun, do, tell
from prodsys.cli.output import EXIT_CODES
from prodsys.cli.reconcile_command import print_findings
from prodsys.cli.request_commands import AsJson, Who, acting

app = typer.Typer()


@app.command("list", help="Findings that nobody has decided; nothing is compared now.", epilog=EXIT_CODES)
def list_open(
    request_id: Annotated[str | None, typer.Argument(help="About one request only.")] = None, as_json: AsJson = False
) -> None:
    """Findings that wait for a person."""
    from prodsys.actions.reconciliation.findings import open_findings

    print_findings(open_findings(acting(None), request_id), as_json=as_json)


@app.command(help="Decide a finding: it is not told any more while the same is seen.", epilog=EXIT_CODES)
def decide(
    finding_id: Annotated[int, typer.Argument(help="Number of the finding.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever reads it later.")],
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Decide a finding."""
    from prodsys.actions.reconciliation import findings

    decided, effects = do(acting(who), lambda ctx: findings.decide(ctx, finding_id, reason), dry_run=dry_run)
    sentence = f"finding {finding_id} is decided by {decided.decided_by}: {decided.reason} ({decided.what})"
    tell(decided, sentence, effects, dry_run=dry_run, as_json=as_json)
