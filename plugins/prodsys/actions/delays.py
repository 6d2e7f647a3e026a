"""Why a request that is driven does not get on: a service or a file system is away, and the step is tried again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prodsys.actions.context import Context
from prodsys.errors import LedgerUnavailable, ServiceUnavailable
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.model.statuses import DRIVEN, RequestState

BEGINNING = "waits: "  # of a reason that goes away by itself
LENGTH = 2000
log = logging.getLogger(__name__)


@contextmanager
def delay_shown(ctx: Context, request_id: str) -> Iterator[None]:
    """Show an outage as the reason of the request while it lasts; the first success takes it away."""
    try:
        yield
    except LedgerUnavailable:
        raise
    except ServiceUnavailable as error:
        _show(ctx, request_id, f"{BEGINNING}{error}"[:LENGTH])
        raise
    _show(ctx, request_id, "")


def _show(ctx: Context, request_id: str, words: str) -> None:
    """Write the reason, unless another one stands there; that it cannot be written changes nothing."""
    try:
        with transaction(ctx.sessions) as session:
            if not _may_change(get_request(session, request_id).reason, words):
                return
            row = get_request(session, request_id, lock=True)
            session.refresh(row)
            if RequestState(row.state) in DRIVEN and _may_change(row.reason, words):
                row.reason = words
    except LedgerUnavailable as error:
        log.warning("%s shows no reason %r: %s", request_id, words, error)


def _may_change(shown: str, words: str) -> bool:
    return shown != words and (not shown or shown.startswith(BEGINNING))
