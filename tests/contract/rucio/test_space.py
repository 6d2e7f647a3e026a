"""Room on storages, and names that are spent: what Rucio says before anything is written."""

import httpx
import pytest

from prodsys.ddm.client import RucioClient
from prodsys.errors import RucioRefused
from sandbox.rucio.configuration import QUOTA_BYTES, ROOT_LOGIN
from tests.rucio_fixture import ACCOUNT, CALL_TIMEOUT_S, ROOT_PASSWORD

RSES = ("JINR_EOS", "PNPI_EOS")


@pytest.fixture(scope="module")
def root(rucio_server):
    """Rucio's administrator, with a client of ours."""
    login = {"X-Rucio-Account": "root", "X-Rucio-Username": ROOT_LOGIN, "X-Rucio-Password": ROOT_PASSWORD}
    reply = httpx.get(f"{rucio_server.url}/auth/userpass", headers=login, timeout=CALL_TIMEOUT_S)
    token = reply.headers["X-Rucio-Auth-Token"]
    return RucioClient(rucio_server.url, "root", lambda: token, CALL_TIMEOUT_S)._rucio


@pytest.fixture
def limits(root):
    """Set the account's limit on a storage; as before in the end."""

    def put(rse, size):
        if size is None:
            root.call("limit", rse, lambda rucio: rucio.delete_local_account_limit(ACCOUNT, rse))
        else:
            root.call("limit", rse, lambda rucio: rucio.set_local_account_limit(ACCOUNT, rse, size))

    yield put
    for rse in RSES:
        put(rse, QUOTA_BYTES)


def test_the_quota_is_the_limit_less_what_is_used(rucio, limits):
    limits("PNPI_EOS", 5_000_000)
    jinr, pnpi = rucio.find_space(RSES)
    assert (jinr.rse, pnpi.rse) == RSES
    assert 0 < jinr.quota_left <= QUOTA_BYTES
    assert pnpi.quota_left <= 5_000_000


def test_no_limit_and_an_infinite_one_are_told_apart(rucio, limits):
    limits("JINR_EOS", None)
    limits("PNPI_EOS", -1)
    jinr, pnpi = rucio.find_space(RSES)
    assert (jinr.quota_left, jinr.unlimited) == (None, False)
    assert (pnpi.quota_left, pnpi.unlimited) == (None, True)


def test_free_space_is_the_least_that_any_source_but_rucios_own_books_reports(rucio, root):
    [before] = rucio.find_space(["PNPI_EOS"])
    assert before.free is None, "nobody measured it yet"
    for source, free in (("storage", 9_000), ("monitoring", 7_000), ("rucio", 1)):
        root.call("usage", source, lambda client, s=source, f=free: client.set_rse_usage("PNPI_EOS", s, 100, f))
    [after] = rucio.find_space(["PNPI_EOS"])
    assert after.free == 7_000


def test_a_quota_over_several_storages_is_told_with_them(rucio, root):
    assert rucio.find_shared_quotas() == ()
    expression = "JINR_EOS|PNPI_EOS"
    root.call("limit", expression, lambda client: client.set_global_account_limit(ACCOUNT, expression, 4_000_000_000))
    try:
        [quota] = rucio.find_shared_quotas()
        assert (quota.rse_expression, quota.rses) == (expression, {"JINR_EOS", "PNPI_EOS"})
        assert 0 < quota.left <= 4_000_000_000
    finally:
        root.call("limit", expression, lambda client: client.delete_global_account_limit(ACCOUNT, expression))


def test_a_storage_that_is_not_there_is_refused(rucio):
    with pytest.raises(RucioRefused, match="MARS_EOS"):
        rucio.find_space(["MARS_EOS"])


def test_collections_are_found_by_the_beginning_of_their_names(rucio, rucio_server):
    dataset, container = rucio_server.did("S"), rucio_server.did("R")
    rucio.ensure_dataset(dataset)
    rucio.ensure_container(container, [])
    assert rucio.find_collections(dataset.scope, dataset.name) == (dataset,)
    assert rucio.find_collections(container.scope, container.name.rpartition(".")[0]) == (container,)
    assert rucio.find_collections(dataset.scope, dataset.name + ".more") == ()
    assert rucio.find_collections("no_such_scope", "x") == ()
