"""Context of the calling person: specs and ledger of this process, roles by policy, a journal in his name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from prodsys.actions.core.context import Context, clients_of, make_context
from prodsys.errors import FileUnreadable, SpecInvalid
from prodsys.ledger.journal import LedgerJournal
from prodsys.model.policy import PolicySpec
from prodsys.settings import Settings, read_settings
from prodsys.web.person import Person
from prodsys.web.refusals import SpecsFaulty

ContextFactory = Callable[[Person], Context]


def roles_of(policy: PolicySpec, person: Person) -> frozenset[str]:
    """Roles that policy.yaml gives to a person for his roles at Airflow."""
    return frozenset(policy.airflow_roles[one] for one in person.airflow_roles if one in policy.airflow_roles)


class SettingsContextFactory:
    """Contexts from the settings of this process; specs are read once, when the first call comes."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._common: tuple[Settings, Context] | None = None

    def __call__(self, person: Person) -> Context:
        """Context of one person, for one call."""
        settings, common = self._read()
        clients = clients_of(settings, common.catalogue, LedgerJournal(common.sessions, person.name))
        return replace(common, who=person.name, roles=roles_of(common.catalogue.policy, person), clients=clients)

    def _read(self) -> tuple[Settings, Context]:
        with self._lock:
            if self._common is None:
                settings = self._settings or read_settings()
                try:
                    self._common = settings, make_context("web", frozenset(), settings)
                except (SpecInvalid, FileUnreadable) as error:  # not the caller's fault
                    raise SpecsFaulty(str(error)) from error
            return self._common
