"""Airflow DAG `reconcile`: compares what the ledger, PanDA and Airflow believe."""

from airflow.sdk import DAG

from prodsys.building.standing import door, often
from prodsys.operators.standing import ReconcileOperator

DOCS = """
Every minute compares the ledger with PanDA and Airflow. It mends what is safe (adopts the id of a task that turned up,
reads a status again, links a run) and kills a PanDA task only where a person marked its wait as failed and did not take
that back. Whatever is in doubt is written down for a person: `prodsys finding list`. Rucio and the whole VO are left
to `compare_catalogues`.
"""

with DAG("reconcile", schedule=often(), **door("Compare ledger, PanDA and Airflow", DOCS)) as dag:
    ReconcileOperator(task_id="reconcile")
