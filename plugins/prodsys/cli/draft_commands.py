"""``prodsys request``: edit, delete."""

from __future__ import annotations

from typing import Annotated

import typer

from prodsys.cli.doing import DryRun, do, tell
from prodsys.cli.output import EXIT_CODES, print_json, print_text
from prodsys.cli.request_commands import AsJson, RequestId, Who, acting

app = typer.Typer()


@app.command(help="Change fields of a request that is not approved: a new revision, a draft again.", epilog=EXIT_CODES)
def edit(
    request_id: RequestId,
    changes: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help="Fields as in a YAML file; KEY= sets one back to its default."),
    ],
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Change fields of a draft."""
    from prodsys.actions.requests import drafting
    from prodsys.intake.edits import read_changes

    wanted, notes = read_changes(changes)
    revised, effects = do(acting(who), lambda ctx: drafting.edit(ctx, request_id, wanted), dry_run=dry_run)
    spec, said = revised.spec.model_dump(mode="json"), [*notes, *revised.notes]
    if as_json:
        body = {"request_id": request_id, "spec": spec, "notes": said}
        print_json(body | ({"dry_run": True, "would": effects} if dry_run else {}))
        return
    for note in said:
        print_text(f"note: {note}")
    words = ", ".join(f"{name} {spec[name]}" for name in wanted)
    tell(None, f"{request_id} is a draft with {words}", effects, dry_run=dry_run, as_json=False)


@app.command(help="Delete a request that is not approved; its id stays taken, its seeds come free.", epilog=EXIT_CODES)
def delete(
    request_id: RequestId,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")] = "",
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Delete a draft."""
    from prodsys.actions.requests import deletion

    answer, effects = do(acting(who), lambda ctx: deletion.delete(ctx, request_id, reason), dry_run=dry_run)
    tell(answer, f"{answer.request_id} is deleted: its id stays taken", effects, dry_run=dry_run, as_json=as_json)
