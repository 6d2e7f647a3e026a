"""How the end of jobs changes the tables: their files, their input slots, and with them the next attempt.

Everything is done for many jobs at once: the number of statements does not grow with the number of jobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, select, text

from sandbox.panda import tables as t
from sandbox.panda.bulk import chunks, one_of
from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import UNFINISHED_JOB

_AT_ONCE = 2000
_Columns = dict[str, list[Any]]

_SET_JOB_FILES = """
update job_file set status = :status, size = v.size, adler32 = v.adler32, guid = v.guid
from unnest(cast(:row_id as bigint[]), cast(:size as bigint[]), cast(:adler32 as text[]), cast(:guid as text[]))
    as v (row_id, size, adler32, guid)
where job_file.row_id = v.row_id
"""
_SET_FILES = """
update file set status = :status, size = v.size, adler32 = v.adler32, guid = v.guid, n_events = v.n_events,
    lost = v.lost
from unnest(cast(:file_id as bigint[]), cast(:size as bigint[]), cast(:adler32 as text[]), cast(:guid as text[]),
    cast(:events as bigint[]), cast(:lost as boolean[])) as v (file_id, size, adler32, guid, n_events, lost)
where file.file_id = v.file_id
"""
_FREE_INPUTS = """
update file set status = 'ready',
    attempt_nr = file.attempt_nr + case when d.master or d.type = 'random_seed' then 1 else 0 end,
    failed_attempt = file.failed_attempt + case when d.master then :failed else 0 end
from job_file jf join dataset d on d.dataset_id = jf.dataset_id
where jf.panda_id = any(:ids) and jf.type not in ('output', 'log')
    and file.file_id = jf.file_id and file.panda_id = jf.panda_id
"""
_FINISH_JOBS = """
update job set status = 'finished', n_events = v.n_events, modification_time = :now, state_change_time = :now
from unnest(cast(:ids as bigint[]), cast(:events as bigint[])) as v (panda_id, n_events)
where job.panda_id = v.panda_id
"""
_FAIL_JOBS = """
update job set status = 'failed', n_events = 0, errors = job.errors || cast(v.errors as jsonb),
    modification_time = :now, state_change_time = :now
from unnest(cast(:ids as bigint[]), cast(:errors as text[])) as v (panda_id, errors)
where job.panda_id = v.panda_id
"""
_CANCEL_JOBS = """
update job set status = 'cancelled', command_to_pilot = 'tobekilled', end_time = coalesce(end_time, :now),
    errors = errors || jsonb_build_object('taskBufferErrorCode', 100, 'taskBufferErrorDiag', cast(:reason as text)),
    modification_time = :now, state_change_time = :now
where panda_id = any(:ids)
"""
_CANCEL_OUTPUTS = (
    "update job_file set status = 'failed' where panda_id = any(:ids) and type in ('output', 'log')",
    "update file set status = 'cancelled' from job_file jf "
    "where jf.panda_id = any(:ids) and jf.type in ('output', 'log') and file.file_id = jf.file_id",
)


def finish_jobs(
    connection: Connection, jobs: Sequence[RowMapping], lost: Mapping[int, Sequence[str]] | None = None
) -> None:
    """Let the jobs' success count: outputs and inputs are finished. Files in `lost` never reach a catalogue."""
    lost = lost or {}
    for some in chunks(jobs, _AT_ONCE):
        ids = [job["panda_id"] for job in some]
        outputs = _outputs(connection, some, lost)
        _set_outputs(connection, "finished", outputs)
        connection.execute(
            text(
                "update file set status = 'finished' from job_file jf where jf.panda_id = any(:ids) "
                "and jf.type not in ('output', 'log') and file.file_id = jf.file_id"
            ),
            {"ids": ids},
        )
        events = [job["report"].get("n_events", 0) for job in some]
        connection.execute(text(_FINISH_JOBS), {"ids": ids, "events": events, "now": utc_now()})


def fail_jobs(
    connection: Connection, jobs: Sequence[RowMapping], errors: Mapping[int, dict[str, Any]] | None = None
) -> None:
    """Let the jobs' failure count: their slots get their next attempt, or are exhausted."""
    errors = errors or {}
    for some in chunks(jobs, _AT_ONCE):
        ids = [job["panda_id"] for job in some]
        _set_outputs(connection, "failed", _outputs(connection, some, {}, ("log",)))
        connection.execute(text(_FREE_INPUTS), {"ids": ids, "failed": 1})
        added = [json.dumps(errors.get(one, {})) for one in ids]
        connection.execute(text(_FAIL_JOBS), {"ids": ids, "errors": added, "now": utc_now()})


def cancel_jobs(connection: Connection, panda_ids: Sequence[int], reason: str) -> None:
    """Let a command end the jobs: outputs are cancelled, slots become free for another attempt."""
    for some in chunks(panda_ids, _AT_ONCE):
        ids = list(some)
        for statement in _CANCEL_OUTPUTS:
            connection.execute(text(statement), {"ids": ids})
        connection.execute(text(_FREE_INPUTS), {"ids": ids, "failed": 0})
        connection.execute(text(_CANCEL_JOBS), {"ids": ids, "reason": reason, "now": utc_now()})


def finish_job(connection: Connection, job: RowMapping, lost: Sequence[str] = ()) -> None:
    """Let one job's success count."""
    finish_jobs(connection, [job], {job["panda_id"]: lost})


def fail_job(connection: Connection, job: RowMapping, errors: dict[str, Any] | None = None) -> None:
    """Let one job's failure count."""
    fail_jobs(connection, [job], {job["panda_id"]: errors or {}})


def cancel_job(connection: Connection, job: RowMapping, reason: str) -> None:
    """Let a command end one job."""
    cancel_jobs(connection, [job["panda_id"]], reason)


def cancel_jobs_of(
    connection: Connection, jedi_task_id: int, reason: str, statuses: Sequence[str] = UNFINISHED_JOB
) -> list[int]:
    """Cancel the unfinished jobs of a task; their ids."""
    j = t.job.c
    query = select(j.panda_id).where(j.jedi_task_id == jedi_task_id, j.status.in_(statuses)).with_for_update()
    ids = list(connection.execute(query.order_by(j.panda_id)).scalars())
    cancel_jobs(connection, ids, reason)
    return ids


def _outputs(
    connection: Connection,
    jobs: Sequence[RowMapping],
    lost: Mapping[int, Sequence[str]],
    believed: Sequence[str] = ("output", "log"),
) -> _Columns:
    """Output and log files of jobs, column by column; what the pilot said of a file counts for the types `believed`."""
    reported = {job["panda_id"]: (job["report"] or {}).get("files", {}) for job in jobs}
    f = t.job_file.c
    query = select(f.row_id, f.file_id, f.panda_id, f.type, f.lfn)
    query = query.where(one_of(f.panda_id, list(reported)), f.type.in_(("output", "log"))).order_by(f.row_id)
    columns: _Columns = {name: [] for name in ("row_id", "file_id", "size", "adler32", "guid", "events", "lost")}
    for row_id, file_id, panda_id, kind, lfn in connection.execute(query):
        said = reported[panda_id].get(lfn, {}) if kind in believed else {}
        known = (said.get("size", 0), said.get("adler32"), said.get("guid"), said.get("events"))
        for name, value in zip(columns, (row_id, file_id, *known, lfn in lost.get(panda_id, ())), strict=True):
            columns[name].append(value)
    return columns


def _set_outputs(connection: Connection, status: str, outputs: _Columns) -> None:
    in_job = "ready" if status == "finished" else status
    connection.execute(text(_SET_JOB_FILES), _only(outputs, "row_id", "size", "adler32", "guid") | {"status": in_job})
    parts = _only(outputs, "file_id", "size", "adler32", "guid", "events", "lost")
    connection.execute(text(_SET_FILES), parts | {"status": status})


def _only(columns: _Columns, *names: str) -> dict[str, Any]:
    return {name: columns[name] for name in names}
