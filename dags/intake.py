"""Airflow DAG `intake`: imports request files that were dropped, and those of `include/specs/requests`."""

from airflow.sdk import DAG

from prodsys.building.doors import door
from prodsys.operators.doors import DropFolderOperator, SpecFolderOperator

DOCS = """
Imports request files every minute: the drop folder (`$PRODSYS_HOME/intake`; a file that was taken moves to `done`, a
faulty one to `faulty`, with a report beside it) and the YAML files under `include/specs/requests`. Importing the same
file twice changes nothing, also when a person revised the request meanwhile: the log names the difference. `specs` is
red once for each new fault; its log shows all of them every time. What is imported is a draft: nothing runs before
somebody has planned, approved and launched it.
"""

with DAG("intake", schedule="* * * * *", **door("Import request files", DOCS)) as dag:
    DropFolderOperator(task_id="drop_folder")
    SpecFolderOperator(task_id="specs")
