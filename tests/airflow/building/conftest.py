"""A ledger with published requests, and a place for bundles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prodsys.ledger.migrate import migrate
from prodsys.ledger.session import make_engine, make_session_factory
from prodsys.model.specs import Catalogue
from tests import airflow_environment  # noqa: F401 - before Airflow
from tests.publishing import Ledger, read_catalogue

from prodsys.building.bundle import RequestBundle  # isort: skip


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return read_catalogue()


@pytest.fixture
def ledger(
    fresh_database: Callable[..., str],
    template_database: Callable[[str, Callable[[str], None]], str],
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Ledger]:
    url = fresh_database(template=template_database("ledger_template", migrate))
    monkeypatch.setenv("PRODSYS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRODSYS_DATABASE_URL", url)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    yield Ledger(url, make_session_factory(url), catalogue)
    make_engine(url).dispose()


@pytest.fixture
def open_bundle(ledger: Ledger) -> Callable[..., RequestBundle]:
    def make(version: int | None = None) -> RequestBundle:
        bundle = RequestBundle(name="requests", version=None if version is None else str(version))
        bundle.initialize()
        return bundle

    return make


@pytest.fixture
def ledger_down(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take the ledger away: nobody listens at this address."""

    def take_away() -> None:
        monkeypatch.setenv("PRODSYS_DATABASE_URL", "postgresql+psycopg://prodsys@127.0.0.1:1/prodsys")

    return take_away
