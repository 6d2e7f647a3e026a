"""Airflow DAG `compare_catalogues`: compares the ledger with Rucio, its own plans, and all tasks of the VO."""

from airflow.sdk import DAG

from prodsys.building.standing import door
from prodsys.operators.standing import CompareCataloguesOperator

DOCS = """
Every hour compares what takes longer than a minute: replication rules and datasets of delivered requests with Rucio,
approved plans with their digests, the tasks of the whole VO with those of the ledger. Each comparison asks a bounded
number of things (`reconcile` in policy.yaml) and goes on there the next time. What it finds waits for a person:
`prodsys finding list`, `prodsys finding decide`.
"""

with DAG("compare_catalogues", schedule="17 * * * *", **door("Compare with Rucio, plans and the VO", DOCS)) as dag:
    CompareCataloguesOperator(task_id="compare_catalogues")
