"""``prodsys request``: list, show, clone, plan, approve, launch, status, certificate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.doing import DryRun, do, tell
from prodsys.cli.output import EXIT_CODES, FINDINGS, print_json, print_table, print_text

if TYPE_CHECKING:
    from prodsys.actions.context import Context
    from prodsys.actions.planning import PlanAnswer

app = typer.Typer()
RequestId = Annotated[str, typer.Argument(help="Request, such as PROD2025-016.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys, nothing else.")]
Who = Annotated[str | None, typer.Option("--as", help="Who acts; default: PRODSYS_USER, else the login name.")]


def acting(who: str | None) -> Context:
    """Hands of the acting person."""
    from prodsys.actions.context import make_context
    from prodsys.cli.actor import current_actor
    from prodsys.settings import read_settings

    settings = read_settings()
    return make_context(*current_actor(settings, who), settings=settings)


@app.command("list", help=f"Requests of the ledger. {EXIT_CODES}")
def list_requests(
    state: Annotated[list[str] | None, typer.Option(help="Only these states.")] = None,
    like: Annotated[str | None, typer.Option(help="Only ids that hold this text.")] = None,
    as_json: AsJson = False,
) -> None:
    """Requests of the ledger."""
    from dataclasses import asdict

    from prodsys.actions.showing import show_list

    lines = show_list(acting(None), tuple(state or ()), like)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    columns = ("request", "state", "book says", "campaign", "tag", "seeds", "events", "labels", "reason")
    rows = [
        (one.request_id, one.state, one.recorded_status, one.campaign, one.tag, one.seeds, one.events,
         ", ".join(one.labels), one.reason)
        for one in lines
    ]  # fmt: skip
    print_table(columns, rows, title=f"{len(rows)} requests")


@app.command(help=f"Everything the ledger holds about a request. {EXIT_CODES}")
def show(request_id: RequestId, as_json: AsJson = False) -> None:
    """Everything the ledger holds about a request."""
    from prodsys.actions.showing import show_audit, show_request

    ctx = acting(None)
    found = show_request(ctx, request_id) | {"audit": show_audit(ctx, request_id)}
    if as_json:
        print_json(found)
        return
    _print_picture(found)
    print_table(("when", "who", "did"), [(one["at"], one["who"], one["action"]) for one in found["audit"]], "Audit")


@app.command(help=f"State, tasks, datasets and rules of a request. {EXIT_CODES}")
def status(request_id: RequestId, as_json: AsJson = False) -> None:
    """State, tasks, datasets and rules of a request."""
    from prodsys.actions.showing import show_request

    found = show_request(acting(None), request_id)
    if as_json:
        print_json(found)
    else:
        _print_picture(found)


def _print_picture(found: dict[str, Any]) -> None:
    reason = f": {found['reason']}" if found["reason"] else ""
    print_text(f"{found['request_id']} is {found['state']}{reason}")
    for part in ("steps", "tasks", "datasets", "rules", "runs", "reuse"):
        if rows := found[part]:
            print_table(tuple(rows[0]), [tuple(row.values()) for row in rows], title=part.capitalize())
    print_text(f"certificate: {found['certificate'] or 'none yet'}")


@app.command(help=f"A new draft like another request, with a new id and free seeds. {EXIT_CODES}")
def clone(
    request_id: RequestId,
    new_id: Annotated[str, typer.Argument(help="Id of the clone.")],
    seeds: Annotated[
        str | None, typer.Option(help="Seeds by number, 40001-40003; default: the next free ones.")
    ] = None,
    seed_count: Annotated[int | None, typer.Option(min=1, help="How many seeds; default: as many.")] = None,
    events_per_file: Annotated[int | None, typer.Option(min=1, help="Events a seed; default: as many.")] = None,
    chain: Annotated[str | None, typer.Option(help="Chain, such as SIM-RECO; default: the same.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition; default: the same rule.")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """A new draft like another request."""
    from prodsys.actions.cloning import CloneOrder
    from prodsys.actions.cloning import clone as do_clone
    from prodsys.model.seeds import parse_seeds, show

    asked = parse_seeds(seeds) if seeds else None
    order = CloneOrder(seed_count, asked, events_per_file, chain, partition=partition)
    spec = do_clone(acting(who), request_id, new_id, order)
    if as_json:
        print_json(spec.model_dump(mode="json"))
    else:
        print_text(f"{spec.request_id}: {spec.events} events, seeds {show(spec.seeds)}, chain {spec.chain}; a draft")


@app.command(help=f"Plan a request: what will be submitted, written and replicated. {EXIT_CODES}")
def plan(request_id: RequestId, who: Who = None, as_json: AsJson = False) -> None:
    """Plan a request."""
    from prodsys.actions.planning import plan as do_plan

    _print_plan(do_plan(acting(who), request_id), as_json)


@app.command(help=f"Approve the plan that was shown, and publish it as a DAG. {EXIT_CODES}")
def approve(
    request_id: RequestId,
    digest: Annotated[str | None, typer.Option(help="Digest of the plan you looked at; default: the newest.")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Approve the plan of a request."""
    from prodsys.actions.planning import approve as do_approve

    answer = do_approve(acting(who), request_id, digest)
    if as_json:
        print_json({"request_id": request_id, "digest": answer.digest, "warnings": list(answer.warnings)})
    else:
        print_text(f"{request_id} is approved: plan {answer.digest}; DAG prod__{request_id}")


def _print_plan(answer: PlanAnswer, as_json: bool) -> None:
    if as_json:
        body = answer.plan.model_dump(mode="json")
        print_json({"digest": answer.digest, "warnings": list(answer.warnings), "plan": body})
        return
    built = answer.plan
    print_text(
        f"{built.request_id} revision {built.revision}, {built.events} events, seeds of {built.configuration_digest}"
    )
    columns = ("step", "task", "queue", "jobs", "events", "GB", "core hours", "script", "image")
    rows = [
        (one.kind, one.task_name, one.queue, one.jobs, one.events, f"{one.volume_bytes / 1e9:.3f}",
         f"{one.core_hours:.1f}", one.script, one.image)
        for one in built.steps
    ]  # fmt: skip
    print_table(columns, rows, title="Tasks")
    datasets = [(step.kind, one.data_type, one.did) for step in built.steps for one in step.datasets]
    print_table(("step", "type", "dataset"), [*datasets, ("", "container", built.request_container)], title="Datasets")
    rules = built.rules
    kept = f"{rules.lifetime_days} days" if rules.lifetime_days else "kept"
    print_text(
        f"replicas: {rules.copies} on {', '.join(rules.rses)}, {kept}; "
        f"{built.volume_bytes / 1e9:.3f} GB a copy, {built.volume_with_copies_bytes / 1e9:.3f} GB in all; "
        f"{built.core_hours:.1f} core hours; accepted from {built.accept_percent:g} % of the seeds"
    )
    for warning in answer.warnings:
        print_text(f"warning: {warning}")
    print_text(f"plan {answer.digest}\napprove it: prodsys request approve {built.request_id} --digest {answer.digest}")


@app.command(help=f"Start the DAG run of an approved request, or leave it ready for the dispatcher. {EXIT_CODES}")
def launch(
    request_id: RequestId,
    wait: Annotated[bool, typer.Option(help="Wait until Airflow shows the DAG.")] = True,
    at: Annotated[datetime | None, typer.Option(help="Not before this time, UTC: 2026-12-01T08:00:00.")] = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Launch an approved request."""
    from prodsys.actions.launching import launch as do_launch

    moment = at.replace(tzinfo=UTC) if at else None
    answer, effects = do(
        acting(who), lambda ctx: do_launch(ctx, request_id, wait=wait, not_before=moment), dry_run=dry_run
    )
    sentence = f"{answer.request_id}: {answer.message} (DAG {answer.dag_id}, run {answer.dag_run_id})"
    tell(answer, sentence, effects, dry_run=dry_run, as_json=as_json)


@app.command(help=f"The certificate of a request that has ended. {EXIT_CODES}")
def certificate(request_id: RequestId, as_json: AsJson = False) -> None:
    """The certificate of a request."""
    from prodsys.actions.showing import show_certificate

    found = show_certificate(acting(None), request_id)
    if found is None:
        print_text(f"{request_id} has no certificate yet")
        raise typer.Exit(FINDINGS)
    if as_json:
        print_json(found["body"])
        return
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
    rows = [(one["did"], len(one["files"]), one["events"], one["bytes"], one["replicas"]) for one in body["datasets"]]
    print_table(columns, rows, title="Datasets")
