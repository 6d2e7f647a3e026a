"""The sandbox with adder ``rucio`` on a real Rucio server: what PanDA's adder leaves there, and Rucio's absence."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rucio.client import Client

from sandbox.panda.jobs.storage import file_path
from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.outcome import Outcome, serial
from tests.contract.panda.recordings import submissions
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NOT_OURS, skip
from tests.contract.panda.target import Server
from tests.rucio_fixture import RucioServer

RSE = "JINR_EOS"


@pytest.fixture(scope="module")
def with_rucio(
    postgres: PostgresHandle, rucio_server: RucioServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandbox]:
    """Yield a sandbox that registers in Rucio; one job fails once, one for ever."""
    if "live" in TARGETS:
        skip(NOT_OURS)
    folder = tmp_path_factory.mktemp("panda_rucio")
    secret = folder / "secret"
    secret.write_text("unused")
    target = Sandbox(
        folder,
        postgres.create_database("panda_rucio"),
        rse=RSE,
        ADDER="rucio",
        RSE_ROOT=str(rucio_server.rse_root),
        IAM_ISSUER=rucio_server.signer.issuer,
        JWKS="",
        IAM_CLIENT_ID="production",
        IAM_CLIENT_SECRET_FILE=str(secret),
        RUCIO_URL=rucio_server.url,
    )
    error = {"pilotErrorCode": 1305, "transExitCode": 65, "diag": "segmentation violation"}
    target.play(
        {"match": {"seed": 2, "task": "chain"}, "fail": {"times": 1, "error": error}},
        {"match": {"seed": 902, "task": "closed"}, "fail": {"times": 1, "error": error}},
        {"match": {"task": "outage"}, "slow": {"wall_s": 8}},
    )
    target.start()
    yield target
    target.stop()


@pytest.fixture
def server(with_rucio: Sandbox, rucio_server: RucioServer) -> Server:
    """Return the sandbox as the robot sees it."""
    claims = {"sub": "production", "name": "production", "aud": ["panda"], "groups": ["spd", "spd/production"]}
    return Server(with_rucio.url, rucio_server.signer.sign(claims, 3600), "spd.production")


@pytest.fixture
def maps() -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    """Return a function that gives the recorded SIM and RECO maps with datasets of their own."""

    def make(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        stamp = f"{name}{time.time_ns() // 1_000_000}"
        return tuple(_renamed(body, "lostp", stamp) for body in submissions("pairing_shift"))  # type: ignore[return-value]

    return make


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: _renamed(one, old, new) for key, one in copy.deepcopy(value).items()}
    return [_renamed(one, old, new) for one in value] if isinstance(value, list) else value


def _listed(rucio: Client, dataset: str) -> dict[str, tuple[int, str]]:
    found = rucio.list_files(scope=dataset.split(".")[0], name=dataset)
    return {one["name"]: (one["bytes"], one["adler32"]) for one in found}


@pytest.fixture
def catalogue(rucio_server: RucioServer) -> Client:
    """Return Rucio's own client."""
    from sandbox.panda.jobs.rucio_catalogue import _TokenClient

    return _TokenClient(
        rucio_server.token,
        rucio_host=rucio_server.url,
        auth_host=rucio_server.url,
        account="production",
        timeout=30,
    )


def _good_files(outcome: Outcome, kind: str) -> dict[str, tuple[int, str]]:
    return {
        file["lfn"]: (file["fsize"], file["checksum"].removeprefix("ad:"))
        for job in outcome.jobs
        if job["jobStatus"] == "finished"
        for file in job["Files"]
        if file["dataset"].endswith(kind) and file["type"] in ("output", "log")
    }


def test_a_chain_is_registered_and_closed(
    server: Server, maps: Callable[[str], Any], catalogue: Client, rucio_server: RucioServer
) -> None:
    sim_map, reco_map = maps("chain")
    sim = server.run(sim_map)
    assert sim.info["status"] == "done", sim.info["errorDialog"]
    reco = server.run({**reco_map, "parent_tid": sim.task_id})
    assert reco.info["status"] == "done", reco.info["errorDialog"]
    assert all(serial(job, "in") == serial(job, "par") for job in reco.jobs)
    for outcome, kinds in ((sim, (".S", ".P", ".log")), (reco, (".R", ".log"))):
        for one in outcome.datasets:
            name = one["dataset"]["name"]
            kind = "." + name.rsplit(".", 1)[-1]
            if kind not in kinds or (outcome is reco and "SIM" in name):
                continue
            assert _listed(catalogue, name) == _good_files(outcome, kind), name
            assert len(_listed(catalogue, name)) == 5
            assert not catalogue.get_did(scope=name.split(".")[0], name=name)["open"]
    for name in _good_files(reco, ".R"):
        replica = next(iter(catalogue.list_replicas([{"scope": "MC2025_S2", "name": name}])))
        assert list(replica["rses"]) == [RSE]
        path = Path(replica["rses"][RSE][0].split("localhost", 1)[1].removeprefix(":0"))
        assert path == file_path(rucio_server.rse_root / RSE, "MC2025_S2", name)
        assert path.exists()


def test_an_input_rucio_does_not_know_breaks_the_task(server: Server, maps: Callable[[str], Any]) -> None:
    _, reco_map = maps("nowhere")
    outcome = server.run(reco_map)
    assert outcome.info["status"] == "broken"
    assert 'unknown input dataset "' in outcome.info["errorDialog"]


def test_a_retry_after_the_end_cannot_register_in_a_closed_dataset(
    server: Server, maps: Callable[[str], Any], catalogue: Client
) -> None:
    sim_map, _ = maps("closed")
    sim_map["task_parameters"]["pfnList"] = ["901", "902"]
    sim_map["task_parameters"] |= {"nFiles": 2, "maxAttempt": 1}
    task_id = server.submit(sim_map)
    seen = server.follow(task_id, {"finished"})
    assert server.post("task/retry", task_id=task_id)["data"] == 0
    server.follow(task_id, {"ready", "running", "toretry"}, seen)
    outcome = server.look(task_id, server.follow(task_id, None, seen))
    last = outcome.attempts[-1]
    assert (last["jobStatus"], last["ddmErrorCode"]) == ("failed", 200)
    assert last["ddmErrorDiag"].startswith("Could not add files to DDM: ")
    assert outcome.info["status"] == "finished"
    name = next(one["dataset"]["name"] for one in outcome.datasets if one["dataset"]["name"].endswith(".S"))
    assert len(_listed(catalogue, name)) == 1


def test_without_rucio_jobs_wait_and_go_on(
    server: Server, maps: Callable[[str], Any], catalogue: Client, rucio_server: RucioServer
) -> None:
    sim_map, _ = maps("outage")
    task_id = server.submit(sim_map)
    seen = server.follow(task_id, {"running"})
    rucio_server.server.stop()
    try:
        server.wait_for_jobs(task_id, "holding", 5)
        time.sleep(2)
        jobs = server.get("task/get_job_descriptions", task_id=task_id)["data"]
        assert {job["jobStatus"] for job in jobs} <= {"holding", "finished"}
    finally:
        rucio_server.restart()
    outcome = server.look(task_id, server.follow(task_id, None, seen))
    assert outcome.info["status"] == "done"
    assert len(outcome.jobs) == 5
    name = next(one["dataset"]["name"] for one in outcome.datasets if one["dataset"]["name"].endswith(".S"))
    assert _listed(catalogue, name) == _good_files(outcome, ".S")


def test_a_jedi_killed_again_and_again_loses_and_doubles_nothing(
    server: Server, maps: Callable[[str], Any], catalogue: Client, with_rucio: Sandbox
) -> None:
    sim_map, _ = maps("kills")
    sim_map["task_parameters"]["pfnList"] = [str(seed) for seed in range(100, 112)]
    sim_map["task_parameters"]["nFiles"] = 12
    task_id = server.submit(sim_map)
    for pause_s in (0.6, 0.9, 0.4, 1.1):
        time.sleep(pause_s)
        with_rucio.kill("jedi")
        with_rucio.start()
    outcome = server.look(task_id, server.follow(task_id))
    assert outcome.info["status"] == "done"
    seeds = sorted(file["lfn"].split(":")[1] for job in outcome.jobs if job["jobStatus"] == "finished"
                   for file in job["Files"] if file["type"] == "pseudo_input")  # fmt: skip
    assert seeds == sorted(sim_map["task_parameters"]["pfnList"])
    name = next(one["dataset"]["name"] for one in outcome.datasets if one["dataset"]["name"].endswith(".S"))
    assert _listed(catalogue, name) == _good_files(outcome, ".S")
    assert len(_listed(catalogue, name)) == 12
