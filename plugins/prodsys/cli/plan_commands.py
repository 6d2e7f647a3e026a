"""``prodsys request``: check, plan, approve, reject, trial."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.doing import DryRun, do, tell
from prodsys.cli.output import EXIT_CODES, FINDINGS, print_json, print_table, print_text
from prodsys.cli.request_commands import AsJson, RequestId, Who, acting
from prodsys.model.names import dag_id_of

if TYPE_CHECKING:
    from prodsys.actions.planning.planning import PlanAnswer
    from prodsys.model.estimate import Estimate
    from prodsys.model.plan import Plan

app = typer.Typer()


@app.command(help="Look at a request before it is planned: specs, names, seeds, scripts, room.", epilog=EXIT_CODES)
def check(request_id: RequestId, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False) -> None:
    """Check a request."""
    from prodsys.actions.planning.checking import check as do_check

    answer, effects = do(acting(who), lambda ctx: do_check(ctx, request_id), dry_run=dry_run)
    faults = [one for one in answer.findings if one.fault]
    if not as_json:
        for one in answer.findings:
            print_text(f"{'fault' if one.fault else 'warning'}: {one}")
    sentence = f"{request_id} is {answer.state}: {len(faults)} faults"
    tell(answer, sentence, effects, dry_run=dry_run, as_json=as_json)
    if faults:
        raise typer.Exit(FINDINGS)


@app.command(
    help="Plan a request: what will be submitted, written and replicated, and what it takes.", epilog=EXIT_CODES
)
def plan(request_id: RequestId, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False) -> None:
    """Plan a request."""
    from prodsys.actions.planning.planning import plan as do_plan

    answer, _ = do(acting(who), lambda ctx: do_plan(ctx, request_id), dry_run=dry_run)
    if as_json:
        print_json(plan_body(answer) | ({"dry_run": True} if dry_run else {}))
        return
    print_plan(answer)
    digest = answer.digest
    print_text(f"plan {digest}" + (" (a dry run: it is not kept)" if dry_run else ""))
    if not dry_run:
        print_text(f"approve it: prodsys request approve {request_id} --digest {digest}")


@app.command(help="Approve the plan that was shown, and publish it as a DAG.", epilog=EXIT_CODES)
def approve(
    request_id: RequestId,
    digest: Annotated[str | None, typer.Option(help="Digest of the plan you looked at; default: the newest.")] = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Approve the plan of a request."""
    from prodsys.actions.planning.planning import approve as do_approve

    answer, effects = do(acting(who), lambda ctx: do_approve(ctx, request_id, digest), dry_run=dry_run)
    if as_json:
        body = plan_body(answer) | {"request_id": request_id}
        print_json(body | ({"dry_run": True, "would": effects} if dry_run else {}))
        return
    _print_notes(answer)
    done = f"is approved: plan {answer.digest}; DAG {dag_id_of(request_id)}"
    sentence = f"{request_id} {answer.waits_for or done}"
    tell(answer, sentence, effects, dry_run=dry_run, as_json=False)


@app.command(help="Say no to the plan that was shown: it has to be planned again.", epilog=EXIT_CODES)
def reject(
    request_id: RequestId,
    reason: Annotated[str, typer.Option(help="What has to change, for the requester.")],
    digest: Annotated[str | None, typer.Option(help="Digest of the plan you looked at; default: the newest.")] = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Reject the plan of a request."""
    from prodsys.actions.planning.approving import reject as do_reject

    answer, effects = do(acting(who), lambda ctx: do_reject(ctx, request_id, reason, digest), dry_run=dry_run)
    tell(answer, f"{request_id} is {answer.state}: {answer.reason}", effects, dry_run=dry_run, as_json=as_json)


@app.command(help="Make and plan a trial: the first seeds of a request, before its mass production.", epilog=EXIT_CODES)
def trial(
    request_id: RequestId,
    trial_id: Annotated[str | None, typer.Option("--id", help="Id of the trial; default: the next free one.")] = None,
    seed_count: Annotated[int | None, typer.Option(min=1, help="How many seeds; default: policy.yaml.")] = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Make and plan a trial."""
    from prodsys.actions.planning.trial import start_trial

    answer, effects = do(acting(who), lambda ctx: start_trial(ctx, request_id, trial_id, seed_count), dry_run=dry_run)
    if as_json:
        body = asdict(answer) | {"plan": plan_body(answer.plan) if answer.plan else None}
        print_json(body | ({"dry_run": True, "would": effects} if dry_run else {}))
        return
    if answer.plan:
        print_plan(answer.plan)
        print_text(f"plan {answer.plan.digest}")
    sentence = (
        f"{answer.trial}, trial of {request_id}: seeds {answer.seeds}, {answer.events} events; it is {answer.state}"
    )
    tell(answer, sentence, effects, dry_run=dry_run, as_json=False)


def plan_body(answer: PlanAnswer) -> dict[str, Any]:
    """A plan with stable keys, for programs."""
    return {
        "digest": answer.digest,
        "state": answer.state,
        "waits_for": answer.waits_for,
        "warnings": list(answer.warnings),
        "changes": [asdict(one) for one in answer.changes],
        "estimate": answer.estimate.model_dump(mode="json") if answer.estimate else None,
        "plan": answer.plan.model_dump(mode="json"),
    }


def print_plan(answer: PlanAnswer) -> None:
    """A plan for people: tasks, datasets, what it takes and why we think so, what changed."""
    from prodsys.model.reading import table_of as inputs_of
    from prodsys.model.seeds import show

    built = answer.plan
    print_text(
        f"{built.request_id} revision {built.revision}: {built.events} events, seeds {show(built.seeds)} "
        f"of configuration {built.configuration_digest}"
    )
    if built.reading:
        print_table(("type", "input", "files read", "of", "GB"), inputs_of(built.reading), title="Inputs")
    _print_tasks(built, answer.estimate)
    _print_datasets(built)
    if answer.estimate:
        print_table(("step", "expected", "from"), answer.estimate.figures(), title="Where the figures come from")
    _print_totals(built, answer.estimate)
    _print_notes(answer)


def _print_datasets(built: Plan) -> None:
    """Datasets; of a request in bunches their containers, since there is a dataset of each type a bunch."""
    names = dict.fromkeys(
        (step.kind, one.data_type, one.container if built.bunches else one.did)
        for step in built.steps
        for one in step.datasets
    )
    title = f"Containers, of {len(built.bunches)} datasets each" if built.bunches else "Datasets"
    print_table(("step", "type", "name"), [*names, ("", "container", built.request_container)], title=title)


def _print_tasks(built: Plan, estimate: Estimate | None) -> None:
    known = {step.kind: step for step in estimate.steps} if estimate else {}
    columns = ("step", "task", "queue", "jobs", "events", "GB", "core hours", "hours", "script", "image")
    rows = [
        (
            one.kind,
            f"{one.task_name}.bNNN" if built.bunches else one.task_name,
            one.queue or "PanDA chooses",
            one.jobs,
            one.events,
            f"{(known[one.kind].volume_bytes if one.kind in known else one.volume_bytes) / 1e9:.3f}",
            f"{known[one.kind].core_hours if one.kind in known else one.core_hours:.1f}",
            f"{known[one.kind].duration_h.value:.1f}" if one.kind in known else "-",
            one.script,
            one.image,
        )
        for one in built.steps
    ]
    print_table(columns, rows, title="Tasks")
    if built.bunches:
        print_text(f"in {len(built.bunches)} bunches, {built.bunches_at_once} at once: a task of each step a bunch")


def _print_totals(built: Plan, estimate: Estimate | None) -> None:
    rules = built.rules
    kept = f"{rules.lifetime_days} days" if rules.lifetime_days else "kept"
    volume, copies, hours = (
        (estimate.volume_bytes, estimate.volume_with_copies_bytes, estimate.core_hours)
        if estimate
        else (built.volume_bytes, built.volume_with_copies_bytes, built.core_hours)
    )
    lasts = f"; {estimate.duration_h:.1f} h" if estimate else ""
    print_text(
        f"replicas: {rules.copies} on {', '.join(rules.rses)}, {kept}; {volume / 1e9:.3f} GB a copy, "
        f"{copies / 1e9:.3f} GB in all; {hours:.1f} core hours{lasts}; "
        f"accepted from {built.accept_percent:g} % of the seeds"
    )


def _print_notes(answer: PlanAnswer) -> None:
    for one in answer.changes:
        print_text(f"changed: {one}")
    for warning in answer.warnings:
        print_text(f"warning: {warning}")
