"""What productions that have ended took: those of this ledger, and tasks of before it from imported lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import exists, select, text
from sqlalchemy.orm import Session

from prodsys.ledger.tables import CertificateRow, HistoryTaskRow, PlanRow, RequestRow, RevisionRow
from prodsys.model.estimate import Measure, Nearness
from prodsys.model.plan import LOG, Plan
from prodsys.model.statuses import DELIVERED, FINAL, WITH_OUTPUT, RequestState

T = TypeVar("T")
AT_MOST = 20  # productions of this ledger that a plan is compared with, the newest
_CURRENT_REVISION = (RevisionRow.request_id == RequestRow.request_id) & (RevisionRow.revision == RequestRow.revision)
_CLOSED = """
with near as (
    select r.request_id, v.configuration, r.trial_of is not null as trial
    from prodsys.request as r
    join prodsys.request_revision as v on v.request_id = r.request_id and v.revision = r.revision
    where v.spec ->> 'chain' = :chain and lower(v.spec ->> 'software') = :software
      and lower(v.spec ->> 'collision') = :collision and r.request_id <> :request_id
      and exists (select from prodsys.certificate as c where c.request_id = r.request_id)
      and (r.trial_of is null or v.configuration = :configuration)
    order by v.configuration = :configuration desc, r.closed_at desc limit :at_most
), steps as (
    select request_id, kind, sum(seeds_delivered) as jobs, sum(events) as events,
        case when bool_and(core_s is not null) then sum(core_s) end as core_s
    from prodsys.step where request_id in (select request_id from near) group by request_id, kind
), sizes as (
    select request_id, step, sum(bytes) as bytes from prodsys.dataset
    where kind = 'dataset' and data_type <> :log and request_id in (select request_id from near)
    group by request_id, step
), spans as (
    select s.request_id, s.kind, extract(epoch from max(t.status_at) - min(t.first_sent_at)) / 3600 as span_h
    from prodsys.task as t join prodsys.step as s using (step_id)
    where s.request_id in (select request_id from near) and t.status = any(:final) group by s.request_id, s.kind
)
select near.request_id, near.trial, near.configuration = :configuration as same, kind, jobs, events, core_s, bytes,
    span_h
from near join steps using (request_id) left join spans using (request_id, kind)
left join sizes on sizes.request_id = near.request_id and sizes.step = steps.kind
where jobs > 0 and events > 0
order by near.request_id, kind
"""
_OLDER = """
select h.task_name, h.file, h.kind, h.jobs, h.bytes, h.wall_s, h.span_h, v.configuration = :configuration as same,
    case when h.events_left_out then h.jobs * (v.spec ->> 'events_per_file')::bigint else h.events end as events
from prodsys.history_task as h
join prodsys.request as r on r.request_id = h.request_id
join prodsys.request_revision as v on v.request_id = r.request_id and v.revision = r.revision
where v.spec ->> 'chain' = :chain and lower(v.spec ->> 'software') = :software
  and lower(v.spec ->> 'collision') = :collision and r.request_id <> :request_id
  and h.kind is not null and h.jobs > 0 and h.status = any(:with_output)
order by h.jedi_task_id
"""


def list_measures(session: Session, plan: Plan) -> list[Measure]:
    """What steps of productions of the same chain, software and collision took, trials of its configuration too."""
    given: dict[str, Any] = {
        "chain": plan.spec.chain,
        "software": plan.configuration.software,
        "collision": plan.configuration.collision,
        "configuration": plan.configuration_digest,
        "request_id": plan.request_id,
    }
    final = [str(status) for status in FINAL]
    closed = session.execute(text(_CLOSED), given | {"at_most": AT_MOST, "log": LOG, "final": final})
    older = session.execute(text(_OLDER), given | {"with_output": [str(status) for status in WITH_OUTPUT]})
    return [_closed(row) for row in closed] + [_older(row) for row in older if row.events]


def _closed(row: Any) -> Measure:
    near = Nearness.TRIAL if row.trial else Nearness.SAME if row.same else Nearness.ALIKE
    size, span_h = _or_none(int, row.bytes), _or_none(float, row.span_h)
    return Measure(row.request_id, row.kind, near, int(row.jobs), int(row.events), size, row.core_s, span_h)


def _older(row: Any) -> Measure:
    near = Nearness.SAME if row.same else Nearness.ALIKE
    core_s = row.wall_s * row.jobs if row.wall_s else None
    name = f"{row.task_name} ({row.file})"
    return Measure(name, row.kind, near, int(row.jobs), int(row.events), row.bytes, core_s, row.span_h)


def _or_none(kind: Callable[[Any], T], value: Any) -> T | None:
    return kind(value) if value else None


@dataclass(frozen=True)
class Trial:
    """A trial and where it stands."""

    request_id: str
    state: RequestState
    trial_of: str
    plan: Mapping[str, Any] | None  # as approved; None: it has no certificate

    def tried(self, plan: Plan) -> bool:
        """Whether it succeeded with the steps, scripts and images of this plan."""
        if self.plan is None or self.state not in DELIVERED | {RequestState.ARCHIVED}:
            return False
        mine = [(step["kind"], step["script"], step["image"]) for step in self.plan["steps"]]
        return mine == [(step.kind, step.script, step.image) for step in plan.steps]


def list_trials(session: Session, configuration: str) -> list[Trial]:
    """Trials of a configuration, the oldest first."""
    certified = exists().where(CertificateRow.request_id == RequestRow.request_id)
    approved = (
        (PlanRow.request_id == RequestRow.request_id)
        & (PlanRow.revision == RequestRow.revision)
        & PlanRow.approved_at.is_not(None)
    )
    wanted = (
        select(RequestRow, PlanRow.body, certified)
        .join(RevisionRow, _CURRENT_REVISION)
        .outerjoin(PlanRow, approved)
        .where(RequestRow.trial_of.is_not(None), RevisionRow.configuration == configuration)
        .order_by(RequestRow.created_at)
    )
    return [
        Trial(row.request_id, RequestState(row.state), row.trial_of or "", body if has_certificate else None)
        for row, body, has_certificate in session.execute(wanted)
    ]


def known_requests(session: Session, request_ids: Iterable[str]) -> frozenset[str]:
    """Those of these requests that the ledger holds."""
    wanted = select(RequestRow.request_id).where(RequestRow.request_id.in_(set(request_ids)))
    return frozenset(session.scalars(wanted))


def list_history(session: Session) -> list[HistoryTaskRow]:
    """All imported tasks, by id."""
    return list(session.scalars(select(HistoryTaskRow).order_by(HistoryTaskRow.jedi_task_id)))
