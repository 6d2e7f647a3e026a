"""Commands that people gave (kill, finish, retry ...) are carried out here, some time after they were accepted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection, Engine, RowMapping, select, update

from sandbox.panda import tables as t
from sandbox.panda.feed import max_attempt
from sandbox.panda.outcome import cancel_jobs_of
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.store import FINAL, count_master_files, find_task, master_of, set_status

_WAITING_JOB = ("pending", "defined", "assigned", "activated", "throttled")


def execute_commands(engine: Engine, rhythms: Rhythms) -> None:
    """Carry out the registered commands in their order; of several for one task a kill wins."""
    c = t.command.c
    with engine.connect() as connection:
        query = select(c.jedi_task_id).where(~c.done).group_by(c.jedi_task_id).order_by(c.jedi_task_id)
        targets = connection.execute(query).scalars().all()
    for jedi_task_id in targets:
        with engine.begin() as connection:
            task = find_task(connection, jedi_task_id, lock=True)
            query = select(t.command).where(c.jedi_task_id == jedi_task_id, ~c.done).order_by(c.command_id)
            commands = connection.execute(query.with_for_update()).mappings().all()
            chosen = next((one for one in commands if one["name"] == "kill"), commands[0])
            drop = [one["command_id"] for one in commands] if chosen["name"] == "kill" else [chosen["command_id"]]
            connection.execute(update(t.command).where(c.command_id.in_(drop)).values(done=True))
            if task is not None:
                _ACTS[chosen["name"]](connection, task, chosen)
    _end_soft_finishes(engine, rhythms)


def _kill(connection: Connection, task: RowMapping, command: RowMapping) -> None:
    if task["status"] in FINAL:
        return
    jedi_task_id, reason = task["jedi_task_id"], command["comment"]
    set_status(connection, jedi_task_id, "aborting")
    cancel_jobs_of(connection, jedi_task_id, reason)
    set_status(connection, jedi_task_id, "toabort", reason, look_again=None, old_status=None)


def _finish(connection: Connection, task: RowMapping, command: RowMapping) -> None:
    if task["status"] in FINAL:
        return
    jedi_task_id, reason = task["jedi_task_id"], command["comment"]
    if command["options"].get("soft"):
        cancel_jobs_of(connection, jedi_task_id, reason, _WAITING_JOB)
        set_status(connection, jedi_task_id, "finishing", reason, old_status=task["status"])
        return
    set_status(connection, jedi_task_id, "finishing", reason)
    cancel_jobs_of(connection, jedi_task_id, reason)
    _pass(connection, jedi_task_id, reason)


def _pass(connection: Connection, jedi_task_id: int, reason: str) -> None:
    """Close the work of a task: what is not finished by now counts as failed."""
    counts = count_master_files(connection, jedi_task_id)
    failed = counts["total"] - counts["finished"]
    connection.execute(
        update(t.dataset).where(t.dataset.c.jedi_task_id == jedi_task_id, t.dataset.c.master).values(n_failed=failed)
    )
    set_status(connection, jedi_task_id, "passed", reason, old_status=None, look_again=None)


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
                _pass(connection, jedi_task_id, reason)


def _pause(connection: Connection, task: RowMapping, command: RowMapping) -> None:
    if task["status"] in FINAL or task["status"] == "paused":
        return
    jedi_task_id = task["jedi_task_id"]
    j = t.job.c
    connection.execute(
        update(t.job)
        .where(j.jedi_task_id == jedi_task_id, j.status.in_(("pending", "defined", "activated")))
        .values(status="throttled", state_change_time=utc_now(), modification_time=utc_now())
    )
    set_status(connection, jedi_task_id, "paused", command["comment"], old_status=task["status"])


def _resume(connection: Connection, task: RowMapping, command: RowMapping) -> None:  # noqa: ARG001
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
    set_status(connection, jedi_task_id, back, old_status=None, error_dialog=None, hour_back=back == "running")


def _retry(connection: Connection, task: RowMapping, command: RowMapping) -> None:
    if task["status"] not in ("finished", "failed", "exhausted"):
        return
    jedi_task_id, params = task["jedi_task_id"], task["params"]
    new = command["options"].get("new_parameters") or {}
    set_status(connection, jedi_task_id, "toretry")
    params = {**params, **new} if isinstance(new, dict) else params
    _give_attempts(connection, jedi_task_id, max_attempt(params))
    now = utc_now()
    columns = {"attempt_nr": (task["attempt_nr"] or 0) + 1, "end_time": None, "error_dialog": None, "params": params}
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


def _incexec(connection: Connection, task: RowMapping, command: RowMapping) -> None:  # noqa: ARG001
    jedi_task_id = task["jedi_task_id"]
    set_status(connection, jedi_task_id, "toincexec")
    _give_attempts(connection, jedi_task_id, max_attempt(task["params"]))
    set_status(connection, jedi_task_id, "rerefine", error_dialog=None)


def _reassign(connection: Connection, task: RowMapping, command: RowMapping) -> None:
    """Take the jobs back and make them again; a final task gets its status a second time, as recorded."""
    jedi_task_id = task["jedi_task_id"]
    if task["status"] not in FINAL:
        cancel_jobs_of(connection, jedi_task_id, "reassigned by JEDI", _WAITING_JOB)
        if command["options"].get("site"):
            connection.execute(
                update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(site=command["options"]["site"])
            )
    set_status(connection, jedi_task_id, task["status"], end_time=task["end_time"])


def _nothing(connection: Connection, task: RowMapping, command: RowMapping) -> None:
    """Accept what changes nothing in a small JEDI."""


def _avalanche(connection: Connection, task: RowMapping, command: RowMapping) -> None:  # noqa: ARG001
    """Scouts are taken as passed."""
    if task["status"] == "scouting":
        set_status(connection, task["jedi_task_id"], "scouted", scouting="avalanche")
        set_status(connection, task["jedi_task_id"], "running", hour_back=True)


_ACTS: dict[str, Callable[[Connection, RowMapping, RowMapping], None]] = {
    "kill": _kill,
    "finish": _finish,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
    "incexec": _incexec,
    "reassign": _reassign,
    "release": _nothing,
    "avalanche": _avalanche,
}
