"""Simulated jobs with adder ``rucio``: their files are in Rucio, in bulk, with the sizes the jobs report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from rucio.client import Client

from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NOT_OURS, skip
from tests.contract.panda.survivors import SIMULATED, Sent, task_map
from tests.contract.panda.survivors import Client as Caller
from tests.rucio_fixture import RucioServer

RSE, JOBS = "JINR_EOS", 400


@pytest.fixture(scope="module")
def with_rucio(
    postgres: PostgresHandle, rucio_server: RucioServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandbox]:
    """Yield a simulated sandbox that registers in Rucio."""
    if "live" in TARGETS:
        skip(NOT_OURS)
    folder = tmp_path_factory.mktemp("simulated_rucio")
    (folder / "secret").write_text("unused")
    sites = folder / "simulated.yaml"
    queue = {"name": SIMULATED, "rse": RSE, "slots": JOBS, "jobs": "simulated"}
    sites.write_text(json.dumps([queue]), encoding="utf-8")
    target = Sandbox(
        folder,
        postgres.create_database("panda_simulated_rucio"),
        ADDER="rucio",
        SITES=str(sites),
        IAM_ISSUER=rucio_server.signer.issuer,
        JWKS="",
        IAM_CLIENT_ID="production",
        IAM_CLIENT_SECRET_FILE=str(folder / "secret"),
        RUCIO_URL=rucio_server.url,
    )
    target.start()
    yield target
    target.stop()


@pytest.fixture
def catalogue(rucio_server: RucioServer) -> Client:
    """Return Rucio's own client."""
    from sandbox.panda.jobs.rucio_catalogue import _TokenClient

    address = {"rucio_host": rucio_server.url, "auth_host": rucio_server.url}
    return _TokenClient(rucio_server.token, **address, account="production", timeout=30)


def test_files_of_simulated_jobs_are_replicas_with_their_sizes_and_checksums(
    with_rucio: Sandbox, rucio_server: RucioServer, catalogue: Client
) -> None:
    claims = {"sub": "production", "name": "production", "aud": ["panda"], "groups": ["spd", "spd/production"]}
    client = Caller(with_rucio, 1, rucio_server.signer.sign(claims, 3600))
    body = task_map(Sent(f"many{time.time_ns() // 1_000_000}", list(range(1, JOBS + 1)), SIMULATED, "plain"))
    task_id = client.submit(body)
    client.wait(120)
    outcome = client.look(task_id)
    assert outcome.info["status"] == "done", outcome.info["errorDialog"]
    for kind in (".S", ".P", ".log"):
        files = [file for job in outcome.jobs for file in job["Files"] if file["dataset"].endswith(kind)]
        dataset = files[0]["dataset"]
        found = catalogue.list_files(scope="MC2025_S2", name=dataset)
        known = {one["name"]: (one["bytes"], f"ad:{one['adler32']}") for one in found}
        assert known == {file["lfn"]: (file["fsize"], file["checksum"]) for file in files}
        assert len(known) == JOBS
        assert not catalogue.get_did(scope="MC2025_S2", name=dataset)["open"]
    replica = next(iter(catalogue.list_replicas([{"scope": "MC2025_S2", "name": outcome.jobs[0]["Files"][1]["lfn"]}])))
    assert list(replica["rses"]) == [RSE]
