"""One process of a real Airflow: runs of a recurring DAG by `dag.test`, a backfill over the past, a run without a date.

Prints one JSON object: what each run ended as, and the intervals that Airflow gave to the runs of the backfill.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any


def main(dag_id: str, start: str, weeks: int) -> None:
    """Run the first intervals, backfill all of them, then run without a logical date."""
    from airflow.dag_processing.dagbag import DagBag

    folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
    dag = DagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder").dags[dag_id]
    begin, week = datetime.fromisoformat(start).replace(tzinfo=UTC), timedelta(days=7)
    runs = [dag.test(logical_date=begin + (number + 1) * week) for number in range(weeks)]
    dateless = dag.test(logical_date=None)
    created = _backfill(dag_id, begin, begin + weeks * week)
    again = [_execute(dag, run) for run in created]
    answer = {
        "runs": [(str(run.state), run.data_interval_start.isoformat()) for run in runs],
        "dateless": [str(dateless.state), str(dateless.data_interval_start)],
        "backfill": [(run.data_interval_start.isoformat(), run.data_interval_end.isoformat()) for run in created],
        "again": again,
        "types": sorted({str(run.run_type) for run in created}),
    }
    print("ANSWER " + json.dumps(answer))


def _backfill(dag_id: str, begin: datetime, end: datetime) -> list[Any]:
    """Runs that Airflow's own backfill makes over this time, in order; nothing but their intervals matters here."""
    from airflow.models.backfill import ReprocessBehavior, _create_backfill
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType
    from sqlalchemy import select

    _create_backfill(
        dag_id=dag_id,
        from_date=begin,
        to_date=end,
        max_active_runs=5,
        reverse=True,
        dag_run_conf=None,
        triggering_user_name="manager",
        reprocess_behavior=ReprocessBehavior.COMPLETED,
    )
    with create_session() as session:
        wanted = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_type == DagRunType.BACKFILL_JOB)
        rows = list(session.scalars(wanted.order_by(DagRun.data_interval_start)))
        session.expunge_all()
    return rows


def _execute(dag: Any, run: Any) -> str:
    """What the airflow task of such a run does."""
    return dag.get_task("request").execute({"dag_run": run})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
