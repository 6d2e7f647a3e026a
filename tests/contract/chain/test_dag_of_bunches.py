"""The real DAG of a request in bunches, by `dag.test`, on a real site: one bunch fails, PanDA is away for a while."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from prodsys.actions.closing.reopening import retry
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_audit, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.runs.run_ownership import note_failure
from prodsys.building.retries import RETRIES
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.model.names import dag_id_of
from prodsys.model.statuses import Verdict
from prodsys.orchestrator.client import AirflowClient
from prodsys.settings import REPOSITORY
from tests.contract.actions.airflow_api import serve
from tests.contract.actions.question_board import Board
from tests.contract.chain.dag_run import environment, run_dag
from tests.contract.chain.productions import FAILING_BUNCH
from tests.contract.chain.shaky_proxy import shaky_proxy
from tests.contract.chain.site import BOOK, EVENTS, TIMEOUT_S, Site

REQUEST = FAILING_BUNCH
TURNED_AWAY = RETRIES + 2  # calls: more than the tries that Airflow makes
SHORT = {"resume_min_s": 0.1, "outage_first_s": 0.1, "outage_longest_s": 0.2, "poll_s": 0.5, "finality_gap_s": 0.5}


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """Give the specs of the repository, with a profile that waits for seconds where others wait for a night."""
    folder = tmp_path / "specs"
    shutil.copytree(REPOSITORY / "include" / "specs", folder)
    profile = folder / "profiles" / "sandbox.yaml"
    values = yaml.safe_load(profile.read_text())
    values["times"] |= SHORT
    profile.write_text(yaml.safe_dump(values))
    return folder


@pytest.mark.timeout(1800)  # two runs of a whole DAG, one airflow task after the other
def test_a_failed_bunch_stops_no_other_and_an_outage_longer_than_all_tries_ends_no_run(
    sites: dict[str, Site], started: object, specs: Path, tmp_path: Path
) -> None:
    site, board = sites["rucio"], Board(shown=True)
    board.roles["dag_test"] = "ProductionManager"  # who triggers the run, by the name that dag.test gives
    with serve(board) as airflow_url, shaky_proxy(site.sandbox.url) as proxy:
        hands = site.context()
        airflow = AirflowClient(airflow_url, "prodsys", "p", TIMEOUT_S)
        ctx = replace(hands, clients=replace(hands.clients, airflow=lambda: airflow))
        order = CloneOrder(seed_count=2, events_per_file=EVENTS, chain="SIM-RECO", bunches=2, bunches_at_once=1)
        clone(ctx, BOOK, REQUEST, order)
        board.digest = approve(ctx, REQUEST, plan(ctx, REQUEST).digest).digest
        variables = environment(site, tmp_path, airflow_url, proxy.url, specs)

        proxy.away = TURNED_AWAY
        first = run_dag(variables, tmp_path, dag_id_of(REQUEST))
        assert len(proxy.turned_away) == TURNED_AWAY
        assert first.tasks["gate"] == ("success", 1), "approved, and launched by who triggered the run"
        assert first.tasks["b001.sim.submit"] == ("success", 1), "waiting burned no try"
        assert "failed" in first.states("b001.sim")
        assert first.states("b001.reco") == {"upstream_failed"}
        assert first.states("b002") == {"success"}, "it follows the failed one in their lane"
        assert (first.states("close"), first.state) == ({"upstream_failed"}, "failed")
        waited = [line["reason"] for line in show_audit(ctx, REQUEST) if line["action"] == "wait"]
        assert waited
        assert all("503 Service Unavailable: Try later" in words and "<" not in words for words in waited)
        with transaction(site.sessions) as session:
            row = get_request(session, REQUEST)
            assert row.state == "running"
            assert row.reason.startswith("b001.sim.")
            assert row.launched_at is not None
        note_failure(ctx, REQUEST, dag_id_of(REQUEST), first.dag_run_id, "its run is failed")  # as the reconciler does
        assert "SIM bunch 1" in retry(ctx, REQUEST).message

        second = run_dag(variables, tmp_path, dag_id_of(REQUEST))
        assert (second.state, second.states("")) == ("success", {"success"})
    found = show_request(ctx, REQUEST)
    assert sorted(run["airflow_state"] for run in found["runs"]) == ["failed", "success"]
    assert json.loads(Path(found["certificate"]).read_text())["verdict"] == Verdict.FULL
