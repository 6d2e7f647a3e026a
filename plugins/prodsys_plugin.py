"""The one file of this repository that Airflow scans for plugins: it tells Airflow what to show."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from prodsys.hooks.links import PandaTaskLink


class ProdsysPlugin(AirflowPlugin):
    """Links from airflow tasks to PanDA."""

    name = "prodsys"
    operator_extra_links = [PandaTaskLink()]  # noqa: RUF012 - Airflow's own form
