"""Submission and commands. Recordings: ``duplicates``, ``twins``, ``wrong_state_commands``, ``killed``, ``auth``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DataError

from sandbox.panda import tables as t
from sandbox.panda.api.calls import Call, endpoint, not_owner
from sandbox.panda.api.envelope import Reply
from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import FINAL, find_task
from sandbox.panda.trouble.faults import Faults

NOT_OWNER = Reply(False, "not the task owner or no production role")
_ALREADY_ENDING = frozenset({"toabort", "aborting", "tobroken", "passed"})
_ABORTING = frozenset({"aborting", "toabort"})
_DEMANDED = ("vo", "prodSourceLabel", "taskName")
_LONGEST_NAME = 512


def _accepts(name: str, status: str) -> bool:
    """Whether a command is accepted in a status."""
    if name == "reassign":
        return True
    if name in ("retry", "incexec"):
        again = {"finished", "failed", "exhausted"}
        return status in (again if name == "retry" else again | {"done", "aborted"})
    if name == "pause" and status in _ABORTING:  # accepted, and it wins over the kill (``kill_slow``)
        return True
    if status in FINAL or status in _ALREADY_ENDING:
        return False
    if name in ("kill", "finish"):
        return status != "prepared"
    if name == "resume":
        return status in ("paused", "throttled", "staging")
    if name == "avalanche":
        return status == "scouting"
    return status != "paused"


@endpoint("task/submit", "POST")
def submit(call: Call, task_parameters: dict, parent_tid: int | None = None) -> Reply:
    """Store a map; JEDI looks at it later, so nearly everything is accepted here."""
    params = dict(task_parameters)
    if any(key not in params for key in _DEMANDED) or len(str(params["taskName"])) > _LONGEST_NAME:
        return Reply(False, "failed to register task", 4)
    if not call.user.production:
        params |= {"taskType": "anal", "taskPriority": 1000}
    try:
        with call.engine.begin() as connection:
            reply = _submit(connection, call, params, parent_tid)
            drop = reply.success and Faults(call.engine, call.scenario).loses_submission(
                connection, str(params["taskName"]), reply.data
            )
    except DataError:
        return Reply(False, "failed to register task", 4)
    return Reply(reply.success, reply.message, reply.data, drop=drop)


def _submit(connection: Connection, call: Call, params: dict[str, Any], parent_tid: int | None) -> Reply:
    user = call.user.name
    if "parentTaskName" in params and not parent_tid:
        parent_tid = _find_parent(connection, user, params["parentTaskName"])
        if parent_tid is None:
            said = f'failed to find parent with user="{user}" name={params["parentTaskName"]}'
            return Reply(False, said, 11)
    if params.get("taskType") == "anal":
        reply = _rerun_analysis(connection, call, params)
        if reply is not None:
            return reply
    jedi_task_id = connection.execute(select(t.task_number.next_value())).scalar_one()
    values = {"jedi_task_id": jedi_task_id, "user_name": user, "params": params, "parent_tid": parent_tid}
    connection.execute(insert(t.submission).values(**values, created=utc_now()))
    return Reply(True, f"succeeded. new jediTaskID={jedi_task_id}", jedi_task_id)


def _find_parent(connection: Connection, user: str, name: str) -> int | None:
    c = t.task.c
    query = select(c.jedi_task_id).where(c.user_name == user, c.task_name == str(name)).order_by(c.jedi_task_id)
    return connection.execute(query).scalars().first()


def _rerun_analysis(connection: Connection, call: Call, params: dict[str, Any]) -> Reply | None:
    """An analysis task of the same name is taken up again instead of made twice."""
    found = _find_parent(connection, call.user.name, params["taskName"]) if params.get("uniqueTaskName") else None
    row = find_task(connection, found) if found else None
    if row is None or row["task_type"] != "anal":
        return None
    status = row["status"]
    if _accepts("incexec", status):
        _register(connection, found or 0, "incexec", f"incexec by {call.user.name}", {})
        said = f"reactivation accepted. jediTaskID={found} (currently in {status} state) will be re-executed "
        return Reply(True, said + "with old and/or new input", found)
    said = (
        f"jediTaskID={found} is in the {status} state for outDS={params['taskName']}. You can re-submit the task with "
        "new parameters for the same or another input once it goes into finished/failed/done. "
        "Or you can retry the task once it goes into running/finished/failed/done. "
        "Note that retry != resubmission according to "
        "https://twiki.cern.ch/twiki/bin/view/PanDA/PandaJEDI#Task_retry_and_resubmission "
    )
    return Reply(False, said, 2)


def _register(connection: Connection, jedi_task_id: int, name: str, comment: str, options: dict[str, Any]) -> None:
    values = {"jedi_task_id": jedi_task_id, "name": name, "comment": comment, "options": options}
    connection.execute(insert(t.command).values(**values, registered=utc_now()))


def _command(
    call: Call, jedi_task_id: int, name: str, *, owner: bool = False, comment: str = "", **options: Any
) -> Reply:
    """Register a command, or say why not."""
    with call.engine.begin() as connection:
        row = find_task(connection, jedi_task_id)
        if row is None:
            return Reply(False, f"jediTaskID={jedi_task_id} not found", 2)
        if owner and not_owner(call, row["user_name"]):
            return NOT_OWNER
        if not _accepts(name, row["status"]):
            said = f"Command rejected: the {name} command is not accepted if the task is in {row['status']} status "
            return Reply(False, said, 4)
        _register(connection, jedi_task_id, name, comment or f"{name} by {call.user.name}", options)
    said = f"command={name} is registered for task ID {jedi_task_id}. will be executed in a few minutes"
    return Reply(True, said, 0)


@endpoint("task/kill", "POST")
def kill(call: Call, task_id: int, broadcast: bool = False) -> Reply:  # noqa: ARG001 - of the contract
    """End a task and all its jobs."""
    return _command(call, task_id, "kill", owner=True)


@endpoint("task/finish", "POST")
def finish(call: Call, task_id: int, soft: bool = False, broadcast: bool = False) -> Reply:  # noqa: ARG001
    """End a task with what it has; soft: let running jobs end."""
    comment = f"{'soft ' if soft else ''}finish by {call.user.name}"
    return _command(call, task_id, "finish", owner=True, comment=comment, soft=soft)


@endpoint("task/retry", "POST")
def retry(
    call: Call,
    task_id: int,
    new_parameters: Any = None,
    no_child_retry: bool = False,  # noqa: ARG001
    discard_events: bool = False,  # noqa: ARG001
    disable_staging_mode: bool = False,  # noqa: ARG001
    keep_gshare_priority: bool = False,  # noqa: ARG001
    ignore_hard_exhausted: bool = False,  # noqa: ARG001
) -> Reply:
    """Try what failed again; says success even when refused, only the data tell."""
    if new_parameters:
        return _resubmit(call, task_id, new_parameters)
    reply = _command(call, task_id, "retry", owner=True)
    return reply if reply is NOT_OWNER else Reply(True, reply.message, reply.data)


def _resubmit(call: Call, task_id: int, new_parameters: Any) -> Reply:
    """With new parameters a retry is a new task from the old map (recording ``duplicates``)."""
    with call.engine.connect() as connection:
        row = find_task(connection, task_id)
    if row is None:
        return Reply(True, f"jediTaskID={task_id} not found", 2)
    if not_owner(call, row["user_name"]):
        return NOT_OWNER
    new = new_parameters if isinstance(new_parameters, dict) else {}
    with call.engine.begin() as connection:
        reply = _submit(connection, call, {**row["params"], **new}, None)
    return Reply(True, reply.message, 0 if reply.success else reply.data)


@endpoint("task/pause", "POST", production=True)
def pause(call: Call, task_id: int) -> Reply:
    """Hold a task's jobs back."""
    return _command(call, task_id, "pause")


@endpoint("task/resume", "POST", production=True)
def resume(call: Call, task_id: int) -> Reply:
    """Go on after a pause."""
    return _command(call, task_id, "resume")


@endpoint("task/release", "POST", production=True)
def release(call: Call, task_id: int) -> Reply:
    """Let a task that waits for a queue, its inputs, its parent or room be looked at now."""
    return _command(call, task_id, "release")


@endpoint("task/avalanche", "POST", production=True)
def avalanche(call: Call, task_id: int) -> Reply:
    """Do not wait for the scouts any longer."""
    return _command(call, task_id, "avalanche")


@endpoint("task/reload_input", "POST")
def reload_input(call: Call, task_id: int, ignore_hard_exhausted: bool = False) -> Reply:  # noqa: ARG001
    """Look at the inputs again; its refusals call it incexec."""
    return _command(call, task_id, "incexec")


@endpoint("task/reassign", "POST")
def reassign(
    call: Call,
    task_id: int,
    site: str | None = None,
    cloud: str | None = None,
    nucleus: str | None = None,  # noqa: ARG001
    mode: str | None = None,  # noqa: ARG001
) -> Reply:
    """Send a task elsewhere; accepted in every state."""
    return _command(call, task_id, "reassign", site=site, cloud=cloud)


@endpoint("task/reactivate", "POST", production=True)
def reactivate(
    call: Call,
    task_id: int,
    keep_attempt_nr: bool = False,  # noqa: ARG001
    trigger_job_generation: bool = False,  # noqa: ARG001
) -> Reply:
    """Let a task look for work again; says success for unknown ids too."""
    with call.engine.begin() as connection:
        connection.execute(
            update(t.task)
            .where(t.task.c.jedi_task_id == task_id, t.task.c.status == "pending")
            .values(look_again=utc_now())
        )
    return Reply(True, f"updated 0 inputs and task {task_id} was reactivated ", 0)
