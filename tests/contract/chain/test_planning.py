"""Plans against the real services: names that are spent, room that lacks, and what a trial teaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from prodsys.actions.core.context import Context
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.checking import check
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.planning.trial import start_trial
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.importing import import_intake
from prodsys.actions.settlement.settling import settle_step
from prodsys.actions.submission.intents import ensure_intents
from prodsys.ddm.client import RucioClient
from prodsys.errors import InsufficientSpace, NamesTaken, PandaUnavailable, RucioUnavailable, TrialMissing
from prodsys.intake.files import read_files
from prodsys.ledger.history import list_trials
from prodsys.ledger.migrate import migrate
from prodsys.ledger.requests import list_steps
from prodsys.ledger.session import make_session_factory, transaction
from prodsys.model.names import Did
from prodsys.model.policy import TrialRule
from prodsys.model.statuses import RequestState
from prodsys.settings import REPOSITORY
from sandbox.rucio.configuration import QUOTA_BYTES, ROOT_LOGIN
from tests.contract.chain.driving import Course, acquire_run, patiently
from tests.contract.chain.site import BOOK, EVENTS, ROBOT, TIMEOUT_S, Site, running
from tests.rucio_fixture import ROOT_PASSWORD

SHEET = REPOSITORY / "include" / "demo" / "requests_sheet.csv"
SMALL = CloneOrder(seed_count=3, events_per_file=EVENTS, chain="SIM-RECO")


@pytest.fixture
def site(sites: dict[str, Site]) -> Site:
    return sites["rucio"]


@pytest.fixture
def draft(site: Site) -> Callable[[str], Context]:
    """Make a draft of this id; hands that act on it."""

    def make(request_id: str) -> Context:
        clone(site.context(), BOOK, request_id, SMALL)
        return site.context()

    return make


@pytest.fixture
def quota(site: Site) -> Iterator[Callable[[str, int | None], None]]:
    """Yield a function that sets the robot's quota on a storage; as before in the end."""
    login = {"X-Rucio-Account": "root", "X-Rucio-Username": ROOT_LOGIN, "X-Rucio-Password": ROOT_PASSWORD}
    url = site.rucio.url
    token = httpx.get(f"{url}/auth/userpass", headers=login, timeout=TIMEOUT_S).headers["X-Rucio-Auth-Token"]
    root = RucioClient(url, "root", lambda: token, TIMEOUT_S)._rucio

    def put(rse: str, size: int | None) -> None:
        if size is None:
            root.call("limit", rse, lambda rucio: rucio.delete_local_account_limit(ROBOT, rse))
        else:
            root.call("limit", rse, lambda rucio: rucio.set_local_account_limit(ROBOT, rse, size))

    yield put
    for rse in ("JINR_EOS", "PNPI_EOS"):
        put(rse, QUOTA_BYTES)


def test_a_name_that_stands_in_rucio_is_refused_before_anybody_relies_on_it(site, draft):
    ctx = draft("DEMO2027-961")
    planned = plan(ctx, "DEMO2027-961")
    alien = Did.parse(planned.plan.step("RECO").datasets[0].did)
    ctx.rucio.ensure_dataset(alien)
    with pytest.raises(NamesTaken, match="clone the request under a new id") as caught:
        plan(ctx, "DEMO2027-961")
    assert caught.value.names == (str(alien),)
    clone(ctx, BOOK, "DEMO2027-962", SMALL)
    assert plan(ctx, "DEMO2027-962").state == "planned", "another request is not concerned"


def test_a_task_name_that_somebody_used_is_refused_and_the_request_s_own_is_not(site, draft):
    ctx = draft("DEMO2027-963")
    site.approved("DEMO2027-964")
    acquire_run(site.context(), "DEMO2027-964")
    [task] = ensure_intents(ctx, "DEMO2027-964", "SIM")
    ctx.panda.submit(task.task_map | {"taskName": "DEMO2027-963.SIM"})
    patiently(lambda: ctx.panda.find_tasks("DEMO2027-963.SIM") or None, "the alien task")
    with pytest.raises(NamesTaken, match=r"PanDA task \d+ DEMO2027-963\.SIM of "):
        plan(ctx, "DEMO2027-963")
    answer = check(ctx, "DEMO2027-963")
    assert (answer.state, answer.in_order) == ("draft", False)
    assert "DEMO2027-963.SIM" in str(answer.findings[-1])


def test_what_cannot_fit_is_refused_with_storage_need_and_room(draft, quota):
    ctx = draft("DEMO2027-965")
    quota("PNPI_EOS", 1_000)
    with pytest.raises(InsufficientSpace, match="quota leaves") as caught:
        plan(ctx, "DEMO2027-965")
    assert caught.value.rse == "PNPI_EOS"
    assert caught.value.needed > 3 * EVENTS * 1_000, (
        "an event takes more than a kilobyte, whatever the estimate follows"
    )
    assert caught.value.free <= 1_000
    [fault] = [one for one in check(ctx, "DEMO2027-965").findings if one.fault]
    assert "PNPI_EOS" in str(fault)


def test_what_fits_alone_but_not_beside_what_others_will_write_is_said(site, draft, quota):
    ctx = draft("DEMO2027-970")
    site.approved("DEMO2027-971")
    own = plan(ctx, "DEMO2027-970").estimate.volume_bytes
    [before] = ctx.rucio.find_space(["PNPI_EOS"])
    quota("PNPI_EOS", QUOTA_BYTES - before.quota_left + own * 3 // 2)  # for one of the two
    assert any("on PNPI_EOS approved requests will still write" in one for one in plan(ctx, "DEMO2027-970").warnings)


def test_what_rucio_cannot_tell_is_said(draft, quota):
    ctx = draft("DEMO2027-966")
    quota("PNPI_EOS", None)
    warnings = plan(ctx, "DEMO2027-966").warnings
    assert any("knows no quota of ours on PNPI_EOS" in one for one in warnings)
    assert any("does not know the free space of JINR_EOS" in one for one in warnings)


def test_a_service_that_is_away_is_no_silent_pass(site, draft):
    ctx = draft("DEMO2027-967")
    nowhere = site.context(panda_url="http://127.0.0.1:9")
    with pytest.raises(PandaUnavailable):
        plan(nowhere, "DEMO2027-967")
    token = site.rucio.token()
    lost = replace(
        ctx, clients=replace(ctx.clients, rucio=lambda: RucioClient("http://127.0.0.1:9", ROBOT, lambda: token, 0.5))
    )
    with pytest.raises(RucioUnavailable):
        plan(lost, "DEMO2027-967")
    with pytest.raises(RucioUnavailable):
        check(lost, "DEMO2027-967")


def test_a_rehearsed_plan_really_asks_and_changes_nothing(draft, quota):
    ctx = draft("DEMO2027-968")
    rehearsal = run_dry(ctx, lambda hands: plan(hands, "DEMO2027-968"))
    assert (rehearsal.answer.state, rehearsal.effects) == ("planned", [])
    quota("JINR_EOS", 1)
    with pytest.raises(InsufficientSpace):
        run_dry(ctx, lambda hands: plan(hands, "DEMO2027-968"))


def test_settle_keeps_what_the_jobs_of_a_step_took(sites, postgres, rucio_server, tmp_path):
    """Simulated jobs report CPU; those of this suite, which are over in a moment, report none."""
    with running(tmp_path, postgres.create_database("chain_panda_took"), rucio_server, "none", JOBS="simulated") as box:
        url = postgres.create_database("chain_ledger_took")  # another PanDA counts its tasks from 1: another ledger
        migrate(url)
        site = replace(sites["none"], sandbox=box, sessions=make_session_factory(url), database_url=url)
        import_intake(site.context(), read_files([SHEET], site.catalogue))
        site.approved("DEMO2027-972")
        acquire_run(site.context(), "DEMO2027-972")
        Course(site, "DEMO2027-972").run_task("SIM")
        settle_step(site.context(), "DEMO2027-972", "SIM")
    with transaction(site.sessions) as session:
        step, _ = list_steps(session, "DEMO2027-972")
    assert step.core_s > 0


def test_a_trial_runs_to_its_certificate_lets_the_mass_production_pass_and_corrects_its_plan(site, draft):
    rule = TrialRule(above_core_hours=0, seeds=2, events_per_file=EVENTS)
    site = site.with_policy(trial=(rule,))
    draft("DEMO2027-969")
    ctx = site.context()
    before = plan(ctx, "DEMO2027-969")
    with pytest.raises(TrialMissing):
        approve(ctx, "DEMO2027-969")
    trial = start_trial(ctx, "DEMO2027-969")
    approve(ctx, trial.trial, trial.plan.digest)
    with pytest.raises(TrialMissing, match=f"{trial.trial} is approved"):
        approve(ctx, "DEMO2027-969")
    ended = Course(site, trial.trial).run()
    assert ended.state is RequestState.COMPLETE
    after = plan(ctx, "DEMO2027-969")
    assert after.digest == before.digest, "an estimate is no part of what is approved"
    sim = after.estimate.steps[0]
    assert sim.bytes_per_event.source == f"trial of this configuration: {trial.trial}"
    assert approve(ctx, "DEMO2027-969", before.digest).state == "approved"
    with transaction(ctx.sessions) as session:
        [found] = list_trials(session, before.plan.configuration_digest)
        assert all(step.core_s is not None for step in list_steps(session, trial.trial)), "settle adds them up"
    assert found.tried(before.plan)
    other = before.plan.steps[0].model_copy(update={"script": "/cvmfs/another.C"})
    assert not found.tried(before.plan.model_copy(update={"steps": (other, *before.plan.steps[1:])}))
