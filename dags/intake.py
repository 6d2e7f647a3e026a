"""Airflow DAG `intake`: imports request files that were dropped, and those of `include/specs/requests`."""

from airflow.sdk import DAG

from prodsys.building.standing import door, often
from prodsys.operators.standing import DropFolderOperator, SpecFolderOperator

DOCS = """
Imports request files, every minute: the drop folder (`$PRODSYS_HOME/intake`; a file is taken when nobody has written to
it for two minutes, and moves to `done`, a faulty one to `faulty` with reports beside it) and the YAML files under
`include/specs/requests`. Importing the same file twice changes nothing, also when a person revised
the request meanwhile: the log names the difference. What is imported is a draft: nothing runs before somebody has
planned, approved and launched it. A run is red when it found new faults, once for each; the log of
every run names those that stand.
"""

with DAG("intake", schedule=often(), **door("Import request files", DOCS)) as dag:
    DropFolderOperator(task_id="drop_folder")
    SpecFolderOperator(task_id="specs")
