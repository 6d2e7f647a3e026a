"""Airflow DAG `dispatch`: starts requests that wait as `ready`."""

from airflow.sdk import DAG

from prodsys.building.standing import door, often
from prodsys.operators.standing import DispatchOperator

DOCS = """
Starts the runs of requests that were launched and wait as `ready`, by priority, within the limit of running ones
(`include/specs/policy.yaml`), every minute (`PRODSYS_STANDING_INTERVAL_S`). It works on the state of the ledger, so the
first run after an outage does all that was missed, once: nothing is caught up run by run.
"""

with DAG("dispatch", schedule=often(), **door("Start ready requests", DOCS)) as dag:
    DispatchOperator(task_id="dispatch")
