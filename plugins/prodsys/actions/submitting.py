"""Submit exactly once (DESIGN decision 5).

An intent is a row with a deterministic task name. It is committed before anything is sent; one process at a time may
send; a lost answer is settled by PanDA itself, never by hope. Promise: never two live tasks on the same seeds past
refinement.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from prodsys.actions.context import Context
from prodsys.actions.intents import ensure_intents
from prodsys.actions.twins import recognise
from prodsys.errors import PandaUnavailable, SubmissionInDoubt
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import change_intent, younger_task_seen
from prodsys.model.statuses import IntentState

HAS_ID = frozenset({IntentState.RECORDED, IntentState.CONFIRMED})


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
    """
    state = IntentState(task.intent)
    if state in HAS_ID:
        assert task.jedi_task_id is not None  # the two states are set with it
        return task.jedi_task_id
    if state is IntentState.SENDING:
        state = _whose_turn(ctx, task)
    if state is IntentState.IN_DOUBT:
        return _settle_doubt(ctx, task)
    return _send(ctx, task, IntentState.INTENDED)


def _whose_turn(ctx: Context, task: TaskRow) -> IntentState:
    """A sender without an answer past its time is in doubt; before that it is left alone."""
    now = datetime.now(UTC)
    if task.until is not None and now < task.until:
        raise PandaUnavailable(
            f"{task.owner} is sending {task.task_name}; its answer may come until {task.until:%H:%M:%S}"
        )
    with transaction(ctx.sessions) as session:
        change_intent(session, task.task_row_id, IntentState.SENDING, IntentState.IN_DOUBT)
    return IntentState.IN_DOUBT


def _send(ctx: Context, task: TaskRow, before: IntentState) -> int:
    """Send the map once. Whoever loses the compare-and-set has not sent anything."""
    now = datetime.now(UTC)
    answer_max = timedelta(seconds=ctx.catalogue.profile.times.answer_max_s)
    me = f"{socket.gethostname()}:{os.getpid()}"
    with _only_sender(ctx, task.task_name):
        ctx.panda.ensure_role()
        with transaction(ctx.sessions) as session:
            changes = {
                "owner": me,
                "until": now + answer_max,
                "first_sent_at": task.first_sent_at or now,
                "sent_count": TaskRow.sent_count + 1,
            }
            if not change_intent(session, task.task_row_id, before, IntentState.SENDING, **changes):
                raise PandaUnavailable(f"{task.task_name} is being sent by another process")
        return _record(ctx, task, _submit(ctx, task, before))


def _submit(ctx: Context, task: TaskRow, before: IntentState) -> int:
    try:
        return ctx.panda.submit(task.task_map, task.parent_tid)
    except SubmissionInDoubt as error:
        raise PandaUnavailable(str(error)) from error  # stays `sending`; past `until` PanDA is asked
    except Exception:
        with transaction(ctx.sessions) as session:  # refused, or surely not sent: as before
            change_intent(session, task.task_row_id, IntentState.SENDING, before, until=None)
        raise


def _record(ctx: Context, task: TaskRow, jedi_task_id: int) -> int:
    with transaction(ctx.sessions) as session:
        changed = change_intent(
            session,
            task.task_row_id,
            IntentState.SENDING,
            IntentState.RECORDED,
            jedi_task_id=jedi_task_id,
            until=None,
            status_at=datetime.now(UTC),
        )
        if not changed:  # our time was over and another process took the matter up: it finds this task by its name
            raise PandaUnavailable(
                f"the answer for {task.task_name} ({jedi_task_id}) came too late; it is being looked for"
            )
        detail = {"task_name": task.task_name, "jedi_task_id": jedi_task_id}
        write_audit(session, ctx.who, "submit", task.task_name.partition(".")[0], **detail)
    return jedi_task_id


def _settle_doubt(ctx: Context, task: TaskRow) -> int:
    """Search by name; send the map again only when PanDA cannot have it (else JEDI's twin check ends the later one)."""
    found = recognise(ctx, task, ctx.panda.find_tasks(task.task_name))
    if found is not None:
        with transaction(ctx.sessions) as session:
            changes = {"jedi_task_id": found, "until": None, "status_at": datetime.now(UTC)}
            change_intent(session, task.task_row_id, IntentState.IN_DOUBT, IntentState.RECORDED, **changes)
            detail = {"task_name": task.task_name, "jedi_task_id": found}
            write_audit(session, ctx.who, "adopt", task.task_name.partition(".")[0], **detail)
        return found
    if not _surely_lost(ctx, task):
        raise PandaUnavailable(
            f"the answer for {task.task_name} was lost; waiting until PanDA shows the task or a younger one"
        )
    return _send(ctx, task, IntentState.IN_DOUBT)


def _surely_lost(ctx: Context, task: TaskRow) -> bool:
    first = task.first_sent_at or task.created_at
    last = task.until or first
    if datetime.now(UTC) - first > timedelta(seconds=ctx.catalogue.profile.times.doubt_max_s):
        return True
    with transaction(ctx.sessions) as session:
        return younger_task_seen(session, last)


@contextmanager
def _only_sender(ctx: Context, task_name: str) -> Iterator[None]:
    """Advisory lock on a connection of its own: a courtesy among processes, never a row lock over HTTP."""
    engine = ctx.sessions.kw["bind"]
    with engine.connect() as connection:
        key = {"key": task_name}
        taken = connection.execute(text("select pg_try_advisory_lock(hashtextextended(:key, 1))"), key).scalar()
        connection.commit()
        if not taken:
            raise PandaUnavailable(f"another process is sending {task_name}")
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(hashtextextended(:key, 1))"), key)
            connection.commit()
