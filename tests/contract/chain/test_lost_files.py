"""Files that are lost after they were delivered, that cannot be read, or that come late: on real services.

What was delivered once is run again by a person alone, once, and the new file counts; where what is made could not join
its containers, nothing runs.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from prodsys.actions.closing.reopening import accept, recover, settle_again
from prodsys.actions.reconciliation.reconciling import reconcile
from prodsys.actions.settlement.settling import settle_step
from prodsys.ddm.client import RucioClient
from prodsys.ddm.placement import hash_path
from prodsys.errors import DatasetConflict, FilesUnavailable, StepFailed
from prodsys.ledger.session import transaction
from prodsys.ledger.tasks import list_step_tasks, seeds_of_task
from prodsys.model.names import Did
from prodsys.model.outcome import SeedState
from prodsys.model.statuses import RequestState, TaskStatus, Verdict
from sandbox.rucio.configuration import ROOT_LOGIN
from tests.contract.chain.damage import spoil
from tests.contract.chain.driving import Course, acquire_run, patiently
from tests.contract.chain.productions import Production
from tests.contract.chain.site import TIMEOUT_S
from tests.contract.chain.test_restarting import failed, run_again, with_airflow
from tests.rucio_fixture import ROOT_PASSWORD

COPIES = ("JINR_EOS", "PNPI_EOS")


def administrator(production: Production) -> RucioClient:
    """Rucio as its administrator sees it."""
    login = {"X-Rucio-Account": "root", "X-Rucio-Username": ROOT_LOGIN, "X-Rucio-Password": ROOT_PASSWORD}
    url = production.site.rucio.url
    token = httpx.get(f"{url}/auth/userpass", headers=login, timeout=TIMEOUT_S).headers["X-Rucio-Auth-Token"]
    return RucioClient(url, "root", lambda: token, TIMEOUT_S)


def open_containers(production: Production) -> None:
    """What the remedy says: an administrator of Rucio opens them."""
    root = administrator(production)
    for did in [Did.parse(one) for one in json.loads(certificate_of(production))["containers"]]:
        info = root.dataset_info(did)
        if info is not None and not info.open:
            root._rucio.call("open", str(did), lambda rucio, did=did: rucio.set_status(did.scope, did.name, open=True))


def certificate_of(production: Production) -> str:
    return Path(production.finished().path).read_text(encoding="utf-8")


def tasks_of(production: Production, kind: str) -> list[tuple[int, ...]]:
    """Seeds of each task of a step, in the order of attempts."""
    with transaction(production.site.sessions) as session:
        return [seeds_of_task(task) for task in list_step_tasks(session, production.step(kind).step_id)]


def file_of(production: Production, seed: int, data_type: str = "S") -> str:
    [lfn] = [file.lfn for file in production.files("SIM", data_type) if file.seed == seed]
    return lfn


def lose(production: Production, lfn: str) -> None:
    """Both copies are gone from their storages, and Rucio's administrator declares them bad."""
    did = Did(production.plan.partition, lfn)
    for rse in COPIES:
        spoil(production, lfn, rse)
        (production.site.rucio.rse_root / rse / hash_path(did)).unlink()


def settled_again(production: Production, reason: str = "files were lost") -> dict:
    with with_airflow(production) as (ctx, _):
        settle_again(ctx, production.request_id, reason)
    return run_again(production)


@pytest.mark.parametrize("name", ["copies-bad", "copies-bad-unseen"])  # found by counting; by Rucio's own words
def test_a_file_lost_from_all_its_storages_is_made_again_once_and_the_new_one_counts(produced, name) -> None:
    production = produced(name)
    assert production.finished().state == RequestState.COMPLETE
    seed = production.seeds[1]
    old = file_of(production, seed)
    lose(production, old)

    second = settled_again(production)
    assert (second["certificate_revision"], second["verdict"]) == (2, Verdict.PARTIAL)
    [missing] = second["seeds_missing"]
    assert (missing["seed"], missing["step"]) == (seed, "SIM")
    assert missing["reason"].startswith(f"{old} was delivered ")
    assert " and is lost: " in missing["reason"]
    assert production.outcomes("SIM")[seed].state == SeedState.LOST
    assert tasks_of(production, "SIM") == [production.seeds], "nobody asked for it: nothing ran again"

    with with_airflow(production) as (ctx, airflow):
        with pytest.raises(
            DatasetConflict, match=r"is closed .*nothing that is recovered can join it: have an adminis"
        ):
            recover(ctx, production.request_id)
        assert (airflow.started, production.state) == ([], RequestState.ACCEPTED)
        open_containers(production)
        assert recover(ctx, production.request_id).message.startswith(f"runs again SIM: seeds {seed}; ")

    third = run_again(production)
    assert (third["certificate_revision"], third["verdict"], third["seeds_missing"]) == (3, Verdict.FULL, [])
    assert production.state == RequestState.COMPLETE
    assert tasks_of(production, "SIM") == [production.seeds, (seed,)]
    assert tasks_of(production, "RECO") == [production.seeds], "what was reconstructed from the old file stands"
    new = file_of(production, seed)
    assert new != old
    listed = [file["lfn"] for one in third["datasets"] if one["data_type"] == "S" for file in one["files"]]
    assert new in listed
    assert old not in listed
    notes = [note for step in third["steps"] for note in step["notes"]]
    said = [note for note in notes if note.startswith(f"seed {seed}: job ")]
    assert [" counts, not " in note and " is lost: " in note for note in said] == [True], notes

    fourth = settled_again(production, "an audit")
    assert (fourth["verdict"], fourth["datasets"]) == (Verdict.FULL, third["datasets"])
    assert tasks_of(production, "SIM") == [production.seeds, (seed,)], "once"


def _end(rule_id: str, rucio: Any) -> None:
    """Give a rule one second."""
    rucio.update_replication_rule(rule_id, {"lifetime": 1})


@pytest.mark.parametrize("name", ["reaped", "reaped-counted"])
def test_data_that_no_rule_kept_are_made_again_by_a_person_alone(produced, name) -> None:
    production = produced(name)
    assert production.finished().state == RequestState.COMPLETE
    did, root = production.did("SIM", "S"), administrator(production)
    for rule_id in root._rules_of(did):
        root._rucio.call("expire", rule_id, partial(_end, rule_id))
    patiently(lambda: root.dataset_info(did) is None or None, "the reaper")

    with with_airflow(production) as (ctx, _):
        settle_again(ctx, production.request_id, "its rule is gone")
    with pytest.raises(StepFailed, match=r" is lost: .*nothing that is recovered can join the closed"):
        run_again(production)
    assert root.dataset_info(did) is None, "nothing is registered that is not there"
    assert tasks_of(production, "SIM") == [production.seeds]
    failed(production)
    with with_airflow(production) as (ctx, _):
        with pytest.raises(DatasetConflict, match=r"it is closed .*, nothing that is recovered can join it"):
            recover(ctx, production.request_id)
        open_containers(production)
        recover(ctx, production.request_id)
    after = run_again(production)
    assert (after["certificate_revision"], after["verdict"], after["seeds_missing"]) == (2, Verdict.FULL, [])
    assert tasks_of(production, "SIM") == [production.seeds, production.seeds]
    assert tasks_of(production, "RECO") == [production.seeds]
    names = {Did.parse(one["did"]).name for one in after["datasets"] if (one["step"], one["data_type"]) == ("SIM", "S")}
    assert names == {production.plan.sample.dataset("SIM", "S", attempt=2)}


def test_a_file_that_rucio_lists_and_its_storage_lacks_makes_counting_wait(produced) -> None:
    production = produced("vanished")
    assert production.finished().state == RequestState.COMPLETE
    seed = production.seeds[0]
    lfn = file_of(production, seed)
    path = production.site.rucio.rse_root / "JINR_EOS" / hash_path(Did(production.plan.partition, lfn))
    content = path.read_bytes()
    path.unlink()
    with with_airflow(production) as (ctx, _):
        settle_again(ctx, production.request_id, "an audit")
    ctx = production.site.context()
    acquire_run(ctx, production.request_id)
    with pytest.raises(FilesUnavailable, match=rf"storage JINR_EOS is not available: 1 of 1 files .*{lfn}"):
        settle_step(ctx, production.request_id, "SIM")
    assert production.outcomes("SIM")[seed].state == SeedState.DELIVERED, "what is known is not overwritten"
    path.write_bytes(content)
    assert settle_step(ctx, production.request_id, "SIM").verdict is Verdict.FULL
    course = Course(production.site, production.request_id)
    for kind in ("SIM", "RECO"):
        course.settle(kind)
    assert course.close().state == RequestState.COMPLETE
    assert tasks_of(production, "SIM") == [production.seeds]


def test_many_unreadable_files_at_a_site_are_a_persons_matter(produced) -> None:
    production = produced("unreadable")
    [seed] = production.damaged
    [question] = production.course.asked
    assert "cannot be read (33.3 %, policy asks a person above 20 %): is it the storage?" in question.body
    assert tasks_of(production, "SIM") == [production.seeds], "no round by itself, though policy has two"
    failed(production)
    with with_airflow(production) as (ctx, _):
        accept(ctx, production.request_id, "it is one file")
    assert [one["seed"] for one in run_again(production)["seeds_missing"]] == [seed]


def test_a_seed_whose_file_is_bad_is_made_again_once_and_the_good_file_counts(produced) -> None:
    production = produced("remade")
    assert production.finished().state == RequestState.COMPLETE
    [seed] = production.damaged
    assert tasks_of(production, "SIM") == [production.seeds, (seed,)]
    notes = [note for step in production.certificate()["steps"] for note in step["notes"]]
    assert any(note.startswith(f"seed {seed}: job ") and "is truncated" in note for note in notes)


def test_what_came_late_is_registered_in_a_further_dataset_and_not_simulated_again(produced) -> None:
    production = produced("late-taken")
    assert production.finished().state == RequestState.ACCEPTED
    late, task = production.seeds[2], production.task("SIM").jedi_task_id
    panda = production.site.panda_client()
    panda.retry(task)
    patiently(lambda: panda.get_status(task) is TaskStatus.DONE or None, "the retry")
    with with_airflow(production) as (ctx, airflow):
        reconcile(ctx, repair=True)
        assert airflow.started == [f"{production.request_id}-r1.2"]
    second = run_again(production)
    assert (second["certificate_revision"], second["verdict"]) == (2, Verdict.PARTIAL)
    [missing] = second["seeds_missing"]
    assert (missing["seed"], production.outcomes("SIM")[late].state) == (late, SeedState.LATE)
    assert "PanDA wrote it later, at a retry of the task" in missing["reason"]
    assert "`prodsys request recover` takes it into a further dataset" in missing["reason"]
    kept = {file.lfn for file in production.files("SIM") if file.seed == late}
    assert len(kept) == 3, "the files stay in the ledger"

    with with_airflow(production) as (ctx, _):
        assert recover(ctx, production.request_id).message.startswith(f"takes what came late: SIM: seeds {late}; ")
    third = run_again(production)
    assert (third["certificate_revision"], third["verdict"], third["seeds_missing"]) == (3, Verdict.FULL, [])
    assert tasks_of(production, "SIM") == [production.seeds], "registered, not simulated again"
    assert tasks_of(production, "RECO") == [production.seeds[:2], (late,)]
    further = Did(production.plan.partition, production.plan.sample.dataset("SIM", "S", attempt=2))
    client = production.site.rucio_client()
    assert client.list_files(further).keys() == {lfn for lfn in kept if ".S." in lfn}
    container = next(one for one in third["containers"] if one.endswith(".SIM.S"))
    assert len(client.list_files(Did.parse(container))) == len(production.seeds)
    assert production.state == RequestState.COMPLETE
    assert settled_again(production, "an audit")["datasets"] == third["datasets"]
