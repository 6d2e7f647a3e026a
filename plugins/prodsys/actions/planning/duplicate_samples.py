"""A sample is reconstructed once with one configuration: who has done so, or is about to, is named."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.errors import SampleExists
from prodsys.ledger.inputs import readers_of_the_same
from prodsys.ledger.requests import find_request, get_request, list_steps
from prodsys.ledger.seeds import configuration_of
from prodsys.ledger.tables import DatasetRow
from prodsys.ledger.tasks import list_outcomes
from prodsys.model.names import DataKind
from prodsys.model.outcome import SeedState
from prodsys.model.plan import LOG, Plan
from prodsys.model.reading import InputFile
from prodsys.model.statuses import RequestState

ENDED_WITHOUT_SAMPLE = frozenset(
    {RequestState.ABORTED, RequestState.DELETED, RequestState.RECORDED}
)  # those bring nothing (that the ledger knows of)
BROUGHT = frozenset({RequestState.COMPLETE, RequestState.ACCEPTED, RequestState.FAILED, RequestState.ARCHIVED})


def refuse_doubles(session: Session, plan: Plan, files: Collection[InputFile]) -> None:
    """Refuse to reconstruct files again that another request reconstructs with the same configuration.

    Requests that nobody has approved yet do not count, nor do trials, nor seeds that the other one has lost.

    Raises
    ------
    SampleExists
        One does; with its datasets.
    """
    if plan.reading is None or get_request(session, plan.request_id).trial_of is not None:
        return
    kind = plan.steps[0].kind
    lfns = [one.lfn for one in files]
    others = readers_of_the_same(session, plan.request_id, plan.configuration_digest, lfns)
    writer = plan.reading.request_id
    if writer and configuration_of(session, writer) == plan.configuration_digest:
        others[writer] = {one.seed for one in files}
    for other, seeds in others.items():
        row = find_request(session, other)
        if row is None or RequestState(row.state) in ENDED_WITHOUT_SAMPLE:
            continue
        if seeds & _had(session, other, kind, seeds, ended=RequestState(row.state) in BROUGHT):
            raise SampleExists(plan.request_id, other, row.state, _datasets(session, other, kind))


def _had(session: Session, request_id: str, kind: str, seeds: set[int], *, ended: bool) -> set[int]:
    """Which of these seeds a step has brought, or may still bring."""
    steps = [step for step in list_steps(session, request_id) if step.kind == kind]
    if steps and not ended:
        return seeds
    rows = [one for step in steps for one in list_outcomes(session, step.step_id)]
    return {one.seed for one in rows if one.state == SeedState.DELIVERED}


def _datasets(session: Session, request_id: str, kind: str) -> list[str]:
    wanted = select(DatasetRow.did).where(
        DatasetRow.request_id == request_id,
        DatasetRow.step == kind,
        DatasetRow.kind == DataKind.DATASET,
        DatasetRow.data_type != LOG,
    )
    return list(session.scalars(wanted.order_by(DatasetRow.did)))
