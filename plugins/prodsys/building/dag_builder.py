"""One published request -> one DAG. Reads nothing but what it is handed: no database, network, clock or chance."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from prodsys.building.layouts import get_layout
from prodsys.building.published import PublishedSpec
from prodsys.building.retries import request_retries
from prodsys.model.access import REQUEST_ACCESS, access_control

RUNS_AT_ONCE = 3  # one drives; the gate tells the others so and they end
NOTE_LENGTH = 500


def build_dag(spec: PublishedSpec) -> DAG:
    """The DAG of a published request: started by hand, by REST or by the dispatcher, never by a clock.

    It has no callbacks, and neither have its airflow tasks: see `RequestOperator`.
    """
    layout = get_layout(spec.layout)
    with DAG(
        dag_id=spec.dag_id,
        dag_display_name=spec.display_name,
        description=spec.description,
        doc_md=spec.doc_md,
        tags=[*spec.tags, spec.digest],
        schedule=None,
        catchup=False,
        max_active_runs=RUNS_AT_ONCE,
        access_control=access_control(REQUEST_ACCESS),
        is_paused_upon_creation=False,
        default_args={"owner": spec.owner, **request_retries()},
        params=_params(),
    ) as dag:
        layout(spec)
    return dag


def _params() -> dict[str, Param]:
    return {
        "note": Param(
            "", type="string", maxLength=NOTE_LENGTH, title="Note", description="Why this run was started, for people."
        )
    }
