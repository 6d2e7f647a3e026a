"""The border to PanDA: what it says comes out as our objects and errors, and nothing else does."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from prodsys.errors import (
    PandaAnswerInvalid,
    PandaRefused,
    PandaRoleMissing,
    PandaUnavailable,
    SpecInvalid,
    SubmissionInDoubt,
    TaskUnknown,
)
from prodsys.model.evidence import TaskDataset, TaskReading
from prodsys.model.journal import Journal
from prodsys.model.outcome import JobRecord, TaskInfo
from prodsys.model.statuses import JobStatus, TaskStatus
from prodsys.panda.answers import check_readable, dataset_rows, filled, filled_rows, job_ids, listed, task_rows
from prodsys.panda.parse import job_record, task_datasets, task_info
from prodsys.panda.task_map import datasets_of_map, plain_name
from prodsys.panda.wire import NoAnswer, Reply, Wire
from prodsys.transport import MAX_BYTES

LOG = logging.getLogger(__name__)
T = TypeVar("T")

LABEL = "managed"  # prodSourceLabel of productions; PanDA's default for lists is `user`
JOBS_AT_ONCE = 500
NAMES_AT_MOST = 500  # rows a search by name may bring
MORE = 8  # so many times as many are asked for when a list was full
LONG_AGO = timedelta(days=365)
SINGLES = 20  # so many tasks missing in a list are asked for one by one in a call
DATASET_TYPES = ("input", "pseudo_input", "output", "log")
SHOWN_IDS = 5
OUTPUT_TYPES = ("output", "log")  # of the stock refiner the datasets that are filled, not their templates
# PanDA's codes in `data`
UNKNOWN_TASK, TOO_MANY_TASKS = 2, 10
_STRANGE: set[str] = set()  # words we have warned about
_NEW_TASK = re.compile(r"^succeeded\. new jediTaskID=(\d+)$")
_PLAIN_NAME = re.compile(r"^[A-Za-z0-9._\-]+$")


class PandaClient:
    """One PanDA server as one identity sees it; safe to share between threads.

    Parameters
    ----------
    url
        Scheme and host of the server; ``/api/v1`` follows by itself.
    origin
        VO and role as the server separates them: ``spd.production``.
    token
        Gives a valid token at every call; it is never kept, logged or shown.
    timeout_s
        Longest time until an answer is complete [s].
    journal
        Where each call leaves a line.
    max_bytes
        Largest answer.
    """

    def __init__(
        self,
        url: str,
        origin: str,
        token: Callable[[], str],
        timeout_s: float,
        journal: Journal | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._wire = Wire(url, origin, token, timeout_s, journal, max_bytes)
        self._asked: dict[int, float] = {}  # task missing in lists -> when it was last asked for

    # --- one task ---------------------------------------------------------------------------------------------------
    def submit(self, task_map: Mapping[str, object], parent_tid: int | None = None) -> int:
        """The id of the task made of a map; sent once, never repeated here.

        Raises
        ------
        SubmissionInDoubt
            The map was sent, the answer was lost: PanDA itself must tell whether there is a task.
        PandaUnavailable
            The map surely did not reach PanDA, or it turned it away for now.
        PandaRefused, PandaRoleMissing
            PanDA said no.
        """
        name = str(task_map.get("taskName"))
        body = {"task_parameters": dict(task_map), "parent_tid": parent_tid}
        try:
            reply = self._wire.post("task/submit", body, target=name)
        except NoAnswer as error:
            raise SubmissionInDoubt(name, error.reason) from error
        return _new_task(name, reply)

    def get_status(self, jedi_task_id: int) -> TaskStatus:
        """Status of a task; TaskUnknown when PanDA knows none."""
        reply = self._read("task/get_status", jedi_task_id)
        return _status(jedi_task_id, reply.data)

    def get_task(self, jedi_task_id: int) -> TaskInfo:
        """A task with its refined map and PanDA's words about it; TaskUnknown when PanDA knows none."""
        call = "task/get_detailed_info"
        data = self._read(call, jedi_task_id).data
        return _shaped(call, lambda: task_info(filled(call, data, "jediTaskID", "status")))

    def get_task_map(self, jedi_task_id: int) -> dict[str, object]:
        """The map PanDA holds of a task; TaskUnknown when PanDA knows none. An aborted twin has its name in it."""
        data = self._read("task/get_task_parameters", jedi_task_id).data
        found = filled("task/get_task_parameters", data)
        return _shaped("task/get_task_parameters", lambda: dict(json.loads(found) if isinstance(found, str) else found))

    def get_files(self, jedi_task_id: int, types: Collection[str] = DATASET_TYPES) -> tuple[TaskDataset, ...]:
        """Datasets of a task with their files, failed attempts' included; none while it is not refined."""
        call = "task/get_datasets_and_files"
        query = {"task_id": jedi_task_id, "dataset_types": list(types)}
        reply = self._wire.get(call, query, target=str(jedi_task_id))
        if not reply.success and reply.message.startswith("No data found"):
            return ()
        data = _granted(call, reply).data
        return _shaped(call, lambda: task_datasets(dataset_rows(call, data)))

    def get_jobs(self, jedi_task_id: int) -> tuple[JobRecord, ...]:
        """All attempts of all jobs of a task, in the order of their ids; none while it is not refined.

        An empty answer is no proof that there are none: what follows from the jobs of an ended task is decided on
        ``read_ended_task``.

        Raises
        ------
        PandaUnavailable
            PanDA names more jobs than it describes: it could not read some of them.
        """
        jobs, undescribed = self._read_jobs(jedi_task_id)
        if undescribed:
            named = len(jobs) + len(undescribed)
            shown = ", ".join(map(str, undescribed[:SHOWN_IDS]))
            raise PandaUnavailable(
                f"PanDA names {named} jobs of task {jedi_task_id} and describes {len(jobs)}: not {shown}"
            )
        return jobs

    def read_ended_task(self, jedi_task_id: int) -> TaskReading:
        """Everything PanDA tells of an ended task, from both of its sources; to be compared before it is believed.

        Raises
        ------
        PandaUnavailable
            One of the answers is missing. `Task not found` is no news of a task that has ended.
        """
        try:
            info = self.get_task(jedi_task_id)
            datasets = self.get_files(jedi_task_id)
            jobs, undescribed = self._read_jobs(jedi_task_id)
        except TaskUnknown as error:
            raise PandaUnavailable(f"task {jedi_task_id} has ended and is not shown any more") from error
        inputs = frozenset(plain_name(name) for name in datasets_of_map(info.task_map, "input"))
        return TaskReading(info, datasets, jobs, undescribed, inputs)

    # --- many tasks -------------------------------------------------------------------------------------------------
    def find_tasks(self, task_name: str) -> tuple[TaskInfo, ...]:
        """Tasks of exactly this name, of any user, lowest id first.

        Notes
        -----
        A task not yet refined is not found, and an aborted twin has lost its name. PanDA takes a value with characters
        of regular expressions for a pattern and applies it to the rows it already cut off; such a name is not searched.
        """
        if not _PLAIN_NAME.match(task_name):
            raise SpecInvalid("task name", f"{task_name!r} cannot be searched", "letters, digits and . - _ only")
        call = "task/get_tasks_detailed_info_since"
        query = {"filters": json.dumps({"taskName": task_name}), "n_tasks": NAMES_AT_MOST}
        data = _granted(call, self._wire.get(call, query, target=task_name)).data
        found = [one for one in _tasks(call, data) if one.task_name == task_name]
        return tuple(sorted(found, key=lambda task: task.jedi_task_id))

    def list_tasks(self, vo: str, since: datetime) -> tuple[TaskInfo, ...]:
        """Tasks of all users that were modified since, lowest id first; a full list is asked for again, longer."""
        call = "task/get_tasks_detailed_info_since"
        query = {
            "since": since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "filters": json.dumps({"vo": vo, "prodSourceLabel": LABEL}),
        }
        limit, data = NAMES_AT_MOST, None
        while data is None or len(data) >= limit:
            limit *= 1 if data is None else MORE
            data = listed(call, _granted(call, self._wire.get(call, query | {"n_tasks": limit}, target=vo)).data)
        return tuple(sorted(_tasks(call, data), key=lambda task: task.jedi_task_id))

    def list_statuses(self, ids: Collection[int], window_s: float) -> dict[int, TaskStatus]:
        """Status of these tasks, ``UNSEEN`` for one that PanDA does not know; no news of some when they are many.

        One call for those modified within the window [s]. What is missing in it (not refined, another user's, not
        changed for long) is asked for one by one: so many a call as `SINGLES`, those first that were not asked for
        longest.
        """
        wanted = set(ids)
        if not wanted:
            return {}
        since = datetime.now(UTC) - timedelta(seconds=window_s)
        found = {one: status for one, status in self.list_modified(since, min(wanted)).items() if one in wanted}
        missing = sorted(wanted - set(found), key=lambda one: (self._asked.get(one, 0.0), one))[:SINGLES]
        self._asked = {one: when for one, when in self._asked.items() if one in wanted}
        for one in missing:
            self._asked[one] = time.monotonic()
            found[one] = self.status_or_unseen(one)
        return found

    def list_modified(self, since: datetime, min_task_id: int) -> dict[int, TaskStatus]:
        """Status of our tasks, from this id on, that were modified since."""
        rows = self._modified_since(since.astimezone(UTC), min_task_id)
        ids = {int(row["jediTaskID"]): row["status"] for row in rows}
        return {one: _status(one, word) for one, word in ids.items()}

    def status_or_unseen(self, jedi_task_id: int) -> TaskStatus:
        """Status of a task, ``UNSEEN`` when PanDA knows none."""
        try:
            return self.get_status(jedi_task_id)
        except TaskUnknown:
            return TaskStatus.UNSEEN

    def list_own_names(self, min_task_id: int) -> dict[int, str]:
        """Id -> name of this user's productions of the last year from this id on; aborted twins have no name.

        PanDA reads them from one table, and ``find_tasks`` from two: the two answers are evidence for each other.
        """
        rows = self._modified_since(datetime.now(UTC) - LONG_AGO, min_task_id)
        return {int(row["jediTaskID"]): str(row.get("taskName") or "") for row in rows}

    # --- commands: registered by PanDA, carried out within minutes --------------------------------------------------
    def kill(self, jedi_task_id: int) -> None:
        """Abort a task; PandaRefused in a final status, TaskUnknown (and the command lost) before refinement."""
        self._command("kill", jedi_task_id)

    def finish(self, jedi_task_id: int) -> None:
        """End a task with what it has; running jobs are killed."""
        self._command("finish", jedi_task_id)

    def pause(self, jedi_task_id: int) -> None:
        """Hold a task."""
        self._command("pause", jedi_task_id)

    def resume(self, jedi_task_id: int) -> None:
        """Let a paused task go on."""
        self._command("resume", jedi_task_id)

    def retry(self, jedi_task_id: int) -> None:
        """Let a finished, failed or exhausted task try its failed inputs again."""
        self._command("retry", jedi_task_id)

    # --- the server and we ------------------------------------------------------------------------------------------
    def change_priority(self, jedi_task_id: int, priority: int) -> None:
        """Give a task and its waiting jobs another priority; PanDA refuses no number and no status."""
        call = "task/change_priority"
        reply = self._wire.post(call, {"task_id": jedi_task_id, "priority": priority}, target=str(jedi_task_id))
        if not reply.success and "not found" in reply.message:
            raise TaskUnknown(jedi_task_id)
        _granted(call, reply)

    def ensure_role(self) -> None:
        """Nothing, when our token makes productions.

        Raises
        ------
        PandaRoleMissing
            A task sent with it would run as somebody's analysis.
        """
        attributes = self._user_attributes()
        if attributes.get("is_production_user") is not True:
            who = attributes.get("user_dn_clean") or "this identity"
            raise PandaRoleMissing(
                f"PanDA does not see the production role of {who} (roles: {attributes.get('fqans') or 'none'}): "
                "put it into the production group of the IAM and check PRODSYS_PANDA_ORIGIN"
            )

    def user_name(self) -> str:
        """Our name as PanDA stores it with our tasks."""
        return str(self._user_attributes().get("user_dn_clean") or "")

    def is_alive(self) -> None:
        """Nothing, when PanDA answers us; else an error that says what is wrong."""
        _granted("system/is_alive", self._wire.get("system/is_alive"))

    # --- inside -----------------------------------------------------------------------------------------------------
    def _user_attributes(self) -> Mapping[str, Any]:
        call = "system/get_user_attributes"
        data = _granted(call, self._wire.get(call)).data
        return data if isinstance(data, dict) else {}

    def _read(self, call: str, jedi_task_id: int, **details: object) -> Reply:
        reply = self._wire.get(call, {"task_id": jedi_task_id, **details}, target=str(jedi_task_id))
        if not reply.success and "not found" in reply.message:
            raise TaskUnknown(jedi_task_id)
        return _granted(call, reply)

    def _command(self, command: str, jedi_task_id: int) -> None:
        reply = self._wire.post(f"task/{command}", {"task_id": jedi_task_id}, target=str(jedi_task_id))
        if reply.data == UNKNOWN_TASK and "not found" in reply.message:
            raise TaskUnknown(jedi_task_id)
        if not reply.success or reply.data != 0:  # retry says success even when it refuses: the code tells
            raise PandaRefused(f"task/{command} of {jedi_task_id}", reply.message, _code(reply.data))

    def _read_jobs(self, jedi_task_id: int) -> tuple[tuple[JobRecord, ...], tuple[int, ...]]:
        """Jobs as described, in the order of their ids, and the ids that PanDA names and does not describe."""
        call = "task/get_job_ids"
        data = self._read(call, jedi_task_id).data
        ids = _shaped(call, lambda: job_ids(call, data))
        rows = [row for row in self._job_rows(jedi_task_id, ids) if isinstance(row, dict) and row.get("PandaID")]
        records = _shaped("task/get_job_descriptions", lambda: [job_record(row) for row in rows])
        # a job that PanDA could not read has the status `unknown` and nothing else
        found = {one.panda_job_id: one for one in records if one.status is not JobStatus.UNKNOWN or one.parameters}
        return tuple(found[one] for one in sorted(found)), tuple(one for one in ids if one not in found)

    def _job_rows(self, jedi_task_id: int, ids: list[int]) -> Iterator[Any]:
        """Job descriptions, in one call for a small task and in pieces for a large one."""
        if 0 < len(ids) <= JOBS_AT_ONCE:
            call = "task/get_job_descriptions"
            yield from listed(call, self._read(call, jedi_task_id, unsuccessful_only=False).data)
            return
        call = "job/get_description_incl_archive"
        for start in range(0, len(ids), JOBS_AT_ONCE):
            body = {"job_ids": ids[start : start + JOBS_AT_ONCE]}
            yield from listed(call, _granted(call, self._wire.post(call, body, target=str(jedi_task_id))).data)

    def _modified_since(self, since: datetime, min_task_id: int) -> list[dict[str, Any]]:
        call = "task/get_tasks_modified_since"
        query = {
            "since": since.strftime("%Y-%m-%d %H:%M:%S"),
            "full": "false",
            "min_task_id": min_task_id - 1,
            "prod_source_label": LABEL,
        }
        data = _granted(call, self._wire.get(call, query)).data
        return _shaped(call, lambda: list(task_rows(listed(call, data))))


def _new_task(name: str, reply: Reply) -> int:
    """The id in the answer to a submission, or the error it means."""
    found = _NEW_TASK.match(reply.message)
    if reply.success and (found or type(reply.data) is int):
        if found:
            return int(found[1])
        # "reactivation accepted": the role was lost and a task of this name, an analysis, runs again
        raise PandaRefused("task/submit", f"{name}: {reply.message}", _code(reply.data))
    if reply.success:
        raise SubmissionInDoubt(name, f"PanDA accepted it without an id: {reply.message!r}")
    if reply.data == TOO_MANY_TASKS:
        raise PandaUnavailable(f"too many active tasks, {name} was not taken: {reply.message}")
    raise PandaRefused("task/submit", f"{name}: {reply.message}", _code(reply.data))


def _tasks(call: str, data: Any) -> list[TaskInfo]:
    return _shaped(call, lambda: [task_info(row) for row in filled_rows(call, data, "jediTaskID", "status")])


def _granted(call: str, reply: Reply) -> Reply:
    if not reply.success:
        check_readable(call, reply.message)
        raise PandaRefused(call, reply.message or "no words", _code(reply.data))
    return reply


def _shaped(call: str, read: Callable[[], T]) -> T:
    """What ``read`` makes of a reply.

    Raises
    ------
    PandaUnavailable
        There is a null where something has to be: that is how a server says that it cannot read its database.
    PandaAnswerInvalid
        The reply has another shape, or reading it is what is wrong: another try would end in the same error.
    """
    try:
        return read()
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        kind, words = type(error).__name__, str(error)
        if "NoneType" in words:
            raise PandaUnavailable(f"{call} was answered with nothing in it: {kind}: {words}") from error
        raise PandaAnswerInvalid(call, kind, words) from error


def _status(jedi_task_id: int, said: object) -> TaskStatus:
    word = str(said)
    status = TaskStatus(word)
    if status is TaskStatus.UNKNOWN and word not in _STRANGE:
        _STRANGE.add(word)
        LOG.warning("PanDA task %s has status %r, which we do not know: it is waited for", jedi_task_id, word)
    return status


def _code(data: object) -> int | None:
    return data if type(data) is int else None
