"""Airflow DAG `report`: what the ledger holds, once a day."""

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Param

from prodsys.building.standing import LEDGER, REPORTS, door

DOCS = """
Runs the statements of `include/sql/reports` on the ledger every morning. Each result is the airflow task's XCom
`return_value` and stands in its log.
"""
PARAMS = {
    "campaign": Param("%", type="string", maxLength=200, description="SQL LIKE pattern of the campaign's name"),
    "older_than_h": Param(24, type="integer", minimum=0, description="age of a task that should have ended [h]"),
}
STATEMENTS = {
    "requests_by_state": {"campaign": "{{ params.campaign }}"},
    "seeds_by_configuration": {"campaign": "{{ params.campaign }}"},
    "tasks_not_final": {"older_than_h": "{{ params.older_than_h | int }}"},
}

with DAG(
    "report",
    schedule="0 6 * * *",
    template_searchpath=REPORTS,
    params=PARAMS,
    **door("Requests, seeds and open tasks", DOCS),
) as dag:
    for name, parameters in STATEMENTS.items():
        SQLExecuteQueryOperator(
            task_id=name, conn_id=LEDGER, sql=f"{name}.sql", parameters=parameters, show_return_value_in_logs=True
        )
