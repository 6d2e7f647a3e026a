"""Airflow DAGs `recurring__<name>`: one for each template under `include/specs/recurring`."""

from airflow.sdk import get_parsing_context

from prodsys.building.recurring import recurring_dags

for dag in recurring_dags(wanted=get_parsing_context().dag_id):
    globals()[dag.dag_id] = dag
