"""Endpoints on tasks and jobs that a production does not use.

Their verbs, arguments and roles are those of panda-server 1.0.4; what they do there was NOT RECORDED: here they accept
what is well formed and say no to what the sandbox does not have.
"""

from __future__ import annotations

from sandbox.panda.api.calls import Call, endpoint
from sandbox.panda.api.envelope import Reply
from sandbox.panda.store import find_task

_NOT_HERE = "the sandbox has no such thing; what the real server does was not recorded"


@endpoint("job/submit", "POST")
def submit(call: Call, jobs: str) -> Reply:  # noqa: ARG001
    """Refuse jobs without a task: not recorded, only JEDI makes jobs here."""
    return Reply(False, _NOT_HERE)


@endpoint("job/set_command", "POST", production=True)
def set_command(call: Call, job_id: int, command: str) -> Reply:  # noqa: ARG001
    """Accept and do nothing; not recorded."""
    return Reply()


@endpoint("job/generate_offline_execution_script", "GET", secure=False)
def generate_offline_execution_script(call: Call, job_id: int, days: int | None = None) -> Reply:  # noqa: ARG001
    """Refuse to write a script; not recorded."""
    return Reply(False, _NOT_HERE)


@endpoint("task/get_jumbo_job_datasets", "GET")
def get_jumbo_job_datasets(call: Call, from_offset: int, to_offset: int = 0) -> Reply:  # noqa: ARG001
    """No jumbo jobs, no datasets; not recorded."""
    return Reply(data=[])


@endpoint("task/enable_job_cloning", "POST", production=True)
def enable_job_cloning(
    call: Call,
    jedi_task_id: int,
    mode: str | None = None,  # noqa: ARG001
    multiplicity: int | None = None,  # noqa: ARG001
    num_sites: int | None = None,  # noqa: ARG001
) -> Reply:
    """Jobs are not cloned here; not recorded."""
    return _cloning(call, jedi_task_id)


@endpoint("task/disable_job_cloning", "POST", production=True)
def disable_job_cloning(call: Call, jedi_task_id: int) -> Reply:
    """Jobs are not cloned here; not recorded."""
    return _cloning(call, jedi_task_id)


def _cloning(call: Call, jedi_task_id: int) -> Reply:
    with call.engine.connect() as connection:
        known = find_task(connection, jedi_task_id)
    return Reply(False, _NOT_HERE) if known else Reply(False, "Task not found")
