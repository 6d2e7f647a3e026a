"""A request in bunches: each its own way from SIM to RECO, one set of containers, one certificate."""

from __future__ import annotations

import json
from pathlib import Path

from prodsys.actions.closing.collection import certify, ensure_collected, ensure_rules
from prodsys.actions.settlement.registration import ensure_step_data
from prodsys.actions.settlement.settling import settle_step
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.ledger.accounts import seed_accounts
from prodsys.ledger.requests import list_steps
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow
from prodsys.ledger.tasks import list_step_tasks, seeds_of_task
from prodsys.model.names import Did
from prodsys.model.statuses import Verdict
from tests.contract.chain.driving import acquire_run, wait_for_rules, wait_for_task
from tests.contract.chain.site import EVENTS, Site

REQUEST = "DEMO2025-940"


def test_every_bunch_goes_its_own_way_and_all_end_in_one_certificate(sites: dict[str, Site], started: object) -> None:
    site = sites["rucio"]
    seeds = site.approved(REQUEST, seed_count=5, bunches=2)
    ctx = site.context()
    acquire_run(ctx, REQUEST)
    for bunch in (2, 1):  # one does not wait for the other
        for kind in ("SIM", "RECO"):
            assert len(ensure_submitted(ctx, REQUEST, kind, bunch)) == 1
            wait_for_task(ctx, REQUEST, kind, bunch)
            assert settle_step(ctx, REQUEST, kind, bunch).verdict is Verdict.FULL
            ensure_step_data(ctx, REQUEST, kind, bunch)
    with transaction(site.sessions) as session:
        tasks = {task.task_name: seeds_of_task(task) for step in list_steps(session, REQUEST)
                 for task in list_step_tasks(session, step.step_id)}  # fmt: skip
        accounts = seed_accounts(session, [REQUEST])
    assert tasks == {
        f"{REQUEST}.SIM.b001": seeds[:3],
        f"{REQUEST}.SIM.b002": seeds[3:],
        f"{REQUEST}.RECO.b001": seeds[:3],
        f"{REQUEST}.RECO.b002": seeds[3:],
    }
    assert [(one.step, one.bunch, one.asked, one.delivered) for one in accounts] == [
        ("SIM", 1, 3, 3), ("SIM", 2, 2, 2), ("RECO", 1, 3, 3), ("RECO", 2, 2, 2),
    ]  # fmt: skip
    containers = ensure_collected(ctx, REQUEST)
    ensure_rules(ctx, REQUEST)
    wait_for_rules(ctx, REQUEST)
    answer = certify(ctx, REQUEST, f"prod__{REQUEST}", f"{REQUEST}-r1")
    certificate = json.loads(Path(answer.path).read_text(encoding="utf-8"))
    assert (certificate["verdict"], certificate["events_delivered"]) == (Verdict.FULL, 5 * EVENTS)
    assert len(certificate["datasets"]) == 2 * (3 + 2)
    assert len(containers) == 5 + 1
    with transaction(site.sessions) as session:
        events = {did: session.get_one(DatasetRow, did).events for did in containers}
    assert {did.rpartition(".")[2]: number for did, number in events.items()} == {
        "S": 5 * EVENTS, "P": 5 * EVENTS, "R": 5 * EVENTS, "log": 0, REQUEST.rpartition(".")[2]: 5 * EVENTS,
    }  # fmt: skip
    metadata = site.rucio_client().metadata(Did.parse(containers[-1]))
    assert metadata["n_events"] == 5 * EVENTS
    held = site.rucio_client().list_children(Did.parse(next(one for one in containers if one.endswith(".RECO.R"))))
    assert sorted(did.name.rsplit(".", 4)[2] for did in held) == ["b001", "b002"]
    lists = Path(answer.path).with_name(f"{REQUEST}_recofiles.txt").read_text(encoding="utf-8").splitlines()
    assert len(lists) == len(seeds)
