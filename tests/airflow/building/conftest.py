"""A ledger with published requests, and a place for bundles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import airflow_environment  # noqa: F401 - before Airflow

from prodsys.building.bundle import RequestBundle  # isort: skip
from prodsys.intake.catalogue import load_catalogue
from prodsys.ledger.migrate import migrate
from prodsys.ledger.publications import publish
from prodsys.ledger.session import SessionFactory, make_engine, make_session_factory, transaction
from prodsys.ledger.tables import PlanRow, RequestRow
from prodsys.model.plan import Plan, build_plan
from prodsys.model.request import RequestSpec
from prodsys.model.specs import Catalogue
from prodsys.settings import REPOSITORY


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue(REPOSITORY / "include" / "specs", "sandbox")


def make_plan(catalogue: Catalogue, request_id: str, revision: int = 1, seeds: int = 3) -> Plan:
    spec = RequestSpec(
        request_id=request_id,
        campaign="SPD MC 2025",
        stage="S2",
        collision="pp",
        energy_gev=27,
        polarization="UU",
        geometry="DSSD, TS, TOF",
        software="spdroot-dev",
        version="4.1.7.2",
        tag="minbias-P8-spdroot4172-dev",
        events=20 * seeds,
        events_per_file=20,
        seeds=f"1-{seeds}",
    )
    return build_plan(spec, revision, catalogue)


@dataclass
class Ledger:
    """A ledger's database, with a short way to publish."""

    url: str
    sessions: SessionFactory
    catalogue: Catalogue

    def publish(self, request_id: str, revision: int = 1, *, owner: str = "mgr", retired: bool = False) -> int:
        plan = make_plan(self.catalogue, request_id, revision, seeds=2 + revision)
        with transaction(self.sessions) as session:
            if session.get(RequestRow, request_id) is None:
                session.add(
                    RequestRow(
                        request_id=request_id,
                        state="approved",
                        recorded_status="draft",
                        campaign="SPD MC 2025",
                        requester=owner,
                    )
                )
                session.flush()
            if session.get(PlanRow, (request_id, plan.digest())) is None:
                body = plan.model_dump(mode="json")
                session.add(
                    PlanRow(request_id=request_id, digest=plan.digest(), revision=revision, body=body, planned_by=owner)
                )
                session.flush()
            return publish(session, request_id, revision, plan.digest(), owner, retired=retired)


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
