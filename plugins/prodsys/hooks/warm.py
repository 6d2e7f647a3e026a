"""Import once what every airflow task needs.

The scheduler (LocalExecutor) and Celery's worker fork a process for each airflow task. What the parent has imported
costs the child nothing; without this each of them spends a second of CPU on imports.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module

FORKING = frozenset({"scheduler", "celery"})  # commands of `airflow` whose processes fork those of airflow tasks
MODULES = (
    "prodsys.actions.closing.collection",
    "prodsys.actions.settlement.registration",
    "prodsys.actions.requests.drop_folder",
    "prodsys.actions.runs.launching",
    "prodsys.actions.reconciliation.reconciling",
    "prodsys.actions.settlement.settling",
    "prodsys.actions.submission.submitting",
    "prodsys.hooks.context",
)
CLIENTS = ("prodsys.panda.wire", "prodsys.ddm.connection", "prodsys.ddm.content")  # each has a `warm_up` of its own
log = logging.getLogger(__name__)


def warm_up() -> None:
    """Import what airflow tasks need, when this is a process that forks them."""
    if not FORKING & set(sys.argv[1:2]):
        return
    for name in (*MODULES, *CLIENTS):
        try:
            module = import_module(name)
            getattr(module, "warm_up", lambda: None)()
        except ImportError as error:
            log.warning("%s was not imported ahead: %s", name, error)
