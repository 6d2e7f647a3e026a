"""Commands that people gave (kill, finish, retry ...) are carried out here, some time after they were accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, or_, select, update

from sandbox.panda import tables as t
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.store import FINAL, find_task, master_of, set_status
from sandbox.panda.tasks.feed import max_attempt
from sandbox.panda.tasks.finish import pass_task
from sandbox.panda.tasks.outcome import cancel_jobs_of
from sandbox.panda.tasks.throttle import release_task

_AT_A_PILOT = ("sent", "starting", "running")
SLOW_KILL = "slow_kill"  # a kill found running jobs: the task stays `aborting` for minutes, a later kill too
_WAITING_JOB = ("pending", "defined", "assigned", "activated", "throttled")


_HALF_DONE = {"kill": "aborting", "finish": "finishing", "retry": "toretry", "incexec": "toincexec"}
"""Status of a task between the two steps of a command, for about a second (``partial_finished``, ``attributes``)."""

_ENDING = FINAL | {"prepared", "passed", "toabort", "aborting", "tobroken"}
_AGAIN = ("finished", "failed", "exhausted")


def execute_commands(engine: Engine, rhythms: Rhythms) -> None:
    """Carry out the registered commands in their order, or begin them; of several for one task a kill wins."""
    c = t.command.c
    with engine.connect() as connection:
        query = select(c.jedi_task_id).where(~c.done).group_by(c.jedi_task_id).order_by(c.jedi_task_id)
        targets = connection.execute(query).scalars().all()
    for jedi_task_id in targets:
        with engine.begin() as connection:
            task = find_task(connection, jedi_task_id, lock=True)
            query = select(t.command).where(c.jedi_task_id == jedi_task_id, ~c.done).order_by(c.command_id)
            commands = connection.execute(query.with_for_update()).mappings().all()
            if not commands:
                continue
            chosen = _choose(task, commands)
            begun = task is not None and _begin(connection, task, chosen)
            alone = chosen["name"] != "kill" and not _overtakes(task, chosen)
            over = {chosen["command_id"]} if alone else {one["command_id"] for one in commands}
            over -= {chosen["command_id"]} if begun else set()
            connection.execute(update(t.command).where(c.command_id.in_(over)).values(done=True))
            if task is not None and chosen["name"] not in _HALF_DONE:
                _ACTS[chosen["name"]](connection, task, chosen, rhythms)
    _end_soft_finishes(engine, rhythms)


def _choose(task: RowMapping | None, commands: Sequence[RowMapping]) -> RowMapping:
    """The command that is carried out: a kill, unless a pause came when it had begun (``kill_slow``, task 250)."""
    late = next((one for one in commands if _overtakes(task, one)), None)
    return late or next((one for one in commands if one["name"] == "kill"), commands[0])


def _overtakes(task: RowMapping | None, command: RowMapping) -> bool:
    """Whether a pause was given to a task that was `aborting` already: it wins, and the kill is forgotten."""
    if task is None or task["status"] != "aborting" or command["name"] != "pause":
        return False
    return bool(command["registered"] >= task["state_change_time"])


def _begin(connection: Connection, task: RowMapping, command: RowMapping) -> bool:
    """Do the first of two steps; whether a second one is to follow."""
    name, status = command["name"], task["status"]
    half = _HALF_DONE.get(name)
    if half is None:
        return False
    if status == half:
        return True
    if name in ("kill", "finish"):
        if status in _ENDING:
            return False
        old = task["old_status"] if status in (*_HALF_DONE.values(), "paused") and task["old_status"] else status
        columns = _stop_running_jobs(connection, task, command) if name == "kill" else {}
        set_status(connection, task["jedi_task_id"], half, command["comment"], old_status=old, **columns)
        return True
    if status not in (_AGAIN if name == "retry" else (*_AGAIN, "done", "aborted")):
        return False
    set_status(connection, task["jedi_task_id"], half, end_time=task["end_time"])
    return True


def _stop_running_jobs(connection: Connection, task: RowMapping, command: RowMapping) -> dict[str, Any]:
    """Take back the jobs of a killed task some of which run, minutes before the task ends; columns of the task.

    In the recording the running ones are `holding` with the command `tobekilled` for two minutes, then `cancelled`.
    """
    j = t.job.c
    running = j.jedi_task_id == task["jedi_task_id"], j.status.in_(_AT_A_PILOT)
    if connection.execute(select(j.panda_id).where(*running).limit(1)).first() is None:
        return {}
    cancel_jobs_of(connection, task["jedi_task_id"], command["comment"])
    return {"attributes": {**task["attributes"], SLOW_KILL: True}}


def _rests_s(rhythms: Rhythms, task: RowMapping) -> float:
    """How long a task stays between the two steps of a command [s]."""
    slow = task["status"] == "aborting" and task["attributes"].get(SLOW_KILL)
    return rhythms.abort_s if slow else rhythms.step_s


def complete_commands(engine: Engine, rhythms: Rhythms) -> None:
    """Do the second step of the commands that were begun a moment ago."""
    c, task_c = t.command.c, t.task.c
    begun = or_(*((c.name == name) & (task_c.status == half) for name, half in _HALF_DONE.items()))
    limit = utc_now() - timedelta(seconds=rhythms.step_s)
    with engine.connect() as connection:
        query = select(c.command_id).join(t.task, task_c.jedi_task_id == c.jedi_task_id)
        query = query.where(~c.done, begun, task_c.state_change_time <= limit).order_by(c.command_id)
        waiting = connection.execute(query).scalars().all()
    for command_id in waiting:
        with engine.begin() as connection:
            command = connection.execute(select(t.command).where(c.command_id == command_id)).mappings().one()
            task = find_task(connection, command["jedi_task_id"], lock=True)
            if task is not None and task["status"] == _HALF_DONE[command["name"]]:
                if task["state_change_time"] > utc_now() - timedelta(seconds=_rests_s(rhythms, task)):
                    continue
                connection.execute(update(t.command).where(c.command_id == command_id).values(done=True))
                _ACTS[command["name"]](connection, task, command, rhythms)


def _kill(connection: Connection, task: RowMapping, command: RowMapping, _rhythms: Rhythms) -> None:
    jedi_task_id, reason = task["jedi_task_id"], command["comment"]
    cancel_jobs_of(connection, jedi_task_id, reason)
    set_status(connection, jedi_task_id, "toabort", reason, look_again=None, old_status=None)


def _finish(connection: Connection, task: RowMapping, command: RowMapping, _rhythms: Rhythms) -> None:
    """Take the jobs back, of a soft finish only those that wait; the running ones may end."""
    jedi_task_id, reason = task["jedi_task_id"], command["comment"]
    if command["options"].get("soft"):
        cancel_jobs_of(connection, jedi_task_id, reason, _WAITING_JOB)
        return
    cancel_jobs_of(connection, jedi_task_id, reason)
    pass_task(connection, jedi_task_id, reason)


def _end_soft_finishes(engine: Engine, rhythms: Rhythms) -> None:
    limit = utc_now() - timedelta(seconds=rhythms.soft_finish_s)
    c, j = t.task.c, t.job.c
    with engine.begin() as connection:
        query = select(t.task).where(c.status == "finishing", c.state_change_time <= limit).with_for_update()
        for task in connection.execute(query).mappings().all():
            jedi_task_id, reason = task["jedi_task_id"], task["error_dialog"]
            busy = select(j.panda_id).where(
                j.jedi_task_id == jedi_task_id, j.status.in_(("sent", "running", "holding"))
            )
            if connection.execute(busy.limit(1)).first() is None:
                cancel_jobs_of(connection, jedi_task_id, reason)
                pass_task(connection, jedi_task_id, reason)


def _pause(connection: Connection, task: RowMapping, command: RowMapping, _rhythms: Rhythms) -> None:
    """Hold the waiting jobs back; their times of change stay (``pause_resume``)."""
    if task["status"] in FINAL or task["status"] in ("paused", "toabort"):
        return
    jedi_task_id = task["jedi_task_id"]
    j = t.job.c
    connection.execute(
        update(t.job)
        .where(j.jedi_task_id == jedi_task_id, j.status.in_(("pending", "defined", "activated")))
        .values(status="throttled")
    )
    old = task["old_status"] if task["status"] == "throttled" else task["status"]
    set_status(connection, jedi_task_id, "paused", command["comment"], old_status=old)


def _resume(connection: Connection, task: RowMapping, _command: RowMapping, rhythms: Rhythms) -> None:
    if task["status"] == "throttled":
        release_task(connection, task, utc_now() + timedelta(seconds=rhythms.pending_s))
    if task["status"] != "paused":
        return
    jedi_task_id = task["jedi_task_id"]
    j = t.job.c
    connection.execute(
        update(t.job)
        .where(j.jedi_task_id == jedi_task_id, j.status == "throttled")
        .values(status="activated", state_change_time=utc_now(), modification_time=utc_now())
    )
    back = task["old_status"] or "running"
    back = "running" if back == "aborting" else back  # not recorded: the kill was forgotten
    set_status(connection, jedi_task_id, back, old_status=None, error_dialog=None, hour_back=back == "running")


def _retry(connection: Connection, task: RowMapping, command: RowMapping, _rhythms: Rhythms) -> None:
    jedi_task_id, params = task["jedi_task_id"], task["params"]
    new = command["options"].get("new_parameters") or {}
    params = {**params, **new} if isinstance(new, dict) else params
    _give_attempts(connection, jedi_task_id, max_attempt(params))
    now = utc_now()
    columns = {"attempt_nr": (task["attempt_nr"] or 0) + 1, "end_time": None, "error_dialog": None, "params": params}
    columns["start_time"] = None  # and it stays so (recordings ``failed``, ``partial_finished``)
    set_status(connection, jedi_task_id, "ready", None, activated_time=now, queued_time=now, **columns)


def _give_attempts(connection: Connection, jedi_task_id: int, attempts: int) -> None:
    """Let every slot that is not finished be tried again `attempts` times."""
    master = master_of(connection, jedi_task_id)
    if master is None:
        return
    f = t.file.c
    connection.execute(
        update(t.file)
        .where(f.dataset_id == master["dataset_id"], f.status == "ready")
        .values(max_attempt=f.attempt_nr + attempts)
    )
    connection.execute(update(t.dataset).where(t.dataset.c.dataset_id == master["dataset_id"]).values(n_failed=0))


def _incexec(connection: Connection, task: RowMapping, _command: RowMapping, _rhythms: Rhythms) -> None:
    jedi_task_id = task["jedi_task_id"]
    _give_attempts(connection, jedi_task_id, max_attempt(task["params"]))
    set_status(connection, jedi_task_id, "rerefine", error_dialog=None)


def _reassign(connection: Connection, task: RowMapping, command: RowMapping, _rhythms: Rhythms) -> None:
    """Take the waiting jobs back and make them again; a final task gets its status a second time, as recorded."""
    jedi_task_id, options = task["jedi_task_id"], command["options"]
    columns: dict[str, Any] = {}
    if task["status"] in FINAL:
        if task["status"] not in ("done", "finished"):  # accepted, but nothing comes of it (``wrong_state_commands``)
            return
        columns["error_dialog"] = None
    else:
        cancel_jobs_of(connection, jedi_task_id, "reassigned by JEDI", _WAITING_JOB)
        if options.get("site"):
            columns["site"] = options["site"]
        elif options.get("cloud"):
            columns |= {"site": None, "attributes": {**task["attributes"], "cloud": options["cloud"]}}
        if task["status"] == "pending":
            columns["look_again"] = utc_now()
    set_status(connection, jedi_task_id, task["status"], end_time=task["end_time"], hour_back=True, **columns)


def _release(connection: Connection, task: RowMapping, _command: RowMapping, _rhythms: Rhythms) -> None:
    """Let a waiting task be looked at now: for its queue, its inputs or its parent. Not recorded beyond the reply."""
    if task["status"] == "throttled":
        release_task(connection, task)
    elif task["status"] in ("pending", "registered") and task["look_again"] is not None:
        c = t.task.c
        values = {"look_again": utc_now(), "attributes": {**task["attributes"], "released": True}}
        connection.execute(update(t.task).where(c.jedi_task_id == task["jedi_task_id"]).values(**values))


def _avalanche(connection: Connection, task: RowMapping, _command: RowMapping, _rhythms: Rhythms) -> None:
    """Scouts are taken as passed."""
    if task["status"] == "scouting":
        set_status(connection, task["jedi_task_id"], "scouted", scouting="avalanche")
        set_status(connection, task["jedi_task_id"], "running", hour_back=True)


_ACTS: dict[str, Callable[[Connection, RowMapping, RowMapping, Rhythms], None]] = {
    "kill": _kill,
    "finish": _finish,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
    "incexec": _incexec,
    "reassign": _reassign,
    "release": _release,
    "avalanche": _avalanche,
}
