"""Plain pages on tasks, jobs and files, where links from elsewhere lead.

``/tasks``, ``/task/<id>``, ``/jobs``, ``/job/<id>``, ``/files/<dataset id>``, ``/sites``; filters are named as in
BigPanDAmon (``/jobs?jeditaskid=12&jobstatus=failed``). Everything shown is escaped; there are no scripts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Connection, select

from sandbox.panda import tables as t
from sandbox.panda.api.describe_job import describe_jobs
from sandbox.panda.api.describe_task import describe_task, statistics_text
from sandbox.panda.monitor import monitor_queries as queries
from sandbox.panda.monitor.monitor_log import read_log
from sandbox.panda.monitor.monitor_words import duration, in_bytes
from sandbox.panda.settings import load_sites
from sandbox.panda.store import find_task

router = APIRouter()

JOBS_SHOWN = 50  # on the page of a task; the others are behind a link
HIGHEST_NUMBER = 2**63 - 1
Number = Annotated[int, Query(ge=0, le=HIGHEST_NUMBER)]

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=StrictUndefined
)
_PAGES.filters |= {"bytes": in_bytes, "duration": duration, "query": urlencode}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def _page(template: str, **values: Any) -> Response:
    body = _PAGES.get_template(template).render(**values)
    return HTMLResponse(body, headers={"content-security-policy": _POLICY})


def _missing(what: str) -> Response:
    page = _page("missing.html", title="not found", what=what)
    page.status_code = 404
    return page


@router.get("/tasks")
@router.get("/tasks/", include_in_schema=False)
def tasks(
    request: Request, status: str = "", username: str = "", taskname: str = "", before: Number | None = None
) -> Response:
    """Return the newest tasks that fit, a page of them."""
    given = {"status": status, "username": username}
    filters = {key: value for key, value in given.items() if value and "\x00" not in value}
    with request.app.state.engine.connect() as connection:
        rows = queries.find_tasks(connection, filters, taskname.replace("\x00", ""), before)
        counts = queries.count_tasks(connection)
    more = {**given, "taskname": taskname, "before": rows[-1]["jedi_task_id"]} if _is_full(rows) else None
    names = {"wanted": status, "username": username, "taskname": taskname}
    return _page("tasks.html", title="tasks", tasks=rows, counts=counts, more=more, **names)


def _number(text: str) -> int | None:
    """Return the id in an address, or None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and int(text) <= HIGHEST_NUMBER else None


def _is_full(rows: Any) -> bool:
    return len(rows) == queries.ROWS_A_PAGE


@router.get("/task/{jedi_task_id}")
@router.get("/task/{jedi_task_id}/", include_in_schema=False)
def task(request: Request, jedi_task_id: str) -> Response:
    """One task: attributes, jobs, errors, datasets, its statuses, commands, and what the scenario did."""
    number = _number(jedi_task_id)
    if number is None:
        return _missing(f"{jedi_task_id[:40]} is no number of a task.")
    with request.app.state.engine.connect() as connection:
        return _task_page(connection, number)


def _task_page(connection: Connection, jedi_task_id: int) -> Response:
    row = find_task(connection, jedi_task_id)
    if row is None:
        return _missing(_unknown_task(connection, jedi_task_id))
    values = {
        "task": row,
        "info": describe_task(connection, row),
        "statistics": statistics_text(connection, jedi_task_id),
        "by_status": queries.count_jobs(connection, jedi_task_id, "status"),
        "by_site": queries.count_jobs(connection, jedi_task_id, "site"),
        "by_attempt": queries.count_jobs(connection, jedi_task_id, "attempt_nr"),
        "errors": queries.summarise_errors(connection, jedi_task_id),
        "jobs": queries.find_jobs(connection, {"jeditaskid": str(jedi_task_id)}, None, 0, JOBS_SHOWN),
        "history": queries.read_history(connection, jedi_task_id),
        "commands": queries.read_commands(connection, jedi_task_id),
        "strikes": queries.read_strikes(connection, jedi_task_id),
        "datasets": queries.describe_datasets(connection, jedi_task_id),
    }
    return _page("task.html", title=f"task {jedi_task_id}", jobs_shown=JOBS_SHOWN, **values)


def _unknown_task(connection: Connection, jedi_task_id: int) -> str:
    query = select(t.submission.c.created).where(t.submission.c.jedi_task_id == jedi_task_id)
    created = connection.execute(query).scalar_one_or_none()
    if created is None:
        return f"Nobody has submitted a task {jedi_task_id}."
    return f"Task {jedi_task_id} was submitted at {created:%Y-%m-%d %H:%M:%S} UTC; JEDI has not refined it yet."


@router.get("/jobs")
@router.get("/jobs/", include_in_schema=False)
def jobs(
    request: Request,
    jeditaskid: Number | None = None,
    jobstatus: str = "",
    computingsite: str = "",
    attemptnr: Annotated[int, Query(ge=0, le=2**31 - 1)] | None = None,
    error: str = "",
    after: Number = 0,
) -> Response:
    """Return jobs that fit, a page of them; `error` is a code's name and value, ``pilotErrorCode:1305``."""
    given = {"jeditaskid": jeditaskid, "jobstatus": jobstatus, "computingsite": computingsite, "attemptnr": attemptnr}
    filters = {key: str(value).replace("\x00", "") for key, value in given.items() if value not in (None, "")}
    name, _, code = error.replace("\x00", "").partition(":")
    with request.app.state.engine.connect() as connection:
        rows = queries.find_jobs(connection, filters, (name, code) if name else None, after, queries.ROWS_A_PAGE)
    shown = {**filters, **({"error": error} if error else {})}
    more = {**shown, "after": rows[-1]["panda_id"]} if _is_full(rows) else None
    return _page("jobs.html", title="jobs", jobs=rows, shown=shown, more=more)


@router.get("/job/{panda_id}")
@router.get("/job/{panda_id}/", include_in_schema=False)
def job(request: Request, panda_id: str) -> Response:
    """One job: attributes, errors, files, all attempts at its slot, the text of its log."""
    number = _number(panda_id)
    if number is None:
        return _missing(f"{panda_id[:40]} is no number of a job.")
    with request.app.state.engine.connect() as connection:
        found = describe_jobs(connection, [number])[0]
        attempts = queries.find_attempts(connection, number)
    if found is None:
        return _missing(f"There is no job {panda_id}.")
    files = found.pop("Files")
    shown = {name: value for name, value in found.items() if value not in (None, "", 0)}
    errors = {name: value for name, value in shown.items() if "Error" in name or name == "transExitCode"}
    values = {"shown": shown, "errors": errors, "files": files, "attempts": attempts}
    log_text = read_log(request.app.state.settings, found["computingSite"], files)
    return _page("job.html", title=f"job {panda_id}", job=found, log_text=log_text, **values)


@router.get("/files/{dataset_id}")
def files(request: Request, dataset_id: str, after: Number = 0) -> Response:
    """Return the files of a dataset of a task, a page of them."""
    query = select(t.dataset).where(t.dataset.c.dataset_id == _number(dataset_id))
    with request.app.state.engine.connect() as connection:
        dataset = connection.execute(query).mappings().one_or_none()
        if dataset is None:
            return _missing(f"There is no dataset number {dataset_id[:40]}.")
        rows = queries.find_files(connection, dataset["dataset_id"], after)
    more = rows[-1]["file_id"] if _is_full(rows) else None
    return _page("files.html", title="files", dataset=dataset, files=rows, more=more)


@router.get("/sites")
@router.get("/sites/", include_in_schema=False)
def sites(request: Request) -> Response:
    """Return the queues with their slots and the numbers of their jobs."""
    with request.app.state.engine.connect() as connection:
        counts = queries.count_at_sites(connection)
    known = load_sites(request.app.state.settings)
    return _page("sites.html", title="queues", sites=known, counts=counts, unknown=sorted(set(counts) - set(known)))
