"""Whether what is made can join the containers of its request: Rucio 41.5 takes no child into a closed one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.errors import DatasetConflict
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow
from prodsys.model.names import CONTAINERS, Did

OPEN_IT = "have an administrator of Rucio open it, then say it again"
OPEN_THEM = "have an administrator of Rucio open every container of the request, then say it again"


def check_room(ctx: Context, container: Did, content: Sequence[Did]) -> None:
    """DatasetConflict when a container is closed and lacks one of these; only Rucio's administrators open one."""
    info = ctx.rucio.dataset_info(container)
    if info is None or info.open:
        return
    held = ctx.rucio.list_children(container)
    if lacking := [f"it is closed and lacks {one.name}: {OPEN_IT}" for one in content if one not in held]:
        raise DatasetConflict(str(container), lacking)


def closed_containers(ctx: Context, request_id: str) -> tuple[Did, ...]:
    """Containers of a request that are closed now, asked of Rucio; a request that was never closed has none."""
    kinds = DatasetRow.kind.in_(CONTAINERS)
    with transaction(ctx.sessions) as session:
        wanted = select(DatasetRow.did).where(DatasetRow.request_id == request_id, kinds, DatasetRow.closed)
        dids = [Did.parse(did) for did in session.scalars(wanted.order_by(DatasetRow.did))]
    infos = [(did, ctx.rucio.dataset_info(did)) for did in dids]
    return tuple(did for did, info in infos if info is not None and not info.open)


def said_of_closed(ctx: Context, request_id: str) -> str:
    """Which containers are closed, so that nothing that is recovered could join them, and the remedy; "" when none."""
    closed = closed_containers(ctx, request_id)
    if not closed:
        return ""
    names = ", ".join(one.name for one in closed)
    return f"nothing that is recovered can join the closed containers {names}: {OPEN_THEM}"


def check_room_for_more(ctx: Context, request_id: str) -> None:
    """DatasetConflict when a container is closed, so that what is recovered now could not join it."""
    closed = closed_containers(ctx, request_id)
    if closed:
        others = f" ({', '.join(one.name for one in closed[1:])} too)" if closed[1:] else ""
        words = f"it is closed{others}, nothing that is recovered can join it: {OPEN_THEM}"
        raise DatasetConflict(str(closed[0]), [words])
