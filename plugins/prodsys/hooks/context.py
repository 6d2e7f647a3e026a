"""Contexts for the actions that Airflow calls: ledger, PanDA and Rucio through Airflow's connections."""

from __future__ import annotations

from dataclasses import replace

from prodsys.actions.core.context import Context, make_context
from prodsys.hooks.ledger import LedgerHook
from prodsys.hooks.panda import PandaHook
from prodsys.hooks.rucio import RucioHook
from prodsys.ledger.journal import LedgerJournal
from prodsys.settings import Settings, read_settings

SERVICE = frozenset({"service"})  # role of our own processes: what they do was decided by a person before


def build_context(who: str) -> Context:
    """Context of a service, from the connections ``prodsys_ledger``, ``panda_default`` and ``rucio_default``.

    No service is contacted before it is used; what the connections do not say comes from the settings.
    """
    ledger_url = LedgerHook().ledger_url.render_as_string(hide_password=False)
    settings = Settings({**read_settings().values, "PRODSYS_DATABASE_URL": ledger_url})
    ctx = make_context(who, SERVICE, settings)
    journal = LedgerJournal(ctx.sessions, who)
    clients = replace(
        ctx.clients,
        panda=lambda: PandaHook(journal=journal).get_conn(),
        rucio=lambda: RucioHook(journal=journal).get_conn(),
    )
    return replace(ctx, clients=clients)
