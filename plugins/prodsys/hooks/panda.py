"""Airflow connection of type ``panda``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodsys.errors import ProductionError
from prodsys.hooks.connections import ServiceHook, behaviour_of
from prodsys.hooks.provider_info import PANDA_CONNECTION

if TYPE_CHECKING:
    from prodsys.model.journal import Journal
    from prodsys.panda.client import PandaClient


class PandaHook(ServiceHook):
    """Speaks to the PanDA server of a connection, as the robot of that connection.

    Parameters
    ----------
    panda_conn_id
        Airflow connection of type ``panda``.
    journal
        Where each call leaves a line.
    """

    conn_name_attr = "panda_conn_id"
    default_conn_name = "panda_default"
    conn_type = "panda"
    hook_name = "PanDA"

    def __init__(self, panda_conn_id: str = default_conn_name, journal: Journal | None = None) -> None:
        super().__init__()
        self.panda_conn_id = self.conn_id = panda_conn_id
        self._journal = journal

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """How the connection form looks."""
        return behaviour_of(PANDA_CONNECTION["ui-field-behaviour"])

    def get_conn(self) -> PandaClient:
        """A client of this server; nothing is sent yet."""
        from prodsys.panda.client import PandaClient

        origin = self.field_value("origin") or self.settings.get("PANDA_ORIGIN") or self.profile.origin
        tokens = self.tokens(self.profile.panda_audience)
        limit = self.profile.answer_max_bytes
        return PandaClient(self.url, origin, tokens, self.timeout_s, self._journal, limit)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the server answers and sees our production role, in words."""
        try:
            client = self.get_conn()
            client.is_alive()
            client.ensure_role()
        except ProductionError as error:
            return False, str(error)
        return True, f"PanDA at {self.url} answers and sees the production role"
