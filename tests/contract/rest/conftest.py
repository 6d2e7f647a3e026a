"""The API over a real PostgreSQL, called in-process: the gate, the routes and the acts as they stand.

Who calls is told by the bearer token, which here is the name: ``Authorization: Bearer manager``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from prodsys.actions.core.context import Context, clients_of, make_context
from prodsys.actions.requests.importing import import_intake
from prodsys.intake.catalogue import load_catalogue
from prodsys.intake.files import read_files
from prodsys.ledger.journal import LedgerJournal
from prodsys.ledger.migrate import migrate
from prodsys.ledger.session import make_engine, make_session_factory
from prodsys.model.specs import Catalogue
from prodsys.settings import REPOSITORY, Settings
from prodsys.web.application import create_app
from prodsys.web.context_factory import roles_of
from prodsys.web.person import Access, Person
from prodsys.web.problems import install
from prodsys.web.refusals import NotAuthenticated
from tests.contract.actions.conftest import (  # noqa: F401 - fixtures
    DEMO,
    airflow,
    approved,
    import_demo,
    url,
)

ROLES = {"admin": "Admin", "manager": "ProductionManager", "submitter": "Submitter", "viewer": "Viewer", "guest": ""}
AUDITORS = {"admin", "manager"}
BASE = "http://panel.example.org"
API = "/prodsys/api/v1"


async def token_user(request: Any) -> Person:
    """Stands for Airflow's own check of a token; the real one is tried in tests/system."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    name = token if scheme.lower() == "bearer" else request.cookies.get("_token", "")
    if name not in ROLES:
        raise NotAuthenticated("Invalid token" if name else "Not authenticated")
    return Person(name, frozenset({ROLES[name]} - {""}))


def airflow_lets(person: Person, access: Access) -> bool:
    return person.name != "guest" and (access is Access.LOOK or person.name in AUDITORS)


@dataclass
class Mounted:
    """The application as Airflow mounts it, made once; whose ledger it works on changes from test to test."""

    context: Context | None = None

    def make_context(self, person: Person) -> Context:
        assert self.context is not None
        roles = roles_of(self.context.catalogue.policy, person)
        return replace(self.context, who=person.name, roles=roles)

    @cached_property
    def root(self) -> FastAPI:
        root = FastAPI(openapi_url=None)
        install(root)
        root.mount("/prodsys", create_app(token_user, airflow_lets, origins=(BASE,), make_context=self.make_context))
        return root


@dataclass(frozen=True)
class Caller:
    """One person at the API."""

    client: TestClient
    name: str

    def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.name}", **given.pop("headers", {})}
        return self.client.request(method, API + path, headers=headers, **given)

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.call("GET", path, **given)

    def post(self, path: str, body: Any = None, **given: Any) -> httpx.Response:
        return self.call("POST", path, json=body, **given)

    def ask(self, path: str, **query: Any) -> Any:
        """Body of a GET that succeeds."""
        answer = self.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def do(self, path: str, body: Any = None, **given: Any) -> Any:
        """Body of an act that succeeds, on any picture of the request."""
        answer = self.post(path, body, headers={"If-Match": "*", **given.pop("headers", {})}, **given)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


def _write_book(address: str) -> None:
    """A ledger with the book of the demo: made once, copied for each test."""
    migrate(address)
    context = make_context("manager", frozenset({"manager"}), Settings({"PRODSYS_DATABASE_URL": address}))
    import_intake(context, read_files([DEMO / "requests_sheet.csv"], context.catalogue))
    make_engine(address).dispose()


@pytest.fixture
def ledger_url(template_database: Callable, fresh_database: Callable) -> str:
    return fresh_database(template=template_database("rest_template", _write_book))


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The specs, read once."""
    return load_catalogue(REPOSITORY / "include" / "specs", "sandbox")


@pytest.fixture
def ctx(ledger_url: str, tmp_path: Path, catalogue: Catalogue) -> Iterator[Context]:
    """Hands of the manager where no service is configured."""
    sessions = make_session_factory(ledger_url)
    yield Context(
        who="manager",
        roles=frozenset({"manager"}),
        catalogue=catalogue,
        sessions=sessions,
        clients=clients_of(Settings({}), catalogue, LedgerJournal(sessions, "manager")),
        home=tmp_path,
        monitor_url="http://127.0.0.1:1",
    )
    make_engine(ledger_url).dispose()


@pytest.fixture(scope="session")
def application() -> Mounted:
    return Mounted()


@pytest.fixture
def api(application: Mounted, ctx: Context) -> FastAPI:
    application.context = ctx
    return application.root


@pytest.fixture
def caller(api: FastAPI) -> Iterator[Callable[[str], Caller]]:
    """Return a function from a name to that person at the API."""
    with TestClient(api, base_url=BASE) as client:
        yield lambda name: Caller(client, name)


@pytest.fixture
def manager(caller) -> Caller:
    """The manager."""
    return caller("manager")


@pytest.fixture
def at_airflow(application: Mounted, approved) -> Iterator[Caller]:  # noqa: F811
    """The manager, an approved request DEMO2025-016, and an Airflow that takes orders."""
    application.context = approved
    with TestClient(application.root, base_url=BASE) as client:
        yield Caller(client, "manager")
