"""Doubts about PanDA's answers, shown with the request for as long as they last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prodsys.actions.context import Context
from prodsys.errors import PandaUnavailable
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.model.statuses import DRIVEN, RequestState

WAITS = "waits: "  # a reason that begins so is of a request that goes on by itself


@contextmanager
def doubts_shown(ctx: Context, request_id: str) -> Iterator[None]:
    """Show why nothing is concluded, until something is.

    Raises
    ------
    PandaUnavailable
        As it came, with its words in the reason of the request.
    """
    try:
        yield
    except PandaUnavailable as doubt:
        _show(ctx, request_id, f"{WAITS}{doubt}")
        raise
    _show(ctx, request_id, "")


def _show(ctx: Context, request_id: str, words: str) -> None:
    """Write the reason of a driven request; words of others than this one stay."""
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        if row.reason == words or (row.reason and not row.reason.startswith(WAITS)):
            return
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) in DRIVEN and (not row.reason or row.reason.startswith(WAITS)):
            row.reason = words
