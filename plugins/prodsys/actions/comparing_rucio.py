"""Compare the ledger with Rucio: rules and datasets of delivered requests, which people may change behind our back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import select

from prodsys.actions.context import Context
from prodsys.actions.data import DATASET
from prodsys.actions.findings import Finding
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, RequestRow, RuleRow
from prodsys.model.names import Did
from prodsys.model.statuses import DELIVERED, RuleState

DATASETS_A_TURN = 20  # looked up in Rucio at a time: all of them in turns


def compare_rules(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Rules of delivered requests that Rucio does not keep any more."""
    wanted = select(RuleRow).join(RequestRow, RequestRow.request_id == RuleRow.request_id)
    with transaction(ctx.sessions) as session:
        rows = session.scalars(wanted.where(RequestRow.state.in_([str(one) for one in DELIVERED]))).all()
    if not rows:
        return
    states = ctx.rucio.rule_states([row.rule_id for row in rows])
    for row in rows:
        seen = states[row.rule_id]
        if seen.state == row.state or (row.lifetime_days is not None and seen.state is RuleState.GONE):
            continue
        if repair:
            _note_rule(ctx, row.rule_id, seen.state, seen.error)
        what = f"rule {row.rule_id} of {row.did} is {seen.state}, the ledger says {row.state}"
        advice = "settle the request again to make it anew" if seen.state is RuleState.GONE else "look at it in Rucio"
        yield Finding(row.request_id, what, seen.error or "changed in Rucio", False, advice)


def _note_rule(ctx: Context, rule_id: str, state: RuleState, error: str) -> None:
    with transaction(ctx.sessions) as session:
        row = session.get(RuleRow, rule_id, with_for_update=True)
        if row is not None:
            row.state, row.error, row.checked_at = state, error, datetime.now(UTC)


def compare_datasets(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Datasets of delivered requests that are not in Rucio as they were read back; a few each time, in turns."""
    wanted = select(DatasetRow).join(RequestRow, RequestRow.request_id == DatasetRow.request_id)
    wanted = wanted.where(RequestRow.state.in_([str(one) for one in DELIVERED]), DatasetRow.kind == DATASET)
    with transaction(ctx.sessions) as session:
        rows = session.scalars(wanted.order_by(DatasetRow.read_back_at).limit(DATASETS_A_TURN)).all()
    for row in rows:
        info = ctx.rucio.dataset_info(Did.parse(row.did))
        if info is None or (info.length, info.bytes) != (row.files, row.bytes):
            held = "gone" if info is None else f"{info.length} files of {info.bytes} bytes"
            what = f"{row.did} is {held} in Rucio, the certificate says {row.files} files of {row.bytes} bytes"
            yield Finding(row.request_id, what, "changed in Rucio", False, "settle the request again, or mend it there")
        elif repair:
            with transaction(ctx.sessions) as session:
                again = session.get(DatasetRow, row.did, with_for_update=True)
                if again is not None:
                    again.read_back_at = datetime.now(UTC)
