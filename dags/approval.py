"""Airflow DAG `approval`: sees that people are asked about every plan that waits for an approval."""

from airflow.sdk import DAG

from prodsys.building.standing import door, often
from prodsys.operators.approve import AskOperator

DOCS = """
Every minute compares the plans that wait for an approval with the runs of `approve_plan` that ask about them: starts a
run for a plan nobody is asked about, and ends a question whose plan was approved, rejected or changed elsewhere. The
ledger says which plans wait; after an outage the first run does all that was missed.
"""

with DAG("approval", schedule=often(), **door("Ask about plans that wait", DOCS)) as dag:
    AskOperator(task_id="ask")
