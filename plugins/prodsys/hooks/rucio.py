"""Airflow connection of type ``rucio``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodsys.errors import ProductionError
from prodsys.hooks.connections import ServiceHook, behaviour_of
from prodsys.hooks.provider_info import RUCIO_CONNECTION

if TYPE_CHECKING:
    from prodsys.ddm.client import RucioClient
    from prodsys.model.journal import Journal


class RucioHook(ServiceHook):
    """Speaks to the Rucio server of a connection, as the robot of that connection.

    Parameters
    ----------
    rucio_conn_id
        Airflow connection of type ``rucio``.
    journal
        Where each call leaves a line.
    """

    conn_name_attr = "rucio_conn_id"
    default_conn_name = "rucio_default"
    conn_type = "rucio"
    hook_name = "Rucio"

    def __init__(self, rucio_conn_id: str = default_conn_name, journal: Journal | None = None) -> None:
        super().__init__()
        self.rucio_conn_id = self.conn_id = rucio_conn_id
        self._journal = journal

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """How the connection form looks."""
        return behaviour_of(RUCIO_CONNECTION["ui-field-behaviour"])

    @property
    def account(self) -> str:
        """Rucio account."""
        return self.field_value("account") or self.settings.need("RUCIO_ACCOUNT")

    def get_conn(self) -> RucioClient:
        """A client of this server; nothing is sent yet."""
        from prodsys.ddm.client import RucioClient

        tokens = self.tokens(self.profile.rucio_audience)
        limits = {"stream_max_s": self.profile.times.stream_max_s, "max_bytes": self.profile.answer_max_bytes}
        return RucioClient(self.url, self.account, tokens, self.timeout_s, self._journal, **limits)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the server answers and takes our token for the account, in words."""
        try:
            client = self.get_conn()
            version, account = client.ping(), client.whoami()
        except ProductionError as error:
            return False, str(error)
        return True, f"Rucio {version} at {self.url} knows us as {account}"
