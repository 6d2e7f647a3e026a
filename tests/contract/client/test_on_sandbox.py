"""PandaClient and our task maps against the sandbox's server and JEDI."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from prodsys.errors import PandaRefused, PandaRoleMissing, TaskUnknown
from prodsys.model.statuses import FINAL, JobStatus, TaskStatus
from prodsys.panda.client import PandaClient
from prodsys.panda.task_map import StepOrder, build_reco_map, build_sim_map, same_work
from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda.sandbox_target import Sandbox

PATIENCE_S = 90
ORDER = StepOrder(
    task_name="TEST2025-001.SIM",
    vo="spd",
    campaign="SPD MC 2025",
    working_group="spd",
    processing_type="simul",
    transform="/cvmfs/spd.jinr.ru/production/bin/run_spdroot.sh",
    script="/cvmfs/spd.jinr.ru/production/MC/minbias.27GeV.V02/simu.C",
    image="/cvmfs/spd.jinr.ru/images/spdroot-dev-4.1.7.sif",
    queue="SPD_LOCAL",
    cloud="JINR",
    priority=900,
    cores=1,
    ram_mb=2000,
    max_attempts=2,
    events_per_job=20,
    seeds=(40001, 40007, 40003),
    outputs={"S": "test.TEST2025-001.SIM.1.S", "P": "test.TEST2025-001.SIM.1.P"},
    log_dataset="test.TEST2025-001.SIM.1.log",
)


@pytest.fixture(scope="module")
def sandbox(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    target = Sandbox(tmp_path_factory.mktemp("client"), postgres.create_database("panda_client"), speed=20)
    target.play()
    target.start()
    yield target
    target.stop()


@pytest.fixture(scope="module")
def panda(sandbox: Sandbox) -> PandaClient:
    return PandaClient(sandbox.url, "spd.production", sandbox.issuer.token, 10.0)


@pytest.fixture(scope="module")
def simulated(panda: PandaClient) -> int:
    jedi_task_id = panda.submit(build_sim_map(ORDER))
    return _until(lambda: _status(panda, jedi_task_id) in FINAL and jedi_task_id)


def _until(look: Callable[[], int | bool]) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return int(found)
        time.sleep(0.2)
    raise AssertionError("the sandbox did not come so far in time")


def _status(panda: PandaClient, jedi_task_id: int) -> TaskStatus:
    return panda.list_statuses([jedi_task_id], 7200)[jedi_task_id]


def _named(name: str, **changed: object) -> StepOrder:
    outputs = {kind: f"test.{name}.1.{kind}" for kind in ORDER.outputs}
    return replace(ORDER, task_name=name, outputs=outputs, log_dataset=f"test.{name}.1.log", **changed)  # type: ignore[arg-type]


def test_our_simulation_runs_seed_by_seed(panda: PandaClient, simulated: int):
    assert panda.get_status(simulated) is TaskStatus.DONE
    jobs = panda.get_jobs(simulated)
    assert sorted(job.seed or 0 for job in jobs) == sorted(ORDER.seeds)
    for job in jobs:
        assert job.status is JobStatus.FINISHED
        assert [file.dataset for file in job.outputs] == sorted([*ORDER.outputs.values(), ORDER.log_dataset])
        assert all(file.bytes > 0 and len(file.adler32) == 8 for file in job.outputs)
        assert {file.events for file in job.outputs if not file.dataset.endswith("log")} == {20}


def test_what_panda_holds_is_what_we_sent(panda: PandaClient, simulated: int):
    task = panda.get_task(simulated)
    assert (task.task_name, task.task_type, task.priority, task.parent_tid) == (ORDER.task_name, "prod", 900, None)
    assert same_work(task.task_map, build_sim_map(ORDER)) == []
    assert same_work(panda.get_task_map(simulated), build_sim_map(ORDER)) == []
    assert [found.jedi_task_id for found in panda.find_tasks(ORDER.task_name)] == [simulated]


def test_our_reconstruction_reads_both_inputs_of_one_seed(panda: PandaClient, simulated: int):
    reco = replace(
        ORDER,
        task_name="TEST2025-001.RECO",
        processing_type="reco",
        script=ORDER.script.replace("simu.C", "reco.C"),
        inputs=ORDER.outputs,
        outputs={"R": "test.TEST2025-001.RECO.1.R"},
        log_dataset="test.TEST2025-001.RECO.1.log",
        parent_tid=simulated,
    )
    jedi_task_id = panda.submit(build_reco_map(reco), reco.parent_tid)
    _until(lambda: _status(panda, jedi_task_id) in FINAL)
    task = panda.get_task(jedi_task_id)
    assert (task.status, task.parent_tid, task.error_dialog) == (TaskStatus.DONE, simulated, "")
    assert same_work(task.task_map, build_reco_map(reco)) == []
    writers = {file.lfn: job.seed for job in panda.get_jobs(simulated) for file in job.outputs}
    for job in panda.get_jobs(jedi_task_id):
        assert len(job.inputs) == 2
        assert len({writers[file.lfn] for file in job.inputs}) == 1


def test_the_same_map_again_is_a_twin_without_jobs(panda: PandaClient, simulated: int):
    twin = panda.submit(build_sim_map(ORDER))
    assert panda.list_statuses([twin], 7200) == {twin: TaskStatus.UNSEEN}
    with pytest.raises(TaskUnknown):
        panda.kill(twin)
    _until(lambda: _status(panda, twin) is TaskStatus.ABORTED)
    task = panda.get_task(twin)
    assert task.task_name is None
    assert f"jediTaskID={simulated}" in task.error_dialog
    assert panda.get_jobs(twin) == ()
    assert same_work(panda.get_task_map(twin), build_sim_map(ORDER)) == []
    assert [found.jedi_task_id for found in panda.find_tasks(ORDER.task_name)] == [simulated]


def test_commands_are_carried_out_or_refused_in_words(panda: PandaClient, simulated: int):
    for command in (panda.kill, panda.finish, panda.pause, panda.resume, panda.retry):
        with pytest.raises(PandaRefused, match="not accepted if the task is in done status"):
            command(simulated)
    one = panda.submit(build_sim_map(_named("TEST2025-002.SIM", seeds=tuple(range(1, 41)))))
    _until(lambda: _status(panda, one) in {TaskStatus.RUNNING, TaskStatus.READY, TaskStatus.DEFINED})
    panda.pause(one)
    _until(lambda: _status(panda, one) is TaskStatus.PAUSED)
    panda.resume(one)
    _until(lambda: _status(panda, one) is not TaskStatus.PAUSED)
    panda.kill(one)
    _until(lambda: _status(panda, one) is TaskStatus.ABORTED)


def test_files_of_a_task_are_listed_by_dataset(panda: PandaClient, simulated: int):
    datasets = {dataset.name: dataset.files for dataset in panda.get_files(simulated)}
    assert {file.lfn.split(":")[-1] for file in datasets["pseudo_dataset"]} == {str(seed) for seed in ORDER.seeds}
    assert all(len(datasets[name]) == 3 for name in ORDER.outputs.values())


def test_the_role_is_seen_and_its_lack_too(panda: PandaClient, sandbox: Sandbox):
    panda.is_alive()
    panda.ensure_role()
    stranger = PandaClient(sandbox.url, "spd", lambda: sandbox.issuer.token(groups=["spd"]), 10.0)
    with pytest.raises(PandaRoleMissing):
        stranger.ensure_role()
    with pytest.raises(PandaRoleMissing, match="Not a member"):
        PandaClient(sandbox.url, "spd.production", lambda: sandbox.issuer.token(groups=["spd"]), 10.0).is_alive()
