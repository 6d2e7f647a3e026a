"""Hands for the actions that Airflow calls: ledger, PanDA and Rucio through Airflow's connections."""

from __future__ import annotations

from dataclasses import replace

from prodsys.actions.context import Clients, Context, clients_of
from prodsys.hooks.ledger import LedgerHook
from prodsys.hooks.panda import PandaHook
from prodsys.hooks.rucio import RucioHook
from prodsys.intake.catalogue import load_catalogue
from prodsys.ledger.journal import LedgerJournal
from prodsys.settings import read_settings

SERVICE = frozenset({"service"})  # role of our own processes: what they do was decided by a person before


def build_context(who: str) -> Context:
    """Context of a service, from the connections ``prodsys_ledger``, ``panda_default`` and ``rucio_default``.

    Nothing is contacted before it is used.
    """
    settings = read_settings()
    catalogue = load_catalogue(settings.specs, settings.profile)
    sessions = LedgerHook().get_sessions()
    journal = LedgerJournal(sessions, who)
    clients = Clients(
        panda=lambda: PandaHook(journal=journal).get_conn(),
        rucio=lambda: RucioHook(journal=journal).get_conn(),
        airflow=clients_of(settings, catalogue, journal).airflow,
    )
    ...
