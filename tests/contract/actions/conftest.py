"""The ledger in a real PostgreSQL, and hands that act on it; PanDA, Rucio and Airflow are not reached from here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from prodsys.actions.context import Clients, Context
from prodsys.actions.importing import ImportAnswer, import_intake
from prodsys.intake.catalogue import load_catalogue
from prodsys.intake.files import read_files
from prodsys.ledger.migrate import migrate
from prodsys.ledger.session import make_engine, make_session_factory
from prodsys.settings import REPOSITORY

DEMO = REPOSITORY / "include" / "demo"


def _migrate(url: str) -> None:
    migrate(url)
    make_engine(url).dispose()


@pytest.fixture
def ledger_url(template_database: Callable, fresh_database: Callable) -> str:
    return fresh_database(template=template_database("ledger_template", _migrate))


@pytest.fixture
def ctx(ledger_url: str, tmp_path: Path) -> Context:
    def unreachable() -> NoReturn:
        raise AssertionError("this test must not reach another service")

    context = Context(
        who="manager",
        roles=frozenset({"manager"}),
        catalogue=load_catalogue(REPOSITORY / "include" / "specs", "sandbox"),
        sessions=make_session_factory(ledger_url),
        clients=Clients(unreachable, unreachable, unreachable),
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
