"""Templates of recurring requests -> their scheduled DAGs. Reads the files of the specs and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from airflow.sdk import DAG, CronDataIntervalTimetable

from prodsys.building.retries import request_retries
from prodsys.intake.recurring_files import read_templates
from prodsys.model.names import recurring_dag_id_of
from prodsys.model.recurring import RecurringSpec
from prodsys.operators.recurring import RecurringOperator
from prodsys.settings import read_settings

log = logging.getLogger(__name__)
DOCS = """### {name}
{description}

Makes one request for every interval of `{cron}` (UTC) that has ended, from {begin} to {end}: `{first_id}` to
`{last_id}`, {seeds} seeds each, {approve}{launched}. Intervals missed are caught up in order. Clearing a run, or a
backfill over the past, makes nothing twice: an interval has one request. `prodsys recurring show {name}`.
"""


def recurring_dags(wanted: str | None = None) -> Iterator[DAG]:
    """DAGs of all active templates, or the one that is wanted; a faulty file harms no other."""
    templates, faults = read_templates(read_settings().specs)
    for fault in faults:
        log.error("no DAG, the template cannot be read: %s", fault)
    for _, template in templates:
        if template.active and wanted in (None, recurring_dag_id_of(template.name)):
            yield build_recurring_dag(template)


def build_recurring_dag(template: RecurringSpec) -> DAG:
    """The DAG of a template.

    A plain cron string would give intervals of no length; what Airflow's backfill runs beside it counts apart from
    ``max_active_runs``, so that it is the ledger that keeps two from making one request.
    """
    with DAG(
        dag_id=recurring_dag_id_of(template.name),
        description=template.description or f"Recurring requests {template.name}",
        doc_md=_docs(template),
        tags=["prodsys", "recurring"],
        schedule=CronDataIntervalTimetable(template.cron, timezone="UTC"),
        start_date=template.start,
        end_date=template.moments[-2],  # beginning of the last interval
        catchup=True,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={"owner": template.requester, **request_retries()},
    ) as dag:
        RecurringOperator(task_id="request", template=template.name)
    return dag


def _docs(template: RecurringSpec) -> str:
    return DOCS.format(
        name=template.name,
        description=template.description,
        cron=template.cron,
        begin=f"{template.start:%Y-%m-%d %H:%M}",
        end=f"{template.moments[-1]:%Y-%m-%d %H:%M}",
        first_id=template.id_of(0),
        last_id=template.id_of(template.intervals - 1),
        seeds=template.seeds_per_interval,
        approve=f"approved {template.approve}",
        launched=", launched at once" if template.launch else "",
    )
