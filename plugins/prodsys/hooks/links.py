"""Links from an airflow task to the PanDA task it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from prodsys.settings import Settings, read_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class PandaTaskLink(BaseOperatorLink):
    """Page of the PanDA task in the monitor.

    Airflow computes it in the worker when an airflow task ends or defers, and keeps it as an XCom. An operator that
    knows the id while it runs says so in its attribute ``jedi_task_id``; else its return value is taken.
    """

    @property
    def name(self) -> str:
        """Label of the button."""
        return "PanDA task"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Address of the page, "" while there is no task or no monitor."""
        if hasattr(operator, "jedi_task_id"):  # asking for an XCom that is not there leaves an error in the log
            return task_page(operator.jedi_task_id, read_settings())
        return task_page(XCom.get_value(ti_key=ti_key, key="return_value"), read_settings())


def task_page(jedi_task_id: object, settings: Settings) -> str:
    """Page of a task in the PanDA monitor, "" when there is no id or no monitor."""
    monitor = settings.get("PANDA_MONITOR_URL") or settings.get("PANDA_URL")
    if not monitor or type(jedi_task_id) is not int:
        return ""
    return f"{monitor.rstrip('/')}/task/{jedi_task_id}"
