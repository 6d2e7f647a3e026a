"""Airflow DAG `dispatch`: starts requests that wait as `ready`."""

from airflow.sdk import DAG

from prodsys.building.standing import door
from prodsys.operators.standing import DispatchOperator

DOCS = """
Every minute starts the runs of requests that were launched and wait as `ready`, by priority, within the limit of
running ones (`include/specs/policy.yaml`). It works on the state of the ledger, so the first run after an outage does
all that was missed, once: nothing is caught up run by run.
"""

with DAG("dispatch", schedule="* * * * *", **door("Start ready requests", DOCS)) as dag:
    DispatchOperator(task_id="dispatch")
