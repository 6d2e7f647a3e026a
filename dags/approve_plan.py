"""Airflow DAG `approve_plan`: each run asks people, on Airflow's own page, whether one plan is approved."""

from airflow.sdk import DAG, Param

from prodsys.building.retries import request_retries
from prodsys.building.standing import QUESTION_RIGHTS, QUESTIONS, door
from prodsys.operators.approve import ApproveOperator

DOCS = """
Started by `approval`, one run a question; its page *Required Actions* shows the plan and takes the answer. *Approve* is
the approval of whoever presses it, for the plan with this digest and no other; a large plan needs two persons. *Reject*
wants a comment and sends the request back to be planned again. An answer that cannot be taken is asked again, with the
reason, by another run. `prodsys request approve` and `reject` do the same.
"""
PARAMS = {
    "request_id": Param(type="string", maxLength=40, description="request whose plan waits"),
    "digest": Param("", type="string", maxLength=80, description="of the plan; empty: the newest"),
    "words": Param("", type="string", maxLength=80, description="digest of what is shown; empty: as it stands"),
    "said": Param("", type="string", maxLength=1000, description="why it is asked again"),
}

with DAG(
    "approve_plan",
    schedule=None,
    params=PARAMS,
    access_control=QUESTION_RIGHTS,
    **door("Approve a plan", DOCS, at_once=QUESTIONS),
) as dag:
    ApproveOperator(
        task_id="approve",
        request_id="{{ params.request_id }}",
        digest="{{ params.digest }}",
        said="{{ params.said }}",
        **request_retries(),
    )
