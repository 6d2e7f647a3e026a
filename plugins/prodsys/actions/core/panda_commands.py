"""One command to all unfinished PanDA tasks of a request; kill and pause by what PanDA says of each right before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from prodsys.actions.core.context import Context
from prodsys.errors import PandaRefused, TaskUnknown
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tasks import find_task, open_task_ids
from prodsys.model.statuses import NOT_KILLED_IN, NOT_PAUSED_IN, TaskStatus

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class CommandResult:
    """State of the request, the tasks that took the command, and those that did not, with PanDA's words.

    ``already`` are tasks that were not told: they rest or end already, a killed one aborts for minutes.
    """

    request_id: str
    state: str
    tasks: tuple[int, ...] = ()
    refused: dict[int, str] = field(default_factory=dict)
    message: str = ""  # what was done, where that does not follow from the command
    already: tuple[int, ...] = ()


def send_command(ctx: Context, request_id: str, command: Callable[[int], object]) -> CommandResult:
    """Give every task that is not known to be final a command; one for which it returns False was not told.

    Raises
    ------
    PandaUnavailable
        PanDA is away; the tasks before it took the command, saying it again harms nothing.
    """
    with transaction(ctx.sessions) as session:
        state, ids = get_request(session, request_id).state, open_task_ids(session, request_id)
    told: list[int] = []
    already: list[int] = []
    refused: dict[int, str] = {}
    for jedi_task_id in ids:
        try:
            (already if command(jedi_task_id) is False else told).append(jedi_task_id)
        except (PandaRefused, TaskUnknown) as error:  # it has ended, does so already, or is not refined yet
            refused[jedi_task_id] = str(error)
    return CommandResult(request_id, state, tuple(told), refused, already=tuple(already))


def kill_tasks(ctx: Context, request_id: str) -> CommandResult:
    """Kill what is alive: nothing is sent to a task that aborts already, or took a kill a moment ago.

    A killed task is `aborting` for five minutes while its jobs end. One that rests was paused after the kill, which
    PanDA has then forgotten: it is killed again.

    Raises
    ------
    PandaUnavailable
        PanDA is away; saying it again goes on.
    """
    return send_command(ctx, request_id, lambda jedi_task_id: kill_task(ctx, jedi_task_id))


def kill_task(ctx: Context, jedi_task_id: int) -> bool:
    """Kill a task, and remember it; False for one that ends already, or was told so a moment ago.

    Raises
    ------
    PandaRefused, TaskUnknown
        It has just ended; JEDI has not refined it yet, and forgets what it is told.
    """
    status = ctx.panda.get_status(jedi_task_id)
    if status in NOT_KILLED_IN or (status is not TaskStatus.PAUSED and _killed_just_now(ctx, jedi_task_id)):
        return False
    ctx.panda.kill(jedi_task_id)
    with transaction(ctx.sessions) as session:
        task = find_task(session, jedi_task_id, lock=True)
        if task is not None:
            task.killed_at = datetime.now(UTC)
    return True


def kill_if_alive(ctx: Context, jedi_task_id: int) -> bool:
    """Kill a task that may have ended, or be unknown to PanDA; whether it was told."""
    try:
        return kill_task(ctx, jedi_task_id)
    except (PandaRefused, TaskUnknown) as error:
        LOG.info("task %s was not killed: %s", jedi_task_id, error)
        return False


def _killed_just_now(ctx: Context, jedi_task_id: int) -> bool:
    """Whether the ledger knows of a kill that JEDI may still be about to carry out."""
    killed_at = _killed_at(ctx, jedi_task_id)
    wait = timedelta(seconds=ctx.catalogue.profile.times.kill_again_s)
    return killed_at is not None and datetime.now(UTC) - killed_at < wait


def _killed_at(ctx: Context, jedi_task_id: int) -> datetime | None:
    with transaction(ctx.sessions) as session:
        task = find_task(session, jedi_task_id)
        return task.killed_at if task is not None else None


def pause_tasks(ctx: Context, request_id: str) -> CommandResult:
    """Let what works rest, but never a task that was killed: PanDA would forget the kill, and it would rest for ever.

    Raises
    ------
    PandaUnavailable
        PanDA is away; saying it again goes on.
    """
    return send_command(ctx, request_id, lambda jedi_task_id: _pause(ctx, jedi_task_id))


def _pause(ctx: Context, jedi_task_id: int) -> bool:
    if _killed_at(ctx, jedi_task_id) is not None or ctx.panda.get_status(jedi_task_id) in NOT_PAUSED_IN:
        return False
    ctx.panda.pause(jedi_task_id)
    return True
