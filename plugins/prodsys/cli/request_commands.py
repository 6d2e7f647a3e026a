"""``prodsys request``: list, show, launch, status, certificate."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.doing import DryRun, do, tell
from prodsys.cli.moments import parse_future
from prodsys.cli.output import EXIT_CODES, FINDINGS, print_json, print_table, print_text
from prodsys.model.names import canonical_id
from prodsys.model.statuses import RequestState
from prodsys.model.times import utc_minutes

if TYPE_CHECKING:
    from prodsys.actions.core.context import Context

app = typer.Typer()
OWN_TABLES = ("missing",)  # what is printed below its table
REASONS_SHOWN = 30
RequestId = Annotated[str, typer.Argument(help="Request, such as PROD2025-016.", parser=canonical_id, metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys, nothing else.")]
Who = Annotated[str | None, typer.Option("--as", help="Who acts; default: PRODSYS_USER, else the login name.")]


def acting(who: str | None) -> Context:
    """Context of the acting person."""
    from prodsys.actions.core.context import make_context
    from prodsys.cli.actor import account_name, current_actor
    from prodsys.ledger.session import signed
    from prodsys.settings import read_settings

    settings = read_settings()
    ctx, account = make_context(*current_actor(settings, who), settings=settings), account_name()
    return ctx if ctx.who == account else replace(ctx, sessions=signed(ctx.sessions, account))


@app.command("list", help="Requests of the ledger.", epilog=EXIT_CODES)
def list_requests(
    state: Annotated[list[RequestState] | None, typer.Option(help="Only these states.")] = None,
    like: Annotated[str | None, typer.Option(help="Only ids that hold this text.")] = None,
    as_json: AsJson = False,
) -> None:
    """Requests of the ledger."""
    from dataclasses import asdict

    from prodsys.actions.queries.showing import show_list

    lines = show_list(acting(None), tuple(state or ()), like)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    columns = ("request", "state", "book says", "campaign", "tag", "seeds", "events", "labels", "reason")
    rows = [
        (one.request_id, _state(one.state, one.not_before), one.recorded_status, one.campaign, one.tag, one.seeds,
         one.events, ", ".join(one.labels), one.reason)
        for one in lines
    ]  # fmt: skip
    print_table(columns, rows, title=f"{len(rows)} requests")


@app.command(help="Everything the ledger holds about a request.", epilog=EXIT_CODES)
def show(request_id: RequestId, as_json: AsJson = False) -> None:
    """Everything the ledger holds about a request."""
    from prodsys.actions.queries.showing import show_audit, show_request

    ctx = acting(None)
    found = show_request(ctx, request_id) | {"audit": show_audit(ctx, request_id)}
    if as_json:
        print_json(found)
        return
    _print_picture(found)
    print_table(("when", "who", "did"), [(one["at"], one["who"], one["action"]) for one in found["audit"]], "Audit")


@app.command(help="State, tasks, datasets and rules of a request.", epilog=EXIT_CODES)
def status(request_id: RequestId, as_json: AsJson = False) -> None:
    """State, tasks, datasets and rules of a request."""
    from prodsys.actions.queries.showing import show_request

    found = show_request(acting(None), request_id)
    if as_json:
        print_json(found)
    else:
        _print_picture(found)


def _print_picture(found: dict[str, Any]) -> None:
    reason = f": {found['reason']}" if found["reason"] else ""
    print_text(f"{found['request_id']} is {_state(found['state'], found['not_before'])}{reason}")
    for part in ("steps", "tasks", "datasets", "rules", "runs", "reuse"):
        if rows := [_flat(row) for row in found[part]]:
            columns = tuple(name for name in rows[0] if name not in OWN_TABLES)
            print_table(columns, [tuple(row[name] for name in columns) for row in rows], title=part.capitalize())
        if part == "steps":
            _print_missing(found["steps"])
    print_text(f"certificate: {found['certificate'] or 'none yet'}")


def _state(state: str, not_before: str | None) -> str:
    """The state, of a delayed launch with its time."""
    if not not_before:
        return state
    return f"{state} until {utc_minutes(datetime.fromisoformat(not_before))}"


def _flat(row: dict[str, Any]) -> dict[str, object]:
    """A row with its lists as text: an empty one is an empty cell."""
    return {key: ", ".join(map(str, value)) if isinstance(value, list) else value for key, value in row.items()}


def _print_missing(steps: list[dict[str, Any]]) -> None:
    """Seeds that did not come, as ranges, one line a reason."""
    columns = ("step", "bunch", "count", "seeds", "reason")
    rows = [
        (step["step"], step["bunch"], family["count"], family["seeds"], family["reason"])
        for step in steps
        for family in step["missing"]
    ]
    if rows:
        shown = rows[:REASONS_SHOWN]
        more = f", the first {len(shown)} of {len(rows)} reasons" if len(rows) > len(shown) else ""
        print_table(columns, shown, title=f"Missing seeds{more}")


@app.command(help="Start the DAG run of an approved request, or leave it ready for the dispatcher.", epilog=EXIT_CODES)
def launch(
    request_id: RequestId,
    wait: Annotated[bool, typer.Option(help="Wait until Airflow shows the DAG.")] = True,
    at: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_future, metavar="MOMENT", help="Not before this time, UTC unless told: 2026-12-01T08:00:00."
        ),
    ] = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Launch an approved request."""
    from prodsys.actions.runs.launching import launch as do_launch

    answer, effects = do(acting(who), lambda ctx: do_launch(ctx, request_id, wait=wait, not_before=at), dry_run=dry_run)
    sentence = f"{answer.request_id}: {answer.message} (DAG {answer.dag_id}, run {answer.dag_run_id})"
    tell(answer, sentence, effects, dry_run=dry_run, as_json=as_json)


@app.command(help="The certificate of a request that has ended.", epilog=EXIT_CODES)
def certificate(request_id: RequestId, as_json: AsJson = False) -> None:
    """The certificate of a request."""
    from prodsys.actions.queries.showing import show_certificate

    found = show_certificate(acting(None), request_id)
    if as_json:
        print_json(found["body"] if found else {"certificate": None})
    elif found:
        _print_certificate(request_id, found)
    else:
        print_text(f"{request_id} has no certificate yet")
    if found is None:
        raise typer.Exit(FINDINGS)


def _print_certificate(request_id: str, found: dict[str, Any]) -> None:
    body = found["body"]
    print_text(found["path"])
    print_text(f"{request_id}: {body['verdict']}; plan {body['plan_digest']}, approved by {body['approved_by']}")
    print_text(
        f"seeds asked {body['seeds_asked']}, delivered {body['seeds_delivered']}; "
        f"events {body['events_delivered']} of {body['events_asked']}; {body['bytes_delivered']} bytes"
    )
    for one in body["seeds_missing"]:
        print_text(f"missing: seed {one['seed']}, lost at {one['step']}: {one['reason']}")
    columns = ("dataset", "files", "events", "bytes", "replicas")
    rows = [
        (one["did"], len(one["files"]), one["events"], one["bytes"], _shown(one["replicas"]))
        for one in body["datasets"]
    ]
    print_table(columns, rows, title="Datasets")


def _shown(replicas: dict[str, int]) -> str:
    return ", ".join(f"{rse} {files}" for rse, files in replicas.items())
