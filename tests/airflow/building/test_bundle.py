from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException
from sqlalchemy import update

from prodsys.building.bundle import RequestBundle
from prodsys.building.folders import MANIFEST
from prodsys.errors import LedgerError, LedgerUnavailable, SpecInvalid
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow
from prodsys.model.estimate import Measure, Nearness

OpenBundle = Callable[..., RequestBundle]


def names(bundle: RequestBundle) -> list[str]:
    return sorted(path.name for path in bundle.path.glob("*.py"))


def version(bundle: RequestBundle) -> str:
    return bundle.get_current_version().version


def test_an_empty_ledger_is_version_0_without_files(open_bundle: OpenBundle) -> None:
    bundle = open_bundle()
    assert version(bundle) == "0"
    assert names(bundle) == []
    assert names(open_bundle(0)) == []


def test_every_published_request_has_a_stub_and_its_plan(ledger, open_bundle: OpenBundle) -> None:
    ledger.publish("PROD2025-016")
    last = ledger.publish("TEST2025-001")
    bundle = open_bundle()
    assert version(bundle) == str(last)
    assert names(bundle) == ["prod__PROD2025-016.py", "prod__TEST2025-001.py"]
    assert len(list(bundle.path.glob("*.json"))) == 2


def test_the_docs_page_gives_the_figures_that_were_approved(ledger, open_bundle: OpenBundle) -> None:
    measure = Measure("TEST2025-002", "SIM", Nearness.TRIAL, jobs=3, events=60, bytes=600, core_s=7200.0)
    ledger.publish("PROD2025-016", measures=[measure])
    [stub] = open_bundle().path.glob("*.py")
    namespace: dict[str, object] = {"__file__": str(stub)}
    exec(compile(stub.read_text(), stub, "exec"), namespace)
    docs = namespace["dag"].doc_md  # type: ignore[attr-defined]
    assert "SIM: 0.0 kB an event, from `trial of this configuration: TEST2025-002`" in docs
    assert "SIM: 120 core s an event, from `trial of this configuration: TEST2025-002`" in docs
    plan = json.loads(next(stub.parent.glob("*.json")).read_text())
    of_the_chain = f"Expected: {plan['volume_bytes'] / 1e9:.1f} GB a copy, {plan['core_hours']:.0f} core hours."
    assert of_the_chain not in docs  # nobody approved these


def test_an_estimate_that_this_version_cannot_read_is_left_out(ledger, open_bundle: OpenBundle) -> None:
    ledger.publish("PROD2025-016")
    with transaction(ledger.sessions) as session:
        session.execute(update(PlanRow).values(estimate={"steps": "of another version"}))
    assert names(open_bundle()) == ["prod__PROD2025-016.py"]


def test_plans_are_kept_once_and_linked_by_every_version(ledger, open_bundle: OpenBundle) -> None:
    first = ledger.publish("PROD2025-016")
    second = ledger.publish("PROD2025-017")
    files = [next(open_bundle(v).path.glob("prod__PROD2025-016.*.json")) for v in (first, second, None)]
    assert len({path.stat().st_ino for path in files}) == 1


def test_versions_live_beside_each_other(ledger, open_bundle: OpenBundle) -> None:
    first = ledger.publish("PROD2025-016", revision=1)
    second = ledger.publish("PROD2025-016", revision=2)
    third = ledger.publish("PROD2025-016", revision=2, retired=True)
    stubs = [open_bundle(v).path.joinpath("prod__PROD2025-016.py").read_text() for v in (first, second)]
    assert stubs[0] != stubs[1]
    assert names(open_bundle(third)) == []
    assert names(open_bundle(first)) == ["prod__PROD2025-016.py"]


def test_refresh_follows_the_ledger_and_leaves_unchanged_stubs_alone(ledger, open_bundle: OpenBundle) -> None:
    ledger.publish("PROD2025-016")
    bundle = open_bundle()
    stub = bundle.path / "prod__PROD2025-016.py"
    before = stub.stat()
    last = ledger.publish("PROD2025-017")
    bundle.refresh()
    assert version(bundle) == str(last)
    assert names(bundle) == ["prod__PROD2025-016.py", "prod__PROD2025-017.py"]
    assert (stub.stat().st_ino, stub.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_python_leaves_beside_the_stubs_disturbs_nothing(ledger, open_bundle: OpenBundle) -> None:
    ledger.publish("PROD2025-016")
    bundle = open_bundle()
    (bundle.path / "__pycache__").mkdir()
    (bundle.path / "__pycache__" / "prod__PROD2025-016.cpython-311.pyc").write_bytes(b"")
    last = ledger.publish("PROD2025-017")
    bundle.refresh()
    assert version(bundle) == str(last)
    assert len(names(bundle)) == 2


def test_a_new_revision_rewrites_the_stub_and_keeps_the_old_plan_for_whoever_reads_it_now(
    ledger, open_bundle: OpenBundle
) -> None:
    ledger.publish("PROD2025-016", revision=1)
    bundle = open_bundle()
    [old] = bundle.path.glob("*.json")
    ledger.publish("PROD2025-016", revision=2)
    bundle.refresh()
    assert old.exists()
    assert old.name not in bundle.path.joinpath("prod__PROD2025-016.py").read_text()
    ledger.publish("PROD2025-017")
    bundle.refresh()
    assert not old.exists()


def test_a_retired_request_leaves_the_bundle(ledger, open_bundle: OpenBundle) -> None:
    ledger.publish("PROD2025-016")
    bundle = open_bundle()
    ledger.publish("PROD2025-016", retired=True)
    bundle.refresh()
    assert names(bundle) == []


def test_a_pinned_version_does_not_refresh(ledger, open_bundle: OpenBundle) -> None:
    bundle = open_bundle(ledger.publish("PROD2025-016"))
    with pytest.raises(LedgerError, match="never changes"):
        bundle.refresh()


def test_with_the_ledger_down_the_current_version_is_told_from_disk(
    ledger, open_bundle: OpenBundle, ledger_down: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    last = ledger.publish("PROD2025-016")
    open_bundle()
    ledger_down()
    bundle = open_bundle()
    bundle.refresh()
    assert version(bundle) == str(last)
    assert names(bundle) == ["prod__PROD2025-016.py"]


def test_with_the_ledger_down_a_complete_version_needs_no_database(
    ledger, open_bundle: OpenBundle, ledger_down: Callable[[], None]
) -> None:
    last = ledger.publish("PROD2025-016")
    open_bundle(last)
    ledger_down()
    assert names(open_bundle(last)) == ["prod__PROD2025-016.py"]


def test_with_the_ledger_down_a_missing_version_makes_airflow_come_back_later(
    ledger, open_bundle: OpenBundle, ledger_down: Callable[[], None]
) -> None:
    last = ledger.publish("PROD2025-016")
    ledger_down()
    with pytest.raises(AirflowRescheduleException) as later:
        open_bundle(last)
    assert later.value.reschedule_date - datetime.now(UTC) > timedelta(seconds=50)  # apache/airflow issue 71923


def test_with_the_ledger_down_and_nothing_on_disk_following_it_says_so(
    ledger, open_bundle: OpenBundle, ledger_down: Callable[[], None]
) -> None:
    ledger_down()
    with pytest.raises(LedgerUnavailable):
        open_bundle()


@pytest.mark.parametrize("harm", ["marker gone", "file gone", "file cut short", "all gone"])
def test_a_harmed_version_is_made_again(ledger, open_bundle: OpenBundle, harm: str) -> None:
    last = ledger.publish("PROD2025-016")
    bundle = open_bundle(last)
    stub = bundle.path / "prod__PROD2025-016.py"
    text = stub.read_text()
    match harm:
        case "marker gone":
            (bundle.path / MANIFEST).unlink()
        case "file gone":
            stub.unlink()
        case "file cut short":
            stub.write_text("")
        case "all gone":
            shutil.rmtree(bundle.path)
    assert (open_bundle(last).path / stub.name).read_text() == text


def test_a_harmed_object_is_fetched_again(ledger, open_bundle: OpenBundle) -> None:
    first = ledger.publish("PROD2025-016")
    bundle = open_bundle(first)
    [stored] = (bundle.base_dir / "objects").iterdir()
    body = stored.read_text()
    stored.write_text(body.replace("SIM", "SIN", 1))
    second = ledger.publish("PROD2025-017")
    [plan] = open_bundle(second).path.glob("prod__PROD2025-016.*.json")
    assert plan.read_text() == body


def test_an_unknown_version_is_refused(ledger, open_bundle: OpenBundle) -> None:
    last = ledger.publish("PROD2025-016")
    with pytest.raises(LedgerError, match=f"version {last + 7} is unknown"):
        open_bundle(last + 7)


@pytest.mark.parametrize("text", ["../../etc", "-1", "1.5", "", "٣"])
def test_a_version_is_a_number(text: str) -> None:
    with pytest.raises(SpecInvalid, match="number of a publication"):
        RequestBundle(name="requests", version=text)


def test_a_ledger_that_went_back_is_not_followed(ledger, open_bundle: OpenBundle) -> None:
    ledger.publish("PROD2025-016")
    bundle = open_bundle()
    manifest = bundle.path / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 99}))
    with pytest.raises(LedgerError, match="restored from a backup"):
        bundle.refresh()


def test_no_address_of_a_database_stands_in_the_files_or_the_arguments(ledger, open_bundle: OpenBundle) -> None:
    ledger.publish("PROD2025-016")
    bundle = open_bundle()
    texts = [path.read_text() for path in bundle.base_dir.rglob("*") if path.is_file()]
    assert not any("postgresql" in text for text in texts)
    assert "postgresql" not in repr(vars(bundle))


def test_a_plan_that_is_not_what_was_approved_harms_its_own_dag_only(ledger, open_bundle: OpenBundle) -> None:
    from prodsys.ledger.session import transaction
    from prodsys.ledger.tables import PlanRow

    ledger.publish("PROD2025-016")
    ledger.publish("PROD2025-017")
    with transaction(ledger.sessions) as session:
        row = session.query(PlanRow).filter_by(request_id="PROD2025-016").one()
        row.body = row.body | {"events": 1}
    bundle = open_bundle()
    assert names(bundle) == ["prod__PROD2025-016.py", "prod__PROD2025-017.py"]
    assert [path.name.split(".")[0] for path in bundle.path.glob("*.json")] == ["prod__PROD2025-017"]


@pytest.mark.parametrize("request_id", ["A2025-001", "X9Z2025-1234567", "PROD9999-000", "P1P2P32025-016"])
def test_odd_but_legal_request_ids_become_files(ledger, open_bundle: OpenBundle, request_id: str) -> None:
    ledger.publish(request_id)
    assert names(open_bundle()) == [f"prod__{request_id}.py"]


def test_a_request_id_that_is_a_path_becomes_no_file(ledger, open_bundle: OpenBundle) -> None:
    from prodsys.ledger.session import transaction
    from prodsys.ledger.tables import PublicationRow, RequestRow

    ledger.publish("PROD2025-016")
    with transaction(ledger.sessions) as session:
        evil = RequestRow(
            request_id="../PROD2025-666", state="approved", recorded_status="draft", campaign="c", requester="x"
        )
        session.add(evil)
        session.flush()
        session.add(
            PublicationRow(request_id=evil.request_id, revision=1, digest="sha256:00", retired=False, published_by="x")
        )
    bundle = open_bundle()
    assert names(bundle) == ["prod__PROD2025-016.py"]
    assert not list(bundle.base_dir.glob("prod__*"))


def _initialise(number: int, barrier, results) -> None:  # in a process of its own
    bundle = RequestBundle(name="requests", version=str(number) if number else None)
    barrier.wait()
    bundle.initialize()
    results.put((os.getpid(), sorted(path.name for path in bundle.path.glob("*.py"))))


@pytest.mark.parametrize("pinned", [True, False])
def test_several_processes_make_the_same_files_at_once(ledger, pinned: bool, tmp_path: Path) -> None:
    for number in range(10, 30):
        last = ledger.publish(f"PROD2025-0{number}")
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(3), spawn.Queue()
    workers = [spawn.Process(target=_initialise, args=(last if pinned else 0, barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60)[1] for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert all(len(files) == 20 for files in found)
    leftovers = [p for p in (tmp_path / "bundles").rglob(".*") if p.name != MANIFEST]
    assert leftovers == []
