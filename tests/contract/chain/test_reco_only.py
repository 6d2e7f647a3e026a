"""Requests that reconstruct what an earlier request simulated: of this ledger, and of before it under real names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import adler32

import pytest
import yaml

from prodsys.actions.closing.cleaning import written_dids
from prodsys.actions.planning.checking import check
from prodsys.actions.planning.planning import PlanAnswer, approve, plan
from prodsys.actions.requests.drafting import draft
from prodsys.actions.runs.aborting import abort
from prodsys.actions.submission.intents import ensure_intents
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.ddm.facts import FileFact
from prodsys.ddm.placement import hash_path
from prodsys.errors import InputsUnusable, SampleExists, SpecInvalid
from prodsys.ledger.inputs import list_inputs
from prodsys.ledger.requests import approved_plan, get_spec, get_step
from prodsys.ledger.seeds import claimed_by, reused_by
from prodsys.ledger.session import transaction
from prodsys.ledger.tasks import list_files, list_outcomes, newest_task, seeds_of_task
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import Did
from prodsys.model.request import RequestSpec
from prodsys.model.specs import VersionSpec
from prodsys.model.statuses import RequestState, ReuseKind
from tests.contract.chain.driving import Course, acquire_run
from tests.contract.chain.productions import SEGV
from tests.contract.chain.site import BOOK, EVENTS, Site

SEEDS = 4
NEWER, NEWEST = "4.1.8.0", "4.1.8.1"

pytestmark = pytest.mark.timeout(900)  # the first test makes what all others read


@pytest.fixture(scope="module")
def site(sites: dict[str, Site]) -> Site:
    """The site with more versions of the software, so that the same SIM can be reconstructed again."""
    site = sites["rucio"]
    software = site.catalogue.software["spdroot-dev"]
    newer = VersionSpec(image="/cvmfs/spd.jinr.ru/images/spdroot-dev-4.1.8.sif", script_version="V02")
    versions = {**software.versions, NEWER: newer, NEWEST: newer}
    known = {**site.catalogue.software, "spdroot-dev": software.model_copy(update={"versions": versions})}
    return replace(site, catalogue=site.catalogue.model_copy(update={"software": known}))


@pytest.fixture(scope="module")
def simulated(site: Site) -> str:
    """A request that has gone from SIM to its certificate."""
    request_id = "DEMO2026-981"
    site.approved(request_id, SEEDS)
    assert Course(site, request_id).run().state is RequestState.COMPLETE
    return request_id


def spec_of(site: Site, request_id: str) -> RequestSpec:
    with transaction(site.sessions) as session:
        return get_spec(session, request_id)


def reader(site: Site, source: str, request_id: str, **changes: Any) -> PlanAnswer:
    """Draft and plan a request that reads what another one simulated."""
    base = spec_of(site, source).model_dump(mode="json")
    own = {"request_id": request_id, "chain": "RECO", "version": NEWER, "recorded_status": "draft", "bunches": 1}
    values = base | own | ({} if "inputs" in changes else {"input_request": source}) | changes
    draft(site.context(), RequestSpec.checked(values))
    return plan(site.context(), request_id)


def run(site: Site, request_id: str) -> dict[str, Any]:
    """From its approval to its certificate."""
    ctx = site.context()
    approve(ctx, request_id)
    acquire_run(ctx, request_id)
    course = Course(site, request_id)
    course.run_task("RECO")
    course.settle("RECO")
    return json.loads(Path(course.close().path).read_text(encoding="utf-8"))


def test_the_same_sim_is_reconstructed_by_another_version_to_its_certificate(site, simulated):
    answer = reader(site, simulated, "DEMO2026-982")
    reading = answer.plan.reading
    assert (reading.request_id, reading.seed_source, reading.lacking) == (simulated, "ledger", ())
    assert any("never add the two samples together" in one for one in answer.warnings)
    certificate = run(site, "DEMO2026-982")
    assert (certificate["verdict"], certificate["events_delivered"]) == ("full", SEEDS * EVENTS)
    assert [(one["data_type"], one["request_id"], one["files_read"]) for one in certificate["inputs"]] == [
        ("S", simulated, SEEDS), ("P", simulated, SEEDS),
    ]  # fmt: skip
    assert [one["step"] for one in certificate["datasets"]] == ["RECO", "RECO"]
    [reuse] = certificate["seeds_reused"]
    assert (reuse["owner"], reuse["kind"]) == (simulated, ReuseKind.RECONSTRUCTS)
    with transaction(site.sessions) as session:
        task, sim = newest_task(session, "DEMO2026-982", "RECO"), newest_task(session, simulated, "SIM")
        assert claimed_by(session, "DEMO2026-982") == ()
    assert task.parent_tid == sim.jedi_task_id
    assert set(task.inputs.values()) == {Did.parse(one["did"]).name for one in certificate["inputs"]}
    folder = site.home / "certificates" / "DEMO2026-982"
    assert sorted(one.name for one in folder.iterdir()) == ["DEMO2026-982_recofiles.txt", "r1.json"]
    assert all(simulated not in str(did) for did in written_dids(site.context(), "DEMO2026-982"))


def test_a_second_reconstruction_with_the_same_configuration_is_refused_with_what_there_is(site, simulated):
    with pytest.raises(SampleExists, match=rf"{simulated} \(complete\) has with the same configuration: .*RECO\.1\.R"):
        reader(site, simulated, "DEMO2026-983", version=spec_of(site, simulated).version)
    [fault] = [one for one in check(site.context(), "DEMO2026-983").findings if one.fault]
    assert simulated in str(fault), "a check says beforehand what a plan refuses"


def test_two_that_were_planned_side_by_side_are_not_both_approved(site, simulated):
    few = {"version": NEWEST, "seeds": _first(site, simulated, 2), "events": 2 * EVENTS, "bunches": 2}
    for request_id in ("DEMO2026-984", "DEMO2026-985"):
        reader(site, simulated, request_id, **few)
    approve(site.context(), "DEMO2026-984")
    with pytest.raises(SampleExists, match=r"DEMO2026-984 \(approved\).*nothing is delivered yet"):
        approve(site.context(), "DEMO2026-985")
    abort(site.context(), "DEMO2026-984", "the other one is wanted")
    assert approve(site.context(), "DEMO2026-985").state == "approved"
    acquire_run(site.context(), "DEMO2026-985")
    _each_bunch_reads_its_own(site, "DEMO2026-985")
    abort(site.context(), "DEMO2026-985", "neither")
    assert all(simulated not in str(did) for did in written_dids(site.context(), "DEMO2026-985"))


def _each_bunch_reads_its_own(site: Site, request_id: str) -> None:
    """A part of what a task wrote is a dataset of its own, with files of the other request."""
    ctx = site.context()
    for bunch, seed in enumerate(seed_ranges.iterate(spec_of(site, request_id).seeds), start=1):
        [task] = ensure_intents(ctx, request_id, "RECO", bunch)
        assert (task.task_name, seeds_of_task(task)) == (f"{request_id}.RECO.b00{bunch}", (seed,))
        scope = task.inputs["S"].partition(".")[0]
        assert task.inputs["S"].endswith(f"{request_id}.RECO.b00{bunch}.1.inS")
        assert [len(ctx.rucio.list_files(Did(scope, name))) for name in task.inputs.values()] == [1, 1]
        assert ensure_intents(ctx, request_id, "RECO", bunch)[0].task_row_id == task.task_row_id


def _first(site: Site, request_id: str, number: int) -> str:
    return seed_ranges.show(seed_ranges.first(spec_of(site, request_id).seeds, number))


def test_a_reconstruction_before_its_simulation_has_ended_is_refused(site):
    site.approved("DEMO2026-986", 2)
    with pytest.raises(InputsUnusable, match=r"DEMO2026-986\.SIM: it has not ended .*DEMO2026-986 is approved: wait"):
        reader(site, "DEMO2026-986", "DEMO2026-987")
    acquire_run(site.context(), "DEMO2026-986")
    ensure_submitted(site.context(), "DEMO2026-986", "SIM")
    with pytest.raises(InputsUnusable, match=r"task DEMO2026-986\.SIM may still write"):
        plan(site.context(), "DEMO2026-987")
    assert any("may still write" in str(one) for one in check(site.context(), "DEMO2026-987").findings if one.fault)
    abort(site.context(), "DEMO2026-986", "seen enough")


# --- of before this ledger -----------------------------------------------------------------------------------------
SLIP = "MC2025_S1"  # its stage says S2


def old_sim(site: Site, source: str, request_id: str, *, lose: str = "", close: bool = True) -> dict[str, str]:
    """Register files of a SIM once more, as a person did it: in the scope of another stage, without a word to us.

    The files lie where those of ``source`` lie; ``lose`` is the name's end of one that is left out.
    """
    client, base = site.rucio_client(), spec_of(site, source)
    made = {}
    for kind in ("S", "P"):
        name = f"{SLIP}.{base.tag}.27GeV-UU.{request_id}.SIM.1.{kind}"
        did = Did(SLIP, name)
        made[kind] = str(did)
        files, rses = {}, {}
        for lfn, path, rse in copies(site, source, kind):
            old = f"{name}.{lfn.split('.')[-2]}.root"
            if lose and old.endswith(lose):
                continue
            files[old] = put(site, Did(SLIP, old), path, rse)
            rses[old] = rse
        client.ensure_scope(SLIP)
        client.ensure_dataset(did)
        client.ensure_files(did, files, rses)
        if close:
            client.ensure_closed(did)
    return made


def copies(site: Site, source: str, kind: str) -> list[tuple[str, Path, str]]:
    """LFN, path and storage of the files of one type that a request simulated."""
    with transaction(site.sessions) as session:
        step = get_step(session, source, "SIM")
        partition = approved_plan(session, source).partition
        places = {one.seed: site.rse_of(one.site) for one in list_outcomes(session, step.step_id)}
        lfns = {one.lfn: places[one.seed] for one in list_files(session, step.step_id, kind)}
    return [(lfn, site.rucio.rse_root / rse / hash_path(Did(partition, lfn)), rse) for lfn, rse in lfns.items()]


def put(site: Site, did: Did, path: Path, rse: str) -> FileFact:
    target = site.rucio.rse_root / rse / hash_path(did)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())
    return FileFact(target.stat().st_size, f"{adler32(target.read_bytes()):08x}")


def test_a_sample_of_before_is_read_under_its_real_names_and_a_lonely_file_is_kept_out(site, simulated):
    old = old_sim(site, simulated, "PROD2024-016", lose=".P.000002.root")
    answer = reader(site, simulated, "DEMO2026-988", inputs=old)
    reading = answer.plan.reading
    seeds = list(seed_ranges.iterate(answer.plan.seeds))
    assert (reading.request_id, reading.seed_source, reading.numbered_by) == (None, "names", "DEMO2026-988")
    assert seed_ranges.show(reading.lacking) == str(seeds[1])
    assert any("are assumed" in one for one in answer.warnings)
    assert any("lack a partner" in one and ".S.000002.root" in one for one in answer.warnings)
    certificate = run(site, "DEMO2026-988")
    assert certificate["verdict"] == "accepted partial"
    assert [(one["seed"], one["step"]) for one in certificate["seeds_missing"]] == [(seeds[1], "SIM")]
    assert "its input is not complete" in certificate["seeds_missing"][0]["waived"]
    assert [one["did"] for one in certificate["inputs"]] == [old["S"], old["P"]]
    assert all(one["seeds_from"].startswith("assumed") for one in certificate["inputs"])
    with transaction(site.sessions) as session:
        task = newest_task(session, "DEMO2026-988", "RECO")
        assert reused_by(session, "DEMO2026-988") == []
    assert (task.parent_tid, list(seeds_of_task(task))) == (None, [seeds[0], *seeds[2:]])
    held = site.rucio_client().list_files(Did(answer.plan.partition, task.inputs["S"]))
    assert sorted(lfn.split(".")[-2] for lfn in held) == ["000001", "000003", "000004"]


def test_whole_datasets_in_another_scope_are_read_as_they_are(site, simulated):
    old = old_sim(site, simulated, "PROD2024-017")
    reader(site, simulated, "DEMO2026-989", inputs=old)
    certificate = run(site, "DEMO2026-989")
    assert (certificate["verdict"], certificate["events_delivered"]) == ("full", SEEDS * EVENTS)
    with transaction(site.sessions) as session:
        task = newest_task(session, "DEMO2026-989", "RECO")
    assert set(task.inputs.values()) == {Did.parse(did).name for did in old.values()}
    with pytest.raises(SampleExists, match="DEMO2026-989"):
        reader(site, simulated, "DEMO2026-990", inputs=old)


def test_what_such_a_request_loses_itself_is_run_again_on_the_very_files(site, simulated):
    old = old_sim(site, simulated, "PROD2024-020")
    rule = site.catalogue.policy.settle[0].model_copy(update={"accept_percent": 100, "rounds": 1})
    site = site.with_policy(settle=(rule,))
    match = {"task": r"^DEMO2026-998\.RECO$", "slot": [1]}
    told = site.sandbox.scenario
    in_force = yaml.safe_load(told.read_text(encoding="utf-8"))["rules"] if told.exists() else ()
    site.sandbox.play(*in_force, {"match": match, "fail": {"times": "always", "error": SEGV}})
    answer = reader(site, simulated, "DEMO2026-998", inputs=old, version=NEWEST)
    certificate = run(site, "DEMO2026-998")
    assert (certificate["verdict"], certificate["steps"][0]["rounds"]) == ("full", 1)
    with transaction(site.sessions) as session:
        again = newest_task(session, "DEMO2026-998", "RECO")
    assert (again.task_name, len(seeds_of_task(again))) == ("DEMO2026-998.RECO.2", 1)
    [lfn] = site.rucio_client().list_files(Did(answer.plan.partition, again.inputs["S"]))
    assert "PROD2024-020.SIM.1.S." in lfn


def test_a_sample_of_the_book_is_numbered_by_its_own_seeds_and_not_reconstructed_twice(site, simulated):
    book = "PROD2025-016"  # seeds 40001-50000
    old = old_sim(site, simulated, book)
    part = {"seeds": "40002-40003", "events": 8000, "inputs": old}
    answer = reader(site, book, "DEMO2026-996", version="4.1.7.2", **part)
    reading = answer.plan.reading
    assert (reading.request_id, reading.numbered_by, reading.lacking) == (book, book, ())
    with transaction(site.sessions) as session:
        read = {one.lfn.split(".")[-2]: one.seed for one in list_inputs(session, "DEMO2026-996")}
        assert [(one.owner, one.kind) for one in reused_by(session, "DEMO2026-996")] == [(book, ReuseKind.RECONSTRUCTS)]
    assert read == {"000002": 40002, "000003": 40003}
    done = Did.parse(old["S"].replace(".SIM.1.S", ".RECO.1.R"))
    site.rucio_client().ensure_dataset(done)
    with pytest.raises(SampleExists, match=rf"{book} \(history\) has with the same configuration: {done}"):
        plan(site.context(), "DEMO2026-996")
    newer = reader(site, book, "DEMO2026-997", **part)
    assert any(f"{done} exist already by {book}" in one for one in newer.warnings)


def test_what_is_missing_open_or_of_another_kind_is_refused_by_name(site, simulated):
    old = old_sim(site, simulated, "PROD2024-018", close=False)
    with pytest.raises(InputsUnusable, match=r"PROD2024-018\.SIM\.1\.S: it is still open"):
        reader(site, simulated, "DEMO2026-991", inputs=old)
    gone = {kind: did.replace("PROD2024-018", "PROD2024-019") for kind, did in old.items()}
    with pytest.raises(InputsUnusable, match=r"PROD2024-019\.SIM\.1\.S: Rucio has no dataset of this name"):
        reader(site, simulated, "DEMO2026-992", inputs=gone)
    with pytest.raises(InputsUnusable, match="it is of type P, not S"):
        reader(site, simulated, "DEMO2026-993", inputs={"S": old["P"], "P": old["S"]})
    with pytest.raises(InputsUnusable, match=f"{BOOK} is recorded: no task wrote any .*real names"):
        reader(site, simulated, "DEMO2026-994", input_request=BOOK)
    with pytest.raises(SpecInvalid, match=f"{simulated} has {EVENTS}, not 7"):
        reader(site, simulated, "DEMO2026-995", events_per_file=7, events=7 * SEEDS)
