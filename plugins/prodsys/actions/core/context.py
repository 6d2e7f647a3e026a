"""What an action works with: who acts, the specs, the ledger, and clients made when first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from prodsys.ddm.client import RucioClient
from prodsys.errors import NotAllowed
from prodsys.iam.tokens import ClientCredentials
from prodsys.intake.catalogue import load_catalogue
from prodsys.ledger.journal import LedgerJournal
from prodsys.ledger.session import SessionFactory, make_session_factory
from prodsys.model.specs import Catalogue
from prodsys.model.text import person_name
from prodsys.model.transitions import Permission
from prodsys.orchestrator.client import AirflowClient
from prodsys.panda.client import PandaClient
from prodsys.settings import Settings, read_settings


@dataclass(frozen=True)
class Clients:
    """How to make the client of each service; made when first asked for."""

    panda: Callable[[], PandaClient]
    rucio: Callable[[], RucioClient]
    airflow: Callable[[], AirflowClient]


@dataclass(frozen=True)
class Context:
    """What an action needs: the acting person or service, ledger, services, specs."""

    who: str
    roles: frozenset[str]
    catalogue: Catalogue
    sessions: SessionFactory
    clients: Clients
    home: Path
    monitor_url: str
    rse_root: Path | None = None
    cvmfs: Path = Path("/cvmfs")  # where it is mounted, if it is
    dry_run: bool = False  # a dry run: what it waits for would never come

    def __post_init__(self) -> None:
        """A person has one name, however it was typed."""
        object.__setattr__(self, "who", person_name(self.who))

    @cached_property
    def panda(self) -> PandaClient:
        """The border to PanDA."""
        return self.clients.panda()

    @cached_property
    def rucio(self) -> RucioClient:
        """The border to Rucio."""
        return self.clients.rucio()

    @cached_property
    def airflow(self) -> AirflowClient:
        """The border to Airflow's REST API."""
        return self.clients.airflow()

    def acting_as(self, who: str, *roles: str) -> Self:
        """The same context for another person."""
        return replace(self, who=who, roles=frozenset(roles))

    def check_permission(self, action: str, right: Permission) -> None:
        """NotAllowed unless the acting person has a role with this right (a service has `service`)."""
        allowed = self.catalogue.policy.roles_with(right)
        if not self.roles & {*allowed, "service"}:
            raise NotAllowed(self.who, action, " or ".join(allowed))


def make_context(who: str, roles: frozenset[str], settings: Settings | None = None) -> Context:
    """Context from the settings of this process: environment, else ``prodsys.env``."""
    known = settings or read_settings()
    catalogue = load_catalogue(known.specs, known.profile)
    sessions = make_session_factory(known.need("DATABASE_URL"))
    root = known.get("RSE_ROOT")
    return Context(
        who=who,
        roles=roles,
        catalogue=catalogue,
        sessions=sessions,
        clients=clients_of(known, catalogue, LedgerJournal(sessions, person_name(who))),
        home=known.home,
        monitor_url=known.get("PANDA_MONITOR_URL") or known.get("PANDA_URL") or "",
        rse_root=Path(root) if root else None,
        cvmfs=Path(known.get("CVMFS") or "/cvmfs"),
    )


def clients_of(settings: Settings, catalogue: Catalogue, journal: LedgerJournal) -> Clients:
    """Makers of the clients from settings; nothing is contacted before a client is used."""
    times, profile = catalogue.profile.times, catalogue.profile

    def token(audience: str) -> ClientCredentials:
        return ClientCredentials(
            issuer=settings.need("IAM_ISSUER"),
            client_id=settings.need("IAM_CLIENT_ID"),
            secret=settings.secret("IAM_CLIENT_SECRET"),
            audience=audience,
            timeout_s=times.call_timeout_s,
            margin_s=times.token_margin_s,
        )

    def panda() -> PandaClient:
        origin = settings.get("PANDA_ORIGIN") or profile.origin
        return PandaClient(
            settings.need("PANDA_URL"),
            origin,
            token(profile.panda_audience),
            times.call_timeout_s,
            journal,
            profile.answer_max_bytes,
        )

    def rucio() -> RucioClient:
        account = settings.need("RUCIO_ACCOUNT")
        return RucioClient(
            settings.need("RUCIO_URL"),
            account,
            token(profile.rucio_audience),
            times.call_timeout_s,
            journal,
            stream_max_s=times.stream_max_s,
            max_bytes=profile.answer_max_bytes,
        )

    def airflow() -> AirflowClient:
        password = settings.secret("AIRFLOW_PASSWORD")
        return AirflowClient(
            settings.need("AIRFLOW_URL"),
            settings.need("AIRFLOW_USER"),
            password,
            times.call_timeout_s,
            max_bytes=profile.answer_max_bytes,
        )

    return Clients(panda, rucio, airflow)
