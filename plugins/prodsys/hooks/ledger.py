"""The ledger through the Airflow connection ``prodsys_ledger``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.postgres.hooks.postgres import PostgresHook
from sqlalchemy import URL, make_url

if TYPE_CHECKING:
    from prodsys.ledger.session import SessionFactory


class LedgerHook(PostgresHook):
    """The ledger's database: SQL as any PostgresHook, and sessions for queries and actions."""

    default_conn_name = "prodsys_ledger"
    hook_name = "Prodsys ledger"

    def __init__(self, *args: Any, postgres_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        kwargs[self.conn_name_attr] = postgres_conn_id
        super().__init__(*args, **kwargs)

    @property
    def ledger_url(self) -> URL:
        """SQLAlchemy URL with the driver of the ledger's room."""
        return make_url(self.get_uri()).set(drivername="postgresql+psycopg")

    def get_sessions(self) -> SessionFactory:
        """Sessions on the ledger."""
        from prodsys.ledger.session import make_session_factory

        return make_session_factory(self.ledger_url.render_as_string(hide_password=False))
