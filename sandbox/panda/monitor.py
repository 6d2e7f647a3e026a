"""Plain pages on tasks and jobs, where links from elsewhere lead: ``/tasks``, ``/task/<id>``, ``/job/<id>``."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Connection, RowMapping, func, select

from sandbox.panda import tables as t
from sandbox.panda.describe_job import describe_jobs
from sandbox.panda.describe_task import describe_task, describe_work
from sandbox.panda.refine import scope_of
from sandbox.panda.settings import Settings, folder_of, load_sites
from sandbox.panda.storage import file_path
from sandbox.panda.store import count_master_files, datasets_of, find_task

router = APIRouter()

_LARGEST_LOG = 1_000_000
_TASKS_A_PAGE = 200
_JOBS_A_PAGE = 500
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=StrictUndefined
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def _page(name: str, status: int = 200, **values: Any) -> Response:
    body = _PAGES.get_template(name).render(**values)
    return HTMLResponse(body, status_code=status, headers={"content-security-policy": _POLICY})


def _missing(what: str) -> Response:
    return _page("missing.html", 404, title="not found", what=what)


@router.get("/tasks")
def tasks(request: Request, before: int | None = None) -> Response:
    """Return the newest tasks, a page of them."""
    c = t.task.c
    query = select(t.task).order_by(c.jedi_task_id.desc()).limit(_TASKS_A_PAGE)
    if before is not None:
        query = query.where(c.jedi_task_id < before)
    with request.app.state.engine.connect() as connection:
        rows = [
            {**row, "counts": count_master_files(connection, row["jedi_task_id"])}
            for row in connection.execute(query).mappings()
        ]
    more = rows[-1]["jedi_task_id"] if len(rows) == _TASKS_A_PAGE else None
    return _page("tasks.html", title="tasks", tasks=rows, more=more)


@router.get("/task/{jedi_task_id}")
def task(request: Request, jedi_task_id: int) -> Response:
    """One task: attributes, jobs, errors, datasets, the log of its statuses."""
    with request.app.state.engine.connect() as connection:
        row = find_task(connection, jedi_task_id)
        if row is None:
            return _missing(f"task {jedi_task_id}: unknown, or not refined yet")
        values = {
            "task": row,
            "info": describe_task(connection, row),
            "work": describe_work(connection, jedi_task_id),
            "by_status": _jobs_by(connection, jedi_task_id, "status"),
            "by_site": _jobs_by(connection, jedi_task_id, "site"),
            "by_attempt": _jobs_by(connection, jedi_task_id, "attempt_nr"),
            "errors": _error_summary(connection, jedi_task_id),
            "jobs": _jobs(connection, jedi_task_id),
            "history": _history(connection, jedi_task_id),
            "datasets": _datasets(connection, jedi_task_id),
        }
    return _page("task.html", 200, title=f"task {jedi_task_id}", **values)


def _jobs_by(connection: Connection, jedi_task_id: int, column: str) -> list[tuple[Any, int]]:
    key = t.job.c[column]
    query = select(key, func.count()).where(t.job.c.jedi_task_id == jedi_task_id).group_by(key).order_by(key)
    return [(name, count) for name, count in connection.execute(query).tuples()]


def _jobs(connection: Connection, jedi_task_id: int) -> Sequence[RowMapping]:
    query = select(t.job).where(t.job.c.jedi_task_id == jedi_task_id).order_by(t.job.c.panda_id).limit(_JOBS_A_PAGE)
    return connection.execute(query).mappings().all()


def _error_summary(connection: Connection, jedi_task_id: int) -> list[dict[str, Any]]:
    """Error codes of the jobs with their number and one sample each."""
    query = select(t.job.c.panda_id, t.job.c.errors).where(t.job.c.jedi_task_id == jedi_task_id)
    found: dict[tuple[str, Any], dict[str, Any]] = {}
    for panda_id, errors in connection.execute(query.order_by(t.job.c.panda_id)).tuples():
        for name, code in errors.items():
            if name.endswith("ErrorCode") and code:
                sample = {"name": name, "code": code, "count": 0, "panda_id": panda_id}
                entry = found.setdefault((name, code), sample)
                entry["count"] += 1
                entry["diag"] = errors.get(name.replace("Code", "Diag"), "")
    return sorted(found.values(), key=lambda one: -one["count"])


def _history(connection: Connection, jedi_task_id: int) -> Sequence[RowMapping]:
    query = select(t.task_log).where(t.task_log.c.jedi_task_id == jedi_task_id).order_by(t.task_log.c.log_id)
    return connection.execute(query).mappings().all()


def _datasets(connection: Connection, jedi_task_id: int) -> list[dict[str, Any]]:
    f = t.file.c
    described = []
    for one in datasets_of(connection, jedi_task_id):
        query = select(f.status, func.count()).where(f.dataset_id == one["dataset_id"]).group_by(f.status)
        states = ", ".join(f"{status} {count}" for status, count in connection.execute(query).tuples())
        described.append({**one, "states": states or "no files"})
    return described


@router.get("/job/{panda_id}")
def job(request: Request, panda_id: int) -> Response:
    """One job: attributes, errors, files, the text of its log."""
    with request.app.state.engine.connect() as connection:
        found = describe_jobs(connection, [panda_id])[0]
    if found is None:
        return _missing(f"job {panda_id}: unknown")
    files = found.pop("Files")
    shown = {name: value for name, value in found.items() if value not in (None, "", 0)}
    errors = {name: value for name, value in shown.items() if "Error" in name}
    log_text = _log_text(request.app.state.settings, found["computingSite"], files)
    return _page(
        "job.html", title=f"job {panda_id}", job=found, shown=shown, errors=errors, files=files, log_text=log_text
    )


def _log_text(settings: Settings, site_name: str, files: Sequence[dict[str, Any]]) -> str:
    """Text of the job's log file on the RSE, or why there is none."""
    entry = next((one for one in files if one["type"] == "log"), None)
    site = load_sites(settings).get(site_name)
    if entry is None or site is None:
        return "this job has no log file"
    path = file_path(folder_of(site), scope_of(entry["dataset"])[0], entry["lfn"])
    try:
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes()), mode="r:gz") as archive:
            member = archive.extractfile("payload.log")
            text = member.read(_LARGEST_LOG) if member else b""
    except (OSError, KeyError, tarfile.TarError) as error:
        return f"no log yet ({type(error).__name__})"
    return text.decode("utf-8", errors="replace")
