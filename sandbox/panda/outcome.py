"""How a job's end changes the tables: its files, its input slots, and with them the next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from sandbox.panda import tables as t
from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import UNFINISHED_JOB, master_of


def finish_job(connection: Connection, job: RowMapping, lost: Sequence[str] = ()) -> None:
    """Let the job's success count: outputs and inputs are finished. Files named in `lost` never reach a catalogue."""
    reported = job["report"]["files"]
    for row in _files(connection, job["panda_id"]):
        if row["type"] in ("output", "log"):
            said = reported.get(row["lfn"], {})
            known = {key: said.get(key) for key in ("adler32", "guid")} | {"size": said.get("size", 0)}
            _set_job_file(connection, row, status="ready", **known)
            state = {"status": "finished", "n_events": said.get("events"), "lost": row["lfn"] in lost}
            _set_file(connection, row, **state, **known)
        else:
            _set_file(connection, row, status="finished")
    _set_job(connection, job["panda_id"], "finished", n_events=job["report"].get("n_events", 0))


def fail_job(connection: Connection, job: RowMapping, errors: dict[str, Any] | None = None) -> None:
    """Let the job's failure count: its slots get their next attempt, or are exhausted."""
    reported = (job["report"] or {}).get("files", {})
    for row in _files(connection, job["panda_id"]):
        if row["type"] in ("output", "log"):
            said = reported.get(row["lfn"], {}) if row["type"] == "log" else {}
            known = {key: said.get(key) for key in ("adler32", "guid")} | {"size": said.get("size", 0)}
            _set_job_file(connection, row, status="failed", **known)
            _set_file(connection, row, status="failed", **known)
    _free_inputs(connection, job, failed=True)
    _set_job(connection, job["panda_id"], "failed", n_events=0, errors={**job["errors"], **(errors or {})})


def cancel_job(connection: Connection, job: RowMapping, reason: str) -> None:
    """Let a command end the job: outputs are cancelled, slots become free for another attempt."""
    for row in _files(connection, job["panda_id"]):
        if row["type"] in ("output", "log"):
            _set_job_file(connection, row, status="failed")
            _set_file(connection, row, status="cancelled")
    _free_inputs(connection, job, failed=False)
    errors = {**job["errors"], "taskBufferErrorCode": 100, "taskBufferErrorDiag": reason}
    now = utc_now()
    columns = {"errors": errors, "command_to_pilot": "tobekilled", "end_time": job["end_time"] or now}
    _set_job(connection, job["panda_id"], "cancelled", **columns)


def cancel_jobs_of(
    connection: Connection, jedi_task_id: int, reason: str, statuses: Sequence[str] = UNFINISHED_JOB
) -> list[int]:
    """Cancel the unfinished jobs of a task; their ids."""
    j = t.job.c
    query = select(t.job).where(j.jedi_task_id == jedi_task_id, j.status.in_(statuses)).with_for_update()
    rows = connection.execute(query.order_by(j.panda_id)).mappings().all()
    for row in rows:
        cancel_job(connection, row, reason)
    return [row["panda_id"] for row in rows]


def _files(connection: Connection, panda_id: int) -> Sequence[RowMapping]:
    query = select(t.job_file).where(t.job_file.c.panda_id == panda_id).order_by(t.job_file.c.row_id)
    return connection.execute(query).mappings().all()


def _free_inputs(connection: Connection, job: RowMapping, failed: bool) -> None:
    """Give slots back; only the slots themselves count attempts, further inputs and seeds just become free."""
    master = master_of(connection, job["jedi_task_id"])
    f = t.file.c
    for row in _files(connection, job["panda_id"]):
        if row["type"] in ("output", "log"):
            continue
        values: dict[str, Any] = {"status": "ready"}
        if master is not None and row["dataset_id"] == master["dataset_id"]:
            values["attempt_nr"] = f.attempt_nr + 1
            if failed:
                values["failed_attempt"] = f.failed_attempt + 1
        else:
            values["uses"] = f.uses - 1
        connection.execute(
            update(t.file).where(f.file_id == row["file_id"], f.panda_id == job["panda_id"]).values(**values)
        )


def _set_file(connection: Connection, row: RowMapping, **values: Any) -> None:
    connection.execute(update(t.file).where(t.file.c.file_id == row["file_id"]).values(**values))


def _set_job_file(connection: Connection, row: RowMapping, **values: Any) -> None:
    connection.execute(update(t.job_file).where(t.job_file.c.row_id == row["row_id"]).values(**values))


def _set_job(connection: Connection, panda_id: int, status: str, **values: Any) -> None:
    now = utc_now()
    stamps = {"status": status, "modification_time": now, "state_change_time": now}
    connection.execute(update(t.job).where(t.job.c.panda_id == panda_id).values(**stamps, **values))
