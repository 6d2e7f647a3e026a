"""``prodsys request``: clone, extend, adopt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.doing import DryRun, do, tell
from prodsys.cli.output import EXIT_CODES, print_json, print_table, print_text
from prodsys.cli.request_commands import AsJson, RequestId, Who, acting
from prodsys.model.names import canonical_id

if TYPE_CHECKING:
    from prodsys.actions.core.context import Context
    from prodsys.actions.requests.cloning import NewRequest

app = typer.Typer()
NewId = Annotated[
    str | None,
    typer.Argument(
        help="Id of the new request; default: the next free one of the same prefix and year.",
        parser=canonical_id,
        metavar="[NEW_ID]",
    ),
]
SeedCount = Annotated[int | None, typer.Option(min=1, help="How many seeds; default: as many.")]


@app.command(help="A new draft like another request, with a new id and free seeds.", epilog=EXIT_CODES)
def clone(
    request_id: RequestId,
    new_id: NewId = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds by number, 40001-40003; default: the next free ones.")
    ] = None,
    seed_count: SeedCount = None,
    events_per_file: Annotated[int | None, typer.Option(min=1, help="Events a seed; default: as many.")] = None,
    chain: Annotated[str | None, typer.Option(help="Chain, such as SIM-RECO; default: the same.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition; default: the same rule.")] = None,
    priority: Annotated[int | None, typer.Option(help="Priority; default: the same.")] = None,
    bunches: Annotated[int | None, typer.Option(min=1, help="Pieces of seeds with tasks of their own.")] = None,
    bunches_at_once: Annotated[int | None, typer.Option(min=1, help="How many of them run at once.")] = None,
    queue: Annotated[
        str | None, typer.Option(help="PanDA queue of all jobs; empty: PanDA chooses; default: the same.")
    ] = None,
    rse: Annotated[
        str | None, typer.Option(help="Storage of the outputs; empty: that of a job's queue; default: the same.")
    ] = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """A new draft like another request."""
    from prodsys.actions.requests import cloning
    from prodsys.model.seeds import parse_seeds

    asked = parse_seeds(seeds) if seeds else None
    order = cloning.CloneOrder(
        seed_count, asked, events_per_file, chain, priority, partition, bunches, bunches_at_once, queue, rse
    )
    _make(lambda ctx: cloning.clone(ctx, request_id, new_id, order), who, dry_run=dry_run, as_json=as_json)


@app.command(help="More events of the same configuration: a new draft with the next seeds.", epilog=EXIT_CODES)
def extend(
    request_id: RequestId,
    new_id: NewId = None,
    seed_count: SeedCount = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """A new draft that may be added to another request's sample."""
    from prodsys.actions.requests import extending

    _make(lambda ctx: extending.extend(ctx, request_id, new_id, seed_count), who, dry_run=dry_run, as_json=as_json)


@app.command(
    help="Link a PanDA task made by hand to a step of a request; the rest of the chain then runs.", epilog=EXIT_CODES
)
def adopt(
    request_id: RequestId,
    step: Annotated[str, typer.Argument(help="Step, such as SIM.")],
    jedi_task_id: Annotated[int, typer.Argument(min=1, help="PanDA's id of the task.")],
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Link a PanDA task made by hand."""
    from prodsys.actions.submission import adopting

    found, effects = do(
        acting(who), lambda ctx: adopting.adopt(ctx, request_id, step.upper(), jedi_task_id), dry_run=dry_run
    )
    task = f"task {jedi_task_id} ({found.task_name}, seeds {found.seeds})"
    verb = "is" if found.new else "was linked before, as"
    sentence = f"{task} {verb} attempt {found.attempt} at {found.step} of {request_id}, which is {found.state}"
    tell(found, sentence, effects, dry_run=dry_run, as_json=as_json)
    if not as_json and found.differences:
        rows = [(one.what, one.theirs, one.ours) for one in found.differences]
        print_table(("differs", "the task", "the request"), rows, title="Harmless differences")


def _make(act: Callable[[Context], NewRequest], who: str | None, *, dry_run: bool, as_json: bool) -> None:
    made, _ = do(acting(who), act, dry_run=dry_run)
    if as_json:
        print_json(_as_json(made) | ({"dry_run": True} if dry_run else {}))
        return
    word = "would be made of" if dry_run else "is a draft, made of"
    print_text(f"{made.request_id} {word} {made.origin}; what differs:")
    rows = [(one.field, one.before, one.now) for one in made.changes]
    print_table(("field", made.origin, made.request_id), rows)


def _as_json(made: NewRequest) -> dict[str, Any]:
    changes = [{"field": one.field, "before": one.before, "now": one.now} for one in made.changes]
    return {
        "request_id": made.request_id,
        "origin": made.origin,
        "changes": changes,
        "spec": made.spec.model_dump(mode="json"),
    }
