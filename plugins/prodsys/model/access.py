"""Who may touch which DAG at Airflow, besides administrators and the service account: FAB's rights of single DAGs.

A role's rights on all DAGs would let the manager pause `dispatch` or backfill `reconcile`; so a DAG names them itself.
Airflow writes them when it reads the DAG, and takes away what is not named any more; the role must exist before.
"""

from __future__ import annotations

from collections.abc import Mapping

MANAGER_ROLE = "ProductionManager"  # at Airflow; `airflow_roles` in policy.yaml says what it means to us
DAGS, RUNS = "DAGs", "DAG Runs"  # FAB's names of the two kinds of rights of a DAG
Access = Mapping[str, Mapping[str, frozenset[str]]]

REQUEST_ACCESS: Access = {
    MANAGER_ROLE: {DAGS: frozenset({"can_read", "can_edit"}), RUNS: frozenset({"can_read", "can_create"})}
}
"""Of the DAG of a request: pause it, start a run, answer its questions; clear, mark and delete nothing."""
QUESTION_ACCESS: Access = {MANAGER_ROLE: {DAGS: frozenset({"can_read", "can_edit"}), RUNS: frozenset({"can_read"})}}
"""Of `approve_plan`: answer its questions, for which FAB asks for "edit"; start no run of it."""


def access_control(access: Access) -> dict[str, dict[str, set[str]]]:
    """The argument of a DAG."""
    return {role: {kind: set(actions) for kind, actions in rights.items()} for role, rights in access.items()}
