"""``prodsys task list|show``: PanDA tasks of requests."""

from __future__ import annotations

from typing import Annotated

import typer

from prodsys.cli.output import EXIT_CODES, print_json, print_table
from prodsys.cli.request_commands import AsJson, acting
from prodsys.model.names import canonical_id

app = typer.Typer()


@app.command("list", help="PanDA tasks of one request or of all, as the ledger saw them last.", epilog=EXIT_CODES)
def list_tasks(
    request_id: Annotated[
        str | None, typer.Argument(help="Only this request.", parser=canonical_id, metavar="ID")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """PanDA tasks of requests."""
    from prodsys.actions.queries.showing import show_tasks

    found = show_tasks(acting(None), request_id)
    if as_json:
        print_json(found)
        return
    keys = ("task_name", "jedi_task_id", "intent", "status", "jobs", "reason", "url")
    print_table(keys, [[one[key] for key in keys] for one in found], title=f"{len(found)} tasks")


@app.command(help="One PanDA task as PanDA shows it now, with its jobs.", epilog=EXIT_CODES)
def show(jedi_task_id: Annotated[int, typer.Argument(help="JEDI task id.")], as_json: AsJson = False) -> None:
    """One PanDA task with its jobs."""
    from dataclasses import asdict

    ctx = acting(None)
    task, jobs = ctx.panda.get_task(jedi_task_id), ctx.panda.get_jobs(jedi_task_id)
    if as_json:
        print_json({"task": asdict(task), "jobs": [asdict(job) for job in jobs]})
        return
    fields = {key: value for key, value in asdict(task).items() if key != "task_map"}
    print_table(("attribute", "value"), fields.items(), title=f"Task {jedi_task_id}")
    rows = [
        (job.panda_job_id, job.attempt, job.status, job.site, job.seed, job.events, "; ".join(job.errors))
        for job in jobs
    ]
    print_table(("job", "attempt", "status", "site", "seed", "events", "errors"), rows, title=f"{len(rows)} jobs")
