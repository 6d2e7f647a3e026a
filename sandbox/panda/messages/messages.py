"""Messages about tasks and jobs: written with the change itself, pushed afterwards (recordings ``events_*``).

Triggers of the database write a row in the transaction of each change of status, whoever changes it; the rows are
pushed in their order, some time later, by `push_messages`. Without `install_triggers` nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

from sandbox.panda import tables as t

TASK_STATUSES = (
    "defined", "running", "scouting", "scouted", "prepared", "pending", "passed", "done", "finished", "failed",
    "tobroken", "broken", "toabort", "aborted", "throttled", "exhausted",
)  # fmt: skip
"""Pushed statuses of tasks as recorded; ``throttled`` and ``exhausted`` are not recorded."""

JOB_STATUSES = ("pending", "defined", "activated", "running", "finished", "failed", "cancelled")
"""Pushed statuses of jobs, as recorded: never ``sent`` or ``holding``."""

_COMPONENTS = ("pilot", "exe", "sup", "ddm", "brokerage", "jobDispatcher", "taskBuffer")
_UNSET = "NULL"
_AT_ONCE = 1000
_TRIGGERS = {"task_message": "task", "job_message": "job"}

# A task taken anew is told with status null; a kill's `toabort` and what follows a pause are not told (`killed`).
_TASK_FUNCTION = """
create or replace function write_task_message() returns trigger language plpgsql as $$
begin
    insert into message (msg_type, jedi_task_id, status, happened)
    values ('task_status', new.jedi_task_id, case when old.status = 'rerefine' then null else new.status end,
            now() at time zone 'UTC');
    return null;
end $$
"""
_TASK_TRIGGER = """
create or replace trigger task_message after update of status on task for each row
when (new.status is distinct from old.status and new.status in ({statuses})
      and old.status <> 'paused' and (new.status <> 'toabort' or old.status = 'registered'))
execute function write_task_message()
"""
_JOB_FUNCTION = """
create or replace function write_job_message() returns trigger language plpgsql as $$
begin
    insert into message (msg_type, jedi_task_id, panda_id, status, happened, about)
    values ('job_status', new.jedi_task_id, new.panda_id, new.status, now() at time zone 'UTC',
            jsonb_build_object('site', new.site, 'errors', new.errors, 'events', new.n_events));
    return null;
end $$
"""
_JOB_TRIGGERS = (
    "create or replace trigger job_message after update of status on job for each row "
    "when (new.status is distinct from old.status and new.status in ({statuses})) "
    "execute function write_job_message()",
    "create or replace trigger job_message_first after insert on job for each row "
    "when (new.status in ({statuses})) execute function write_job_message()",
)


def install_triggers(engine: Engine) -> None:
    """Let every change of status write its message; again is no harm."""
    with engine.begin() as connection:
        for statement in (_TASK_FUNCTION, _JOB_FUNCTION):
            connection.execute(text(statement))
        connection.execute(text(_TASK_TRIGGER.format(statuses=_quoted(TASK_STATUSES))))
        for statement in _JOB_TRIGGERS:
            connection.execute(text(statement.format(statuses=_quoted(JOB_STATUSES))))


def remove_triggers(engine: Engine) -> None:
    """Let changes of status write nothing any more."""
    with engine.begin() as connection:
        query = text("select tgname, tgrelid::regclass::text from pg_trigger where tgname = any(:names)")
        names = bindparam("names", [*_TRIGGERS, "job_message_first"], ARRAY(TEXT))
        for name, table in connection.execute(query.bindparams(names)).all():
            connection.execute(text(f"drop trigger if exists {name} on {table}"))


def _quoted(statuses: Sequence[str]) -> str:
    return ", ".join(f"'{status}'" for status in statuses)


def push_messages(engine: Engine, publish: Callable[[Sequence[bytes]], object], keep: int) -> int:
    """Publish what was written and not yet published, in its order; the number of messages.

    Parameters
    ----------
    keep : int
        Published messages that stay in the table.
    """
    m = t.message.c
    with engine.begin() as connection:
        query = select(t.message).where(~m.pushed).order_by(m.message_id).limit(_AT_ONCE).with_for_update()
        rows = connection.execute(query).mappings().all()
        if not rows:
            return 0
        publish([json.dumps(body).encode() for body in build_bodies(connection, rows)])
        connection.execute(
            update(t.message).where(m.message_id.in_([row["message_id"] for row in rows])).values(pushed=True)
        )
        oldest = select(func.max(m.message_id) - keep).scalar_subquery()
        connection.execute(delete(t.message).where(m.pushed, m.message_id <= oldest))
    return len(rows)


def build_bodies(connection: Connection, rows: Sequence[RowMapping]) -> Iterable[dict[str, Any]]:
    """Return the body of each message, as recorded."""
    jobs = [row["panda_id"] for row in rows if row["panda_id"] is not None]
    files = _files_of(connection, jobs)
    return [_task_body(row) if row["panda_id"] is None else _job_body(row, files[row["panda_id"]]) for row in rows]


def _files_of(connection: Connection, panda_ids: Sequence[int]) -> dict[int, list[tuple[str, str, int]]]:
    """Type, name and size of the files of jobs, in their order."""
    found: dict[int, list[tuple[str, str, int]]] = {panda_id: [] for panda_id in panda_ids}
    f = t.job_file.c
    query = select(f.panda_id, f.type, f.lfn, f.size).where(f.panda_id.in_(list(found)), f.type != "log")
    for panda_id, kind, lfn, size in connection.execute(query.order_by(f.row_id)).all():
        found[panda_id].append((kind, lfn, size))
    return found


def _task_body(row: RowMapping) -> dict[str, Any]:
    return {"msg_type": "task_status", "taskid": row["jedi_task_id"], "status": row["status"]} | _timestamp(row)


def _timestamp(row: RowMapping) -> dict[str, int]:
    return {"timestamp": int(row["happened"].replace(tzinfo=UTC).timestamp())}


def _job_body(row: RowMapping, files: Sequence[tuple[str, str, int]]) -> dict[str, Any]:
    status, about = row["status"], row["about"]
    body: dict[str, Any] = {"computingsite": about["site"], "inputs": None}
    if status != "running":
        body["inputs"] = [lfn for kind, lfn, _ in files if kind != "output"]
        body |= _errors(about["errors"], _UNSET if status == "pending" else 0)
    if status in ("finished", "failed"):
        body |= _numbers(about["events"], [size for kind, _, size in files if kind == "output"])
    ids = {"msg_type": "job_status", "jobid": row["panda_id"], "taskid": row["jedi_task_id"], "status": status}
    return body | ids | _timestamp(row)


def _errors(errors: Mapping[str, Any], code: int | str) -> dict[str, Any]:
    codes = {f"{one.lower()}errorcode": errors.get(f"{one}ErrorCode", code) for one in _COMPONENTS}
    return codes | {f"{one.lower()}errordiag": errors.get(f"{one}ErrorDiag") or _UNSET for one in _COMPONENTS}


def _numbers(events: int, sizes: Sequence[int]) -> dict[str, Any]:
    return {
        "job_nevents": events,
        "job_ninputfiles": _UNSET,
        "job_noutputdatafiles": len(sizes),
        "job_ninputdatafiles": _UNSET,
        "job_inputfilebytes": _UNSET,
        "job_outputfilebytes": sum(sizes),
        "job_hs06sec": _UNSET,
    }
