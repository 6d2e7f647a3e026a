"""Recordings of the stock plug-ins, played at sandboxes that have them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pytest
from rucio.client import Client

from prodsys.ddm.client import RucioClient
from prodsys.model.names import Did
from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda import recordings
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.deadline import Deadline
from tests.contract.panda.outcome import FINAL
from tests.contract.panda.playing import scripts_of
from tests.contract.panda.replayer import Replay, Replayed
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NOT_OURS, skip
from tests.contract.panda.target import Server
from tests.contract.panda.targets import Target, sandbox_target
from tests.contract.panda.translation import Translation
from tests.rucio_fixture import RucioServer

_INSTANCE = re.compile(r"([\w.\-]+\.(?:S|P|R|log))\.(\d+)(?![\d.])")
EXIT_65 = {"pilotErrorCode": 1305, "transExitCode": 65, "diag": "fake payload failure"}


@dataclass
class InstanceNames(Translation):
    """Words of a target with the stock refiner: the numbers of instances are its own."""

    server: Server | None = None
    recorded: dict[str, str] = field(default_factory=dict)  # planned name -> recorded number of its instance

    def there(self, value: Any) -> Any:
        """Recorded value -> what is sent, with the numbers of this run."""
        said = super().there(value)
        return _INSTANCE.sub(self._number_here, said) if isinstance(said, str) else said

    def _number_here(self, found: re.Match[str]) -> str:
        assert self.server is not None
        for task_id in self.tasks.values():
            reply = self.server.get("task/get_datasets_and_files", task_id=task_id, dataset_types=["output", "log"])
            for one in reply["data"] or ():
                if one["dataset"]["name"].rpartition(".")[0] == found[1]:
                    return str(one["dataset"]["name"])
        return found[0]

    def _text_back(self, text: str) -> str:
        said = super()._text_back(text)
        return _INSTANCE.sub(lambda found: f"{found[1]}.{self.recorded.get(found[1], found[2])}", said)


def numbers_of(scenario: str) -> dict[str, str]:
    """Planned name of each recorded instance -> its number."""
    found = {}
    for call in recordings.calls(scenario):
        body = call["response_body"]
        for one in (body["data"] or ()) if call["path"].endswith("get_datasets_and_files") else ():
            if match := _INSTANCE.fullmatch(one["dataset"]["name"]):
                found[match[1]] = match[2]
    return found


@pytest.fixture(scope="module")
def refiner(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Yield a sandbox with the stock refiner, where the recorded seed fails in both attempts."""
    if "live" in TARGETS:
        skip(NOT_OURS)
    folder = tmp_path_factory.mktemp("stock_refiner")
    box = Sandbox(folder, postgres.create_database("panda_stock_refiner"), speed=20, REFINER="stock")
    box.start()
    target = sandbox_target(box, clock=Deadline(300.0))
    box.play({"match": {"task": r"202\.SIM$", "seed": 50012}, "fail": {"times": 2, "error": EXIT_65}})
    yield target
    box.stop()


@pytest.fixture(scope="module")
def played(refiner: Target) -> list[Replayed]:
    """Return the recording of the refiner as it was played."""
    found = []
    for script in scripts_of("stock_refiner"):
        server = refiner.server.another()
        words = InstanceNames(site=server.site, user=server.user, vo=server.vo, server=server)
        words.recorded = numbers_of("stock_refiner")
        calls = recordings.calls("stock_refiner")
        found.append(Replay(script, calls, server, words, refiner.tokens, lambda recorded: None).run())
    return found


def test_the_recording_of_the_stock_refiner_goes_as_recorded(played: list[Replayed]) -> None:
    differing = [said for one in played for said in one.differing]
    assert not differing, "\n\n".join(differing[:10])
    assert sum(one.compared for one in played) > 60
    assert not any(one.trouble for one in played)
    [seen] = [one.seen[251] for one in played if 251 in one.seen]
    assert "finished" in seen, "the recorded seed failed in both attempts"
    assert seen[-1] == "done"


# --- the DDM plug-in --------------------------------------------------------------------------------------------------
RECORDED_INPUTS = {  # of the recording: what Rucio knew of each file
    "PROD2025-203none": (),
    "PROD2025-203guid": ("guid",),
    "PROD2025-203both": ("guid", "events"),
    "PROD2025-203events": ("events",),
}
SCOPE, RSE = "MC2025_S2", "JINR_EOS"


@pytest.fixture(scope="module")
def rucio(rucio_server: RucioServer) -> Client:
    """Return Rucio's own client, with the recorded input datasets made."""
    from sandbox.panda.jobs.rucio_catalogue import _TokenClient

    client = _TokenClient(
        rucio_server.token,
        rucio_host=rucio_server.url, auth_host=rucio_server.url, account="production", timeout=30,
    )  # fmt: skip
    RucioClient(rucio_server.url, "production", rucio_server.token, 30.0).ensure_scope(SCOPE)
    for number, (request, known) in enumerate(RECORDED_INPUTS.items()):
        for kind in ("S", "P"):
            name = f"{SCOPE}.minbias-P8-spdroot4172-dev.27GeV-UU.{request}.SIM.1.{kind}"
            files = [
                {"scope": SCOPE, "name": f"{name}.{one:06d}.root", "bytes": 367, "adler32": "016314a6"}
                for one in (1, 2)
            ]
            for place, one in enumerate(files):
                columns = {"guid": f"{number:030x}{'SP'.index(kind)}{place}", "events": 4000}
                one["meta"] = {key: columns[key] for key in known}
            client.add_dataset(scope=SCOPE, name=name)
            client.add_files_to_datasets([{"scope": SCOPE, "name": name, "rse": RSE, "dids": files}])
    return client


@pytest.fixture(scope="module")
def ddm(
    postgres: PostgresHandle, rucio_server: RucioServer, rucio: Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Yield a sandbox with the stock DDM plug-in before a real Rucio; its jobs work for long, as the recorded ones."""
    if "live" in TARGETS:
        skip(NOT_OURS)
    folder = tmp_path_factory.mktemp("stock_ddm")
    secret, sites = folder / "secret", folder / "simulated.yaml"
    secret.write_text("unused")
    sites.write_text(json.dumps([{"name": "SPD_LOCAL", "rse": RSE, "slots": 20}]), encoding="utf-8")
    box = Sandbox(
        folder, postgres.create_database("panda_stock_ddm"), speed=20, DDM="stock", JOBS="simulated", SITES=str(sites),
        IAM_ISSUER=rucio_server.signer.issuer, JWKS="", IAM_CLIENT_ID="production",
        IAM_CLIENT_SECRET_FILE=str(secret), RUCIO_URL=rucio_server.url,
    )  # fmt: skip
    box.play(
        {"match": {"task": r"RECO"}, "slow": {"wall_s": 900}},
        {"match": {"task": r"\.SIM"}, "slow": {"wall_s": 1}},
    )
    box.start()
    claims = {"sub": "production", "name": "production", "aud": ["panda"], "groups": ["spd", "spd/production"]}
    yield Server(box.url, rucio_server.signer.sign(claims, 3600), "spd.production", 120.0)
    box.stop()


@pytest.fixture(scope="module")
def sent(ddm: Server) -> dict[int, int]:
    """Return recorded id -> id here of the maps of the recording."""
    return {254 + place: ddm.submit(body) for place, body in enumerate(recordings.submissions("stock_ddm"))}


@pytest.mark.parametrize("recorded", range(254, 264))
def test_a_task_of_the_stock_ddm_plugin_goes_as_recorded(
    ddm: Server, sent: dict[int, int], rucio: Client, recorded: int
) -> None:
    wanted = [status for _, status in recordings.statuses()["stock_ddm"][str(recorded)]["api_get_status"]]
    wanted = [status for status, _ in groupby(one for one in wanted if not one.startswith("<"))]
    task_id, seen = sent[recorded], []
    if recorded == 256:
        _rest_until_mended(ddm, rucio, task_id, seen)
    if "pending" in wanted:
        ddm.follow(task_id, {"pending", "running"}, seen)
    ddm.follow(task_id, {wanted[-1], *FINAL}, seen)
    told = next(one for one in recordings.outcomes("stock_ddm") if one.task_id == recorded)
    ours = ddm.get("task/get_detailed_info", task_id=task_id)["data"]
    assert seen[-1] == wanted[-1]
    assert set(seen) <= {"registered", "prepared", *wanted}, "no other way"  # two that last for a moment
    assert _words(ours["errorDialog"]) == _words(told.info["errorDialog"])
    assert ours["splitRule"] == told.info["splitRule"]


def _rest_until_mended(ddm: Server, rucio: Client, task_id: int, seen: list[str]) -> None:
    """As recorded: pending twice, then every file is given a GUID through Rucio's own API."""
    ddm.follow(task_id, {"pending"}, seen)
    ddm.follow(task_id, {"defined"}, seen)
    for one in ("S", "P"):
        name = f"{SCOPE}.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-203none.SIM.1.{one}"
        for place, file in enumerate(rucio.list_files(scope=SCOPE, name=name)):
            guid = f"{'SP'.index(one):016x}{place:016x}"
            rucio.set_metadata(scope=SCOPE, name=file["name"], key="guid", value=guid)


def _words(text: str | None) -> str | None:
    return text and re.sub(r"pid=\d+", "pid=", text)


def test_jobs_get_the_guids_that_rucio_has_with_dashes(ddm: Server, sent: dict[int, int], rucio: Client) -> None:
    ddm.follow(sent[258], {"running"})
    jobs = ddm.get("task/get_job_descriptions", task_id=sent[258])["data"]
    inputs = [file for job in jobs for file in job["Files"] if file["type"] == "input"]
    held = {}
    for did in {Did.parse(file["dataset"]) for file in inputs}:
        held |= {one["name"]: one["guid"] for one in rucio.list_files(scope=did.scope, name=did.name)}
    assert len(inputs) == 4
    for file in inputs:
        assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", file["GUID"])
        assert file["GUID"].replace("-", "") == held[file["lfn"]]
        assert file["scope"] == SCOPE
