"""The one file of this repository that Airflow scans for plugins: it tells Airflow what to show."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from prodsys.hooks.forks import children_die_with_us
from prodsys.hooks.links import PandaTaskLink
from prodsys.hooks.warm import warm_up


class ProdsysPlugin(AirflowPlugin):
    """Links from airflow tasks to PanDA."""

    name = "prodsys"
    operator_extra_links = [PandaTaskLink()]  # noqa: RUF012 - Airflow's own form

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Import once, before airflow tasks are forked, what each of them needs; and let none outlive its scheduler."""
        warm_up()
        children_die_with_us()
