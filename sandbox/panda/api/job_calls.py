"""Endpoints on jobs. Recordings: ``unknown_ids``, ``chain_done``, ``killed``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from sandbox.panda import tables as t
from sandbox.panda.api.calls import Call, endpoint, not_owner
from sandbox.panda.api.describe_job import describe_jobs, describe_single_jobs
from sandbox.panda.api.envelope import Reply
from sandbox.panda.store import UNFINISHED_JOB, find_task
from sandbox.panda.tasks.outcome import cancel_job

UNKNOWN_JOB = {"command": "tobekilled", "status": "unknown"}


@endpoint("job/get_status", "GET")
def get_status(call: Call, job_ids: list[int], timeout: int = 60) -> Reply:  # noqa: ARG001 - of the contract
    """Status and pending command of jobs; a job in creation looks as if it did not exist."""
    j = t.job.c
    with call.engine.connect() as connection:
        query = select(j.panda_id, j.status, j.command_to_pilot).where(j.panda_id.in_(job_ids), j.status != "pending")
        known = {
            panda_id: {"command": command, "status": status} for panda_id, status, command in connection.execute(query)
        }
    return Reply(data=[known.get(one, UNKNOWN_JOB) for one in job_ids])


@endpoint("job/get_description", "any")
def get_description(call: Call, job_ids: list[int]) -> Reply:
    """Jobs with their files, null for unknown ids."""
    return Reply(data=describe_single_jobs(call.engine, job_ids))


@endpoint("job/get_description_incl_archive", "any")
def get_description_incl_archive(call: Call, job_ids: list[int]) -> Reply:
    """Return the same: the sandbox archives nothing."""
    return get_description(call, job_ids)


@endpoint("job/kill", "POST")
def kill(
    call: Call,
    job_ids: list[int],
    code: int | None = None,  # noqa: ARG001
    use_email_as_id: bool = False,  # noqa: ARG001
    kill_options: list[str] = [],  # noqa: ARG001, B006 - the signature is the contract
) -> Reply:
    """Cancel jobs one by one; false for those that are unknown, over, or not the caller's."""
    return Reply(data=[_kill_one(call, one) for one in job_ids])


def _kill_one(call: Call, panda_id: int) -> bool:
    with call.engine.begin() as connection:
        query = select(t.job).where(t.job.c.panda_id == panda_id).with_for_update()
        row = connection.execute(query).mappings().one_or_none()
        if row is None or row["status"] not in UNFINISHED_JOB:
            return False
        task = find_task(connection, row["jedi_task_id"])
        if task is None or not_owner(call, task["user_name"]):
            return False
        cancel_job(connection, row, f"killed by {call.user.dn}")
        return True


@endpoint("job/reassign", "POST")
def reassign(call: Call, job_ids: list[int]) -> Reply:  # noqa: ARG001
    """Accept and do nothing: JEDI's jobs are reassigned with their task."""
    return Reply()


@endpoint("job/set_debug_mode", "POST", production=True)
def set_debug_mode(call: Call, job_id: int, mode: bool) -> Reply:  # noqa: ARG001
    """Accept and do nothing; not recorded."""
    return Reply()


@endpoint("job/get_metadata_for_analysis_jobs", "GET")
def get_metadata_for_analysis_jobs(call: Call, task_id: int) -> Reply:
    """Job reports of the finished jobs by job id."""
    j = t.job.c
    with call.engine.connect() as connection:
        query = select(j.panda_id).where(j.jedi_task_id == task_id, j.status == "finished")
        described = describe_jobs(connection, connection.execute(query).scalars().all())
    found: dict[str, Any] = {str(one["PandaID"]): one["metadata"] for one in described if one}
    return Reply(data=found)
