"""``prodsys seeds claims|reuse``: who owns which seeds, and reuse on purpose."""

from __future__ import annotations

from typing import Annotated

import typer

from prodsys.cli.doing import DryRun, do
from prodsys.cli.output import EXIT_CODES, print_json, print_table, print_text
from prodsys.cli.request_commands import AsJson, RequestId, Who, acting
from prodsys.model.names import canonical_id

app = typer.Typer()


@app.command(help="Who owns which seeds.", epilog=EXIT_CODES)
def claims(
    request_id: Annotated[
        str | None, typer.Argument(help="Only the configuration of this request.", parser=canonical_id, metavar="ID")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Who owns which seeds."""
    from prodsys.actions.queries.showing import show_claims

    found = show_claims(acting(None), request_id)
    if as_json:
        print_json(found)
        return
    rows = [(one["configuration"][:19], one["seeds"], one["request_id"], one["state"]) for one in found]
    print_table(("configuration", "seeds", "first owner", "state"), rows, title=f"{len(rows)} claims")


@app.command(help="Declare that a draft uses seeds of another request again, on purpose.", epilog=EXIT_CODES)
def reuse(
    request_id: RequestId,
    owner: Annotated[str, typer.Argument(help="Request that owns the seeds.", parser=canonical_id, metavar="ID")],
    kind: Annotated[str, typer.Option(help="pilot_of, supersedes or compare.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the certificate.")],
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Declare reuse of seeds."""
    from prodsys.actions.requests.seed_reuse import declare_reuse
    from prodsys.errors import SpecInvalid
    from prodsys.model.statuses import ReuseKind

    try:
        wanted = ReuseKind(kind)
    except ValueError:
        raise SpecInvalid("--kind", f"no kind of reuse named {kind!r}", "pilot_of, supersedes or compare") from None
    found, _ = do(acting(who), lambda ctx: declare_reuse(ctx, request_id, owner, wanted, reason), dry_run=dry_run)
    shared = [{"owner": one.owner, "seeds": str(one.seeds), "kind": wanted.value} for one in found]
    if as_json:
        print_json(shared)
    else:
        for one in shared:
            sentence = f"{request_id} uses seeds {one['seeds']} of {one['owner']} again ({wanted}): {reason}"
            print_text(f"would be: {sentence}" if dry_run else sentence)
