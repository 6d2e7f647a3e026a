"""Submit exactly once (DESIGN decision 5).

An intent is a row with a deterministic task name. It is committed before anything is sent; one process at a time has
the turn to send; a lost answer is settled by PanDA itself, never by hope. Promise: never two live tasks on the same
seeds past refinement. See ``docs/decisions/exactly-once.md``.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from prodsys.actions.core.context import Context
from prodsys.actions.submission.duplicate_tasks import recognise
from prodsys.actions.submission.intents import ensure_intents
from prodsys.actions.submission.task_search import find_by_name
from prodsys.errors import IdentityUnavailable, LedgerUnavailable, PandaError, PandaUnavailable, SubmissionInDoubt
from prodsys.ledger import submission_leases
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction, translated
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import younger_task_seen
from prodsys.model.statuses import IntentState

LOG = logging.getLogger(__name__)
HAS_ID = frozenset({IntentState.RECORDED, IntentState.CONFIRMED})
SURELY_NOT_SENT = (PandaError, PandaUnavailable, IdentityUnavailable)  # a doubtful call is none of them
_LOCK = "pg_try_advisory_lock(hashtextextended(:name, 1))"
_UNLOCK = "pg_advisory_unlock(hashtextextended(:name, 1))"


def ensure_submitted(ctx: Context, request_id: str, kind: str, bunch: int | None = None) -> tuple[int, ...]:
    """JEDI task ids of the step, of one bunch where there are bunches; what nobody has submitted yet is submitted now.

    Raises
    ------
    PandaUnavailable
        Try again; see `ensure_sent`.
    PandaRefused
        PanDA does not take a map.
    """
    return tuple(ensure_sent(ctx, task) for task in ensure_intents(ctx, request_id, kind, bunch))


def ensure_sent(ctx: Context, task: TaskRow) -> int:
    """JEDI task id of an intent, sent now when nobody has done it yet.

    Raises
    ------
    PandaUnavailable
        Try again: PanDA is down, another process is sending, or an answer was lost and PanDA must show the task first.
    PandaRefused
        PanDA does not take the map.
    InvalidTransition, RequestUnavailable
        Nobody drives the request any more.
    """
    state = IntentState(task.intent)
    if state in HAS_ID:
        assert task.jedi_task_id is not None  # the two states are set with it
        return task.jedi_task_id
    if state is IntentState.SENDING:
        task = _put_in_doubt(ctx, task)
        state = IntentState.IN_DOUBT
    if state is IntentState.IN_DOUBT:
        return _settle_doubt(ctx, task)
    return _send(ctx, task, impatient=True)


def _put_in_doubt(ctx: Context, task: TaskRow) -> TaskRow:
    """The intent, in doubt: its sender gave no answer in its time. A sender that still has time is left alone."""
    with transaction(ctx.sessions) as session:
        if not submission_leases.mark_uncertain(session, task):
            raise PandaUnavailable(f"{task.owner} is sending {task.task_name}; its answer may still come")
        row = session.get(TaskRow, task.task_row_id, populate_existing=True)
        assert row is not None  # it was changed a moment ago
        return row


def _settle_doubt(ctx: Context, task: TaskRow) -> int:
    """Search by name; send the map again only when PanDA can read and has no such task.

    (What it had all the same, JEDI's twin check ends.)

    Whether JEDI is past our submission is asked before the search: what it refined meanwhile is found.
    """
    times = ctx.catalogue.profile.times
    with transaction(ctx.sessions) as session:
        long_ago = submission_leases.doubted_longer_than(session, task, times.doubt_max_s, times.answer_max_s)
        passed = younger_task_seen(session, task.until or task.first_sent_at or task.created_at)
    found = recognise(ctx, task, find_by_name(ctx, task))
    if found is not None:
        return _adopt(ctx, task, found)
    if not (long_ago or passed):
        raise PandaUnavailable(
            f"the answer for {task.task_name} was lost; waiting until PanDA shows the task or a younger one"
        )
    return _send(ctx, task, impatient=long_ago)


def _adopt(ctx: Context, task: TaskRow, found: int) -> int:
    with transaction(ctx.sessions) as session:
        if not submission_leases.record_found(session, task, found):
            raise PandaUnavailable(f"another process has taken up the doubt about {task.task_name}")
        detail = {"task_name": task.task_name, "jedi_task_id": found}
        write_audit(session, ctx.who, "adopt", task.task_name.partition(".")[0], **detail)
    return found


def _send(ctx: Context, task: TaskRow, *, impatient: bool) -> int:
    """Send the map once. Whoever loses the compare-and-set has not sent anything.

    ``impatient`` tells whether to go on although an earlier sender has not let go of the lock: it is frozen, perhaps.
    """
    ctx.panda.ensure_role()  # renews the token too, so that the submission itself waits for nobody
    with _lock_of_sender(ctx, task.task_name) as alone:
        if not (alone or impatient):
            raise PandaUnavailable(f"{task.owner} may still be sending {task.task_name}: it holds its lock")
        owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        began = time.time()
        with transaction(ctx.sessions) as session:
            if not submission_leases.acquire_lease(session, task, owner, ctx.catalogue.profile.times.answer_max_s):
                raise PandaUnavailable(f"{task.task_name} is being sent by another process")
        jedi_task_id = _submit(ctx, task, owner, began)
        return _record(ctx, task, owner, jedi_task_id)


def _submit(ctx: Context, task: TaskRow, owner: str, began: float) -> int:
    times = ctx.catalogue.profile.times
    try:
        if time.time() - began > times.answer_max_s - times.call_timeout_s:
            raise PandaUnavailable(f"{task.task_name} was not sent: this process slept through its turn")
        return ctx.panda.submit(task.task_map, task.parent_tid)
    except SubmissionInDoubt as error:
        raise PandaUnavailable(str(error)) from error  # stays `sending`; past `until` PanDA is asked
    except SURELY_NOT_SENT:
        with transaction(ctx.sessions) as session:
            submission_leases.release_lease(session, task, owner)
        raise


def _record(ctx: Context, task: TaskRow, owner: str, jedi_task_id: int) -> int:
    with transaction(ctx.sessions) as session:
        if not submission_leases.record_answer(session, task.task_row_id, owner, jedi_task_id):
            raise PandaUnavailable(  # another process took the matter up: it finds this task by its name
                f"the answer for {task.task_name} ({jedi_task_id}) came too late; it is being looked for"
            )
        detail = {"task_name": task.task_name, "jedi_task_id": jedi_task_id}
        write_audit(session, ctx.who, "submit", task.task_name.partition(".")[0], **detail)
    return jedi_task_id


@contextmanager
def _lock_of_sender(ctx: Context, task_name: str) -> Iterator[bool]:
    """Advisory lock on a connection of its own, and whether it was free.

    A courtesy among processes: it tells that an earlier sender is still at it. The proof is the compare-and-set. No row
    lock is ever held over HTTP, and a ledger that goes away meanwhile takes the lock with it.
    """
    with translated():
        connection = ctx.sessions.kw["bind"].connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        taken = _ask(connection, _LOCK, task_name)
        try:
            yield taken
        finally:
            _let_go(connection, task_name, taken)
    finally:
        connection.close()


def _ask(connection: Connection, words: str, task_name: str) -> bool:
    try:
        return bool(connection.execute(text(f"select {words}"), {"name": task_name}).scalar())
    except DBAPIError as error:
        connection.invalidate()
        raise LedgerUnavailable(str(error.orig or error).strip().splitlines()[0]) from error


def _let_go(connection: Connection, task_name: str, taken: bool) -> None:
    """Unlock; where that fails the connection is thrown away, and the lock with it."""
    try:
        if taken:
            _ask(connection, _UNLOCK, task_name)
    except LedgerUnavailable as error:
        LOG.warning("the lock of %s went with its connection: %s", task_name, error)
