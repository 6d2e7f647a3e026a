"""``prodsys request``: pause, resume, finish, priority, abort, withdraw, archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from prodsys.cli.doing import DryRun, do, tell
from prodsys.cli.output import EXIT_CODES
from prodsys.cli.request_commands import AsJson, RequestId, Who, acting

if TYPE_CHECKING:
    from prodsys.actions.core.context import Context
    from prodsys.actions.core.panda_commands import CommandResult

app = typer.Typer()
Reason = Annotated[str, typer.Option(help="Why, for whoever reads it later.")]


def _command(
    act: Callable[[Context], CommandResult], done: str, who: str | None, *, dry_run: bool, as_json: bool
) -> None:
    answer, effects = do(acting(who), act, dry_run=dry_run)
    words = [
        f"{answer.request_id} is {answer.state}: {answer.message}" if answer.message else f"{answer.request_id} {done}"
    ]
    if answer.tasks:
        words.append(f"PanDA tasks {', '.join(map(str, answer.tasks))}")
    words += [f"task {one} did not take it: {said}" for one, said in answer.refused.items()]
    words += [f"task {one} needed no telling: it rests or ends already" for one in answer.already]
    tell(answer, "; ".join(words), effects, dry_run=dry_run, as_json=as_json)


@app.command(help="Let a running request rest: its PanDA tasks and its Airflow run.", epilog=EXIT_CODES)
def pause(
    request_id: RequestId, reason: Reason = "", dry_run: DryRun = False, who: Who = None, as_json: AsJson = False
) -> None:
    """Let a running request rest."""
    from prodsys.actions.runs import pausing

    _command(lambda ctx: pausing.pause(ctx, request_id, reason), "is paused", who, dry_run=dry_run, as_json=as_json)


@app.command(help="Let a paused request go on.", epilog=EXIT_CODES)
def resume(request_id: RequestId, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False) -> None:
    """Let a paused request go on."""
    from prodsys.actions.runs import pausing

    _command(lambda ctx: pausing.resume(ctx, request_id), "goes on", who, dry_run=dry_run, as_json=as_json)


@app.command(help="End the running PanDA tasks of a request with what they have.", epilog=EXIT_CODES)
def finish(
    request_id: RequestId, reason: Reason = "", dry_run: DryRun = False, who: Who = None, as_json: AsJson = False
) -> None:
    """End the running PanDA tasks of a request."""
    from prodsys.actions.runs import controlling

    _command(
        lambda ctx: controlling.finish(ctx, request_id, reason),
        "finishes with what is there",
        who,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command(help="Give a request and its unfinished PanDA tasks another priority.", epilog=EXIT_CODES)
def priority(
    request_id: RequestId,
    number: Annotated[int, typer.Argument(help="From 1 to 1000; productions have 900.")],
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Give a request another priority."""
    from prodsys.actions.runs import controlling

    _command(
        lambda ctx: controlling.set_priority(ctx, request_id, number),
        f"has priority {number}",
        who,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command(help="Stop a request for good: its PanDA tasks are killed.", epilog=EXIT_CODES)
def abort(
    request_id: RequestId,
    reason: Reason,
    clean: Annotated[bool, typer.Option("--clean", help="List what it registered in Rucio and let it expire.")] = False,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Stop a request for good."""
    from prodsys.actions.runs import aborting

    if clean:
        _clean(request_id, reason, who, dry_run=dry_run, as_json=as_json)
        return
    _command(lambda ctx: aborting.abort(ctx, request_id, reason), "is aborted", who, dry_run=dry_run, as_json=as_json)


def _clean(request_id: str, reason: str, who: str | None, *, dry_run: bool, as_json: bool) -> None:
    from prodsys.actions.closing.cleaning import abort_and_clean

    answer, effects = do(acting(who), lambda ctx: abort_and_clean(ctx, request_id, reason), dry_run=dry_run)
    words = [
        f"{request_id} is aborted; {len(answer.expiring)} datasets and containers expire within a day",
        *answer.expiring,
    ]
    tell(answer, "\n  ".join(words), effects, dry_run=dry_run, as_json=as_json)


@app.command(help="Take an approval back before the run is started.", epilog=EXIT_CODES)
def withdraw(
    request_id: RequestId, reason: Reason, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False
) -> None:
    """Take an approval back."""
    from prodsys.actions.runs import controlling

    _command(
        lambda ctx: controlling.withdraw(ctx, request_id, reason),
        "is withdrawn",
        who,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command(help="Put a request that has ended away; certificate and seeds stay.", epilog=EXIT_CODES)
def archive(request_id: RequestId, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False) -> None:
    """Put a request that has ended away."""
    from prodsys.actions.runs import controlling

    _command(lambda ctx: controlling.archive(ctx, request_id), "is archived", who, dry_run=dry_run, as_json=as_json)
