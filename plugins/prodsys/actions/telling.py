"""One command to all unfinished PanDA tasks of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from prodsys.actions.context import Context
from prodsys.errors import PandaRefused, TaskUnknown
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tasks import open_task_ids


@dataclass(frozen=True)
class Told:
    """State of the request, the tasks that took the command, and those that did not, with PanDA's words."""

    request_id: str
    state: str
    tasks: tuple[int, ...] = ()
    refused: dict[int, str] = field(default_factory=dict)
    message: str = ""  # what was done, where that does not follow from the command


def tell_tasks(ctx: Context, request_id: str, command: Callable[[int], object]) -> Told:
    """Give every task that is not known to be final a command.

    Raises
    ------
    PandaUnavailable
        PanDA is away; the tasks before it took the command, saying it again harms nothing.
    """
    with transaction(ctx.sessions) as session:
        state, ids = get_request(session, request_id).state, open_task_ids(session, request_id)
    told, refused = [], {}
    for jedi_task_id in ids:
        try:
            command(jedi_task_id)
            told.append(jedi_task_id)
        except (PandaRefused, TaskUnknown) as error:  # it has ended, does so already, or is not refined yet
            refused[jedi_task_id] = str(error)
    return Told(request_id, state, tuple(told), refused)
