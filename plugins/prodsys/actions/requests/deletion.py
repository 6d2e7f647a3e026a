"""Delete: a draft that nobody wants is put out of sight; its id stays taken, its seeds come free."""

from __future__ import annotations

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import CommandResult
from prodsys.actions.requests.seed_claims import lock_with_seeds
from prodsys.actions.requests.seed_release import release_unused
from prodsys.ledger.journal import write_audit
from prodsys.ledger.plans import forget_first_approval
from prodsys.ledger.requests import move
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seed_ranges
from prodsys.model.statuses import RequestState
from prodsys.model.text import clean_reason
from prodsys.model.transitions import Action, Permission


def delete(ctx: Context, request_id: str, reason: str = "") -> CommandResult:
    """Delete a request that is not approved; lists show it no more, its row and its audit lines stay.

    The id is not given out again: a file that still holds the request is told that it was deleted.

    Raises
    ------
    InvalidTransition
        It is approved or past it: withdraw the approval, or abort it.
    """
    ctx.check_permission("delete a draft", Permission.CREATE)
    words = f"deleted by {ctx.who}" + (f": {said}" if (said := clean_reason(reason)) else "")
    with transaction(ctx.sessions) as session:
        row = lock_with_seeds(session, request_id)
        if RequestState(row.state) is not RequestState.DELETED:
            move(row, Action.DELETE, words)
            forget_first_approval(session, request_id)
            free = release_unused(session, row, for_good=True)
            write_audit(session, ctx.who, Action.DELETE, request_id, reason=said, seeds_free=seed_ranges.show(free))
        return CommandResult(request_id, row.state)
