"""The ledger in a real PostgreSQL, and hands that act on it; PanDA, Rucio and Airflow are not reached from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from prodsys.actions.core.context import Context, clients_of
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.importing import ImportAnswer, import_intake
from prodsys.intake.catalogue import load_catalogue
from prodsys.intake.files import read_files
from prodsys.ledger.journal import LedgerJournal
from prodsys.ledger.migrate import migrate
from prodsys.ledger.session import make_engine, make_session_factory
from prodsys.orchestrator.client import AirflowClient
from prodsys.settings import REPOSITORY, Settings
from tests.contract.actions.airflow_api import Airflow, serve

DEMO = REPOSITORY / "include" / "demo"


def _migrate(url: str) -> None:
    migrate(url)
    make_engine(url).dispose()


@pytest.fixture
def ledger_url(template_database: Callable, fresh_database: Callable) -> str:
    return fresh_database(template=template_database("ledger_template", _migrate))


@pytest.fixture
def ctx(ledger_url: str, tmp_path: Path) -> Context:
    catalogue = load_catalogue(REPOSITORY / "include" / "specs", "sandbox")
    sessions = make_session_factory(ledger_url)
    context = Context(
        who="manager",
        roles=frozenset({"manager"}),
        catalogue=catalogue,
        sessions=sessions,
        clients=clients_of(Settings({}), catalogue, LedgerJournal(sessions, "manager")),  # no service is configured
        home=tmp_path,
        monitor_url="http://127.0.0.1:1",
    )
    yield context
    make_engine(ledger_url).dispose()


@pytest.fixture
def import_demo(ctx: Context) -> Callable[..., ImportAnswer]:
    """Import files of include/demo, or any other path."""

    def load(*names: str | Path) -> ImportAnswer:
        paths = [DEMO / name if isinstance(name, str) else name for name in names]
        return import_intake(ctx, read_files(paths, ctx.catalogue))

    return load


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def url(airflow: Airflow) -> Iterator[str]:
    with serve(airflow) as address:
        yield address


@pytest.fixture
def approved(ctx, import_demo, url, airflow):
    """Hands with this Airflow, and an approved request; patience of a second."""
    import_demo("requests_sheet.csv")
    clients = replace(ctx.clients, airflow=lambda: AirflowClient(url, "prodsys", "p", 5))
    profile = ctx.catalogue.profile
    times = profile.times.model_copy(update={"dag_visible_max_s": 1.5})
    catalogue = ctx.catalogue.model_copy(update={"profile": profile.model_copy(update={"times": times})})
    ready = replace(ctx, clients=clients, catalogue=catalogue)
    clone(ready, "PROD2025-016", "DEMO2025-016", CloneOrder(seed_count=3, events_per_file=20))
    plan(ready, "DEMO2025-016")
    airflow.digest = approve(ready, "DEMO2025-016").digest
    return ready
