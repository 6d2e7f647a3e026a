"""One site for tests: ledger, PanDA sandbox, Rucio and IAM as separate processes, and hands that act on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from prodsys.actions.core.context import Clients, Context
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.ddm.client import RucioClient
from prodsys.ddm.translation import Refusal
from prodsys.iam.tokens import ClientCredentials
from prodsys.intake.catalogue import load_catalogue
from prodsys.ledger.session import SessionFactory
from prodsys.model import seeds as seed_ranges
from prodsys.model.specs import Catalogue
from prodsys.panda.client import PandaClient
from prodsys.settings import REPOSITORY
from tests.contract.panda.sandbox_target import Sandbox
from tests.rucio_fixture import RucioServer

SPEED = 30
TIMEOUT_S = 20.0
EVENTS = 5
ORIGIN = "spd.production"
ROBOT = "production"
BOOK = "PROD2025-012"  # the request of history that all others are cloned from
CHANGING_PANDA = {f"task/{word}" for word in ("submit", "kill", "finish", "pause", "resume", "retry")}
CHANGING_RUCIO = {
    "add_scope",
    "add_dataset",
    "add_container",
    "add_files_to_datasets",
    "attach_dids",
    "detach_dids",
    "close",
    "set_metadata_bulk",
    "set_dids_metadata_bulk",
    "add_replication_rule",
}


class Killed(BaseException):
    """The process is gone; nobody catches it."""


@dataclass
class Calls:
    """A journal in memory that knows which calls change something."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def record(self, *, call: str, target: str, **line: object) -> None:
        self.lines.append((call, target))

    def changes(self) -> list[tuple[str, str]]:
        return [line for line in self.lines if line[0] in CHANGING_PANDA | CHANGING_RUCIO]


class DyingConnection:
    """A connection whose process dies, unheard, when Rucio has done its first change or the last of so many calls."""

    def __init__(self, connection: Any, calls: int) -> None:
        self._connection, self._left = connection, calls

    def call(self, verb: str, target: str, function: Callable[[Any], Any]) -> Any:
        answer = self._connection.call(verb, target, function)
        self._left -= 1
        if verb in CHANGING_RUCIO or self._left == 0:
            raise Killed(f"{verb} {target}")
        return answer


class StrictConnection:
    """A connection to a Rucio that lets no file out of a closed dataset; version 41.5 does, others may not."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def call(self, verb: str, target: str, function: Callable[[Any], Any]) -> Any:
        if verb == "detach_dids":
            raise Refusal(f"{verb} {target}", "UnsupportedOperation", "the dataset is closed")
        return self._connection.call(verb, target, function)


@dataclass(frozen=True)
class Site:
    """The services of one site and the ledger."""

    sandbox: Sandbox
    rucio: RucioServer
    sessions: SessionFactory
    home: Path
    catalogue: Catalogue
    database_url: str
    strict: bool = False  # its Rucio lets no file out of a closed dataset

    def panda_client(self, calls: Calls | None = None, url: str = "") -> PandaClient:
        """A client of PanDA with the robot's own token."""
        return PandaClient(url or self.sandbox.url, ORIGIN, self._token("panda"), TIMEOUT_S, calls)

    def rucio_client(self, calls: Calls | None = None) -> RucioClient:
        """A client of Rucio with the robot's own token."""
        return RucioClient(self.rucio.url, ROBOT, self._token("rucio"), TIMEOUT_S, calls)

    def _token(self, audience: str) -> ClientCredentials:
        issuer = self.rucio.signer.issuer
        return ClientCredentials(issuer, ROBOT, "unused", audience=audience, timeout_s=TIMEOUT_S, margin_s=60)

    def context(
        self, calls: Calls | None = None, *, panda_url: str = "", dies_after: int | None = None, **times: float
    ) -> Context:
        """Hands of the manager; `times` replaces times of the profile [s], `dies_after` counts calls to Rucio."""

        def rucio() -> RucioClient:
            client = self.rucio_client(calls)
            if self.strict:
                client._rucio = StrictConnection(client._rucio)  # type: ignore[assignment]
            if dies_after is not None:
                client._rucio = DyingConnection(client._rucio, dies_after)  # type: ignore[assignment]
            return client

        def airflow() -> NoReturn:
            raise AssertionError("no run of Airflow has to be asked for")

        changed = self.catalogue.profile.times.model_copy(update=times)
        profile = self.catalogue.profile.model_copy(update={"times": changed})
        return Context(
            who="manager",
            roles=frozenset({"manager"}),
            catalogue=self.catalogue.model_copy(update={"profile": profile}),
            sessions=self.sessions,
            clients=Clients(lambda: self.panda_client(calls, panda_url), rucio, airflow),  # type: ignore[arg-type]
            home=self.home,
            monitor_url=self.sandbox.url,
            rse_root=self.rucio.rse_root,
        )

    def settings(self, folder: Path) -> dict[str, str]:
        """Environment of a process of this site."""
        secret = folder / "iam_secret"
        secret.write_text("unused")
        return {
            "PRODSYS_HOME": str(self.home),
            "PRODSYS_PROFILE": "sandbox",
            "PRODSYS_DATABASE_URL": self.database_url,
            "PRODSYS_PANDA_URL": self.sandbox.url,
            "PRODSYS_PANDA_ORIGIN": ORIGIN,
            "PRODSYS_RUCIO_URL": self.rucio.url,
            "PRODSYS_RUCIO_ACCOUNT": ROBOT,
            "PRODSYS_IAM_ISSUER": self.rucio.signer.issuer,
            "PRODSYS_IAM_CLIENT_ID": ROBOT,
            "PRODSYS_IAM_CLIENT_SECRET_FILE": str(secret),
        }

    def with_policy(self, **changes: object) -> Site:
        """The same site with another policy."""
        policy = self.catalogue.policy.model_copy(update=changes)
        return replace(self, catalogue=self.catalogue.model_copy(update={"policy": policy}))

    def approved(
        self,
        request_id: str,
        seed_count: int = 3,
        partition: str | None = None,
        bunches: int | None = None,
        queue: str | None = None,
    ) -> tuple[int, ...]:
        """Clone, plan and approve a request; its seeds."""
        ctx = self.context()
        order = CloneOrder(
            seed_count=seed_count,
            events_per_file=EVENTS,
            chain="SIM-RECO",
            partition=partition,
            bunches=bunches,
            queue=queue,
        )
        spec = clone(ctx, BOOK, request_id, order)
        approve(ctx, request_id, plan(ctx, request_id).digest)
        return tuple(seed_ranges.iterate(spec.seeds))

    def rse_of(self, queue: str) -> str:
        """Storage that jobs at a queue write to."""
        return next(one.rse for one in self.catalogue.sites.queues if one.name == queue)


def read_catalogue() -> Catalogue:
    """The specs of the repository, sandbox profile."""
    return load_catalogue(REPOSITORY / "include" / "specs", "sandbox")


@contextmanager
def running(folder: Path, database_url: str, rucio: RucioServer, adder: str, **settings: str) -> Iterator[Sandbox]:
    """A PanDA sandbox beside this Rucio; adder ``rucio`` registers there, ``none`` nowhere."""
    secret = folder / "secret"
    secret.write_text("unused")
    sandbox = Sandbox(
        folder,
        database_url,
        speed=SPEED,
        SITES="",  # the two queues of sites.yaml
        ADDER=adder,
        RSE_ROOT=str(rucio.rse_root),
        IAM_ISSUER=rucio.signer.issuer,
        JWKS="",
        IAM_CLIENT_ID=ROBOT,
        IAM_CLIENT_SECRET_FILE=str(secret),
        RUCIO_URL=rucio.url,
        **settings,
    )
    sandbox.start()
    try:
        yield sandbox
    finally:
        sandbox.stop()
