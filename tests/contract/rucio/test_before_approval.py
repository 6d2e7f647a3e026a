"""Before approval, against the real server: the scope is there and ours, the storages are there."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from prodsys.actions.core.context import Context
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.checking import check
from prodsys.actions.planning.planning import plan
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.drafting import edit
from prodsys.ddm.client import RucioClient
from prodsys.ddm.connection import RucioConnection
from prodsys.errors import RucioUnavailable, SpecInvalid
from sandbox.rucio.configuration import ROOT_LOGIN
from tests.contract.actions.conftest import ctx as ledger_only  # noqa: F401 - fixtures
from tests.contract.actions.conftest import import_demo, ledger_url  # noqa: F401 - fixtures
from tests.rucio_fixture import ACCOUNT, CALL_TIMEOUT_S, ROOT_PASSWORD, RucioServer

SOURCE, REQUEST = "PROD2025-016", "PROD2026-001"
SMALL = CloneOrder(seed_count=3, events_per_file=20)
MISSING, ALIEN = "MC2026_S2", "MC2027_S2"


@pytest.fixture
def ctx(ledger_only: Context, rucio_server: RucioServer) -> Context:  # noqa: F811
    """Hands with the real Rucio; PanDA is not configured."""
    return replace(ledger_only, clients=replace(ledger_only.clients, rucio=rucio_server.client))


@pytest.fixture
def root(rucio_server: RucioServer) -> RucioConnection:
    """A connection of Rucio's administrator."""
    login = {"X-Rucio-Account": "root", "X-Rucio-Username": ROOT_LOGIN, "X-Rucio-Password": ROOT_PASSWORD}
    answer = httpx.get(f"{rucio_server.url}/auth/userpass", headers=login, timeout=CALL_TIMEOUT_S)
    token = answer.headers["X-Rucio-Auth-Token"]
    return RucioClient(rucio_server.url, "root", lambda: token, CALL_TIMEOUT_S)._rucio


@pytest.fixture(autouse=True)
def _draft(ctx: Context, import_demo) -> None:  # noqa: F811
    import_demo("requests_sheet.csv")
    clone(ctx, SOURCE, REQUEST, SMALL)


def faults(ctx: Context) -> list[str]:
    return [str(one) for one in check(ctx, REQUEST).findings if one.fault]


def test_a_first_request_of_a_year_is_told_who_makes_its_scope(ctx, root):
    edit(ctx, REQUEST, {"campaign": "SPD MC 2026"})
    [fault] = faults(ctx)
    assert f"there is no scope {MISSING} in Rucio" in fault
    assert f"rucio-admin scope add --account {ACCOUNT} --scope {MISSING}" in fault
    with pytest.raises(SpecInvalid, match=f"no scope {MISSING}"):
        plan(ctx, REQUEST)
    with pytest.raises(SpecInvalid, match=f"no scope {MISSING}"):
        run_dry(ctx, lambda hands: plan(hands, REQUEST))
    root.call("add_scope", MISSING, lambda rucio: rucio.add_scope(ACCOUNT, MISSING))
    assert faults(ctx) == []
    assert plan(ctx, REQUEST).plan.partition == MISSING


def test_a_scope_of_somebody_else_is_named_before_panda_breaks_on_it(ctx, root):
    root.call("add_scope", ALIEN, lambda rucio: rucio.add_scope("root", ALIEN))
    edit(ctx, REQUEST, {"campaign": "SPD MC 2027"})
    [fault] = faults(ctx)
    assert f"the account {ACCOUNT} may not add data to it" in fault
    assert f"prodsys request edit {REQUEST} partition=NAME" in fault
    rucio = ctx.rucio
    assert rucio.find_scope(ALIEN).ours is False
    assert rucio.find_scope("MC2025_S2").ours is True
    assert rucio.find_scope("MC1999_S9") is None


def test_an_administrator_of_rucio_may_write_to_every_scope(ctx, rucio_server, root):
    as_root = RucioClient(rucio_server.url, "root", lambda: "", CALL_TIMEOUT_S)
    as_root._rucio = root
    assert as_root.find_scope("MC2025_S2").ours is True
    root.call("add_scope", "MC2028_S2", lambda rucio: rucio.add_scope("root", "MC2028_S2"))
    assert ctx.rucio.find_scope("MC2028_S2").ours is False
    root.call("attribute", ACCOUNT, lambda rucio: rucio.add_account_attribute(ACCOUNT, "admin", "True"))
    try:
        assert ctx.rucio.find_scope("MC2028_S2").ours is True
    finally:
        root.call("attribute", ACCOUNT, lambda rucio: rucio.delete_account_attribute(ACCOUNT, "admin"))


def test_a_storage_that_rucio_does_not_know_is_a_fault(ctx):
    table = ctx.catalogue.partitions
    first = table.partitions[0].model_copy(update={"rses": ("JINR_EOS", "SSAU_EOS")})
    partitions = table.model_copy(update={"partitions": (first, *table.partitions[1:])})
    other = replace(ctx, catalogue=ctx.catalogue.model_copy(update={"partitions": partitions}))
    [fault] = faults(other)
    assert "Rucio knows no storage SSAU_EOS" in fault
    assert "partitions.yaml" in fault


def test_a_rucio_that_is_away_is_no_answer(ctx, rucio_server):
    away = rucio_server.client(url="http://127.0.0.1:9")
    alone = replace(ctx, clients=replace(ctx.clients, rucio=lambda: away))
    with pytest.raises(RucioUnavailable):
        check(alone, REQUEST)
