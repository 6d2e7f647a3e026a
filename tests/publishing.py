"""Published requests for tests and benchmarks: plans, a ledger that publishes, folders as the bundle writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prodsys.building.folders import PlanStore, write_version
from prodsys.intake.catalogue import load_catalogue
from prodsys.ledger.publications import Publication, publish
from prodsys.ledger.session import SessionFactory, transaction
from prodsys.ledger.tables import PlanRow, RequestRow, RevisionRow
from prodsys.model.estimate import Estimate, Measure, build_estimate
from prodsys.model.plan import Plan, build_plan
from prodsys.model.request import RequestSpec
from prodsys.model.specs import Catalogue
from prodsys.settings import REPOSITORY

IN_BUNCHES = "PROD2025-012"
IN_BUNCHES_BEFORE = "PROD2025-011"  # approved when the layout of bunches was the first one
OF_BUNCHES = {"seeds": 7, "bunches": 3}


def read_catalogue() -> Catalogue:
    return load_catalogue(REPOSITORY / "include" / "specs", "sandbox")


def make_plan(catalogue: Catalogue, request_id: str, revision: int = 1, seeds: int = 3, bunches: int = 1) -> Plan:
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
        bunches=bunches,
        bunches_at_once=2,
    )
    return build_plan(spec, revision, catalogue)


def published_plan(catalogue: Catalogue, request_id: str) -> Plan:
    """The plan of a request of `write_folder`."""
    plan = make_plan(catalogue, request_id, **(OF_BUNCHES if request_id in {IN_BUNCHES, IN_BUNCHES_BEFORE} else {}))
    return plan.model_copy(update={"layout": "bunches-1"}) if request_id == IN_BUNCHES_BEFORE else plan


@dataclass
class Ledger:
    """A ledger's database, with a short way to publish."""

    url: str
    sessions: SessionFactory
    catalogue: Catalogue

    def publish(
        self,
        request_id: str,
        revision: int = 1,
        *,
        owner: str = "mgr",
        retired: bool = False,
        measures: Iterable[Measure] = (),
    ) -> int:
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
            if session.get(RevisionRow, (request_id, revision)) is None:
                session.get_one(RequestRow, request_id).revision = revision
                session.add(_revision(plan, owner))
            if session.get(PlanRow, (request_id, plan.digest())) is None:
                session.add(_plan_row(plan, self._estimate(plan, measures), owner))
                session.flush()
            return publish(session, request_id, revision, plan.digest(), owner, retired=retired)

    def _estimate(self, plan: Plan, measures: Iterable[Measure]) -> Estimate:
        return build_estimate(plan, self.catalogue.chains[plan.spec.chain], {}, measures)


def _plan_row(plan: Plan, estimate: Estimate, owner: str) -> PlanRow:
    return PlanRow(
        request_id=plan.request_id,
        digest=plan.digest(),
        revision=plan.revision,
        body=plan.model_dump(mode="json"),
        estimate=estimate.model_dump(mode="json"),
        planned_by=owner,
    )


def take_place(sessions: SessionFactory, request_id: str) -> None:
    """What launching does before it asks Airflow for a run: an approved request is ready and has its place."""
    with transaction(sessions) as session:
        row = session.get_one(RequestRow, request_id)
        if row.state in {"approved", "delayed"}:
            row.state, row.not_before = "ready", None
        if row.state == "ready" and row.launched_at is None:
            row.launched_at = datetime.now(UTC)


def _revision(plan: Plan, owner: str) -> RevisionRow:
    return RevisionRow(
        request_id=plan.request_id,
        revision=plan.revision,
        digest=plan.spec_digest,
        configuration=plan.configuration_digest,
        spec=plan.spec.model_dump(mode="json"),
        source={},
        created_by=owner,
    )


def write_folder(folder: Path, request_ids: Iterable[str], catalogue: Catalogue) -> Path:
    """A folder of published requests, without a database."""
    plans = PlanStore(folder / "objects")
    publications = []
    for number, request_id in enumerate(request_ids, start=1):
        plan = published_plan(catalogue, request_id)
        publications.append(Publication(number, request_id, 1, plan.digest(), "mgr"))
        plans.put(publications[-1], plan.model_dump(mode="json"))
    write_version(folder / "1", 1, publications, plans)
    return folder / "1"
