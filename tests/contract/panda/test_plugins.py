"""What JEDI's plug-ins make of a task: names of its outputs, where they may go, GUIDs of its files.

Holds with the stock plug-ins (`GenTaskRefiner`, `AtlasDDMClient`) and with others; at a live server PANDA_RSE may name
a storage that its DDM knows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from prodsys.model.outputs import match_outputs
from prodsys.panda.parse import job_record
from prodsys.panda.task_map import outputs_of_map
from tests.contract.panda import recordings
from tests.contract.panda.maps import sim_map
from tests.contract.panda.outcome import FINAL, Outcome
from tests.contract.panda.playing import STOCK
from tests.contract.panda.side_by_side import side_by_side
from tests.contract.panda.targets import Target

Outcomes = Callable[[str], list[Outcome]]


def check_outputs(outcome: Outcome) -> None:
    """Every output of a task that made jobs has a name that follows from its map, and every good file a GUID."""
    planned = outputs_of_map(outcome.info["raw_task_params"])
    jobs = [job_record(row) for row in outcome.jobs]
    files = {(file.dataset_id, file.dataset) for job in jobs for file in job.outputs}
    assert set(match_outputs(outcome.task_id, planned, files)) == set(planned.values())
    for job in jobs:
        for file in job.outputs if job.status == "finished" else ():
            assert re.fullmatch(r"[0-9a-f]{32}", file.guid), f"{file.lfn} of job {job.panda_job_id} has no GUID"


def test_outputs_have_names_that_follow_from_the_map_and_guids(outcomes: Outcomes) -> None:
    for outcome in outcomes("chain_done"):
        check_outputs(outcome)


@pytest.mark.parametrize("scenario", STOCK)
def test_recorded_outputs_of_the_stock_plugins_do_so_too(scenario: str) -> None:
    checked = [one for one in recordings.outcomes(scenario) if one.jobs and one.info["status"] == "done"]
    assert checked
    for outcome in checked:
        check_outputs(outcome)


def _with_destination(body: dict[str, Any], destination: str | None) -> dict[str, Any]:
    params = body["task_parameters"]
    for one in [*params["jobParameters"], params["log"]]:
        if one.get("param_type") in ("output", "log"):
            one.pop("destination", None)
            one |= {"destination": destination} if destination else {}
    return body


@side_by_side
def test_outputs_without_a_destination_are_taken_and_run(target: Target) -> None:
    server = target.server.another()
    outcome = server.run(_with_destination(sim_map(server, "anywhere"), None))
    assert outcome.info["status"] == "done"
    check_outputs(outcome)


@side_by_side
def test_a_map_without_a_queue_is_brokered(target: Target) -> None:
    server = target.server.another()
    body = _with_destination(sim_map(server, "brokered"), None)
    del body["task_parameters"]["site"]
    outcome = server.run(body)
    assert outcome.info["status"] == "done"
    assert outcome.info["site"] is None
    assert all(job["computingSite"] for job in outcome.jobs)


@side_by_side
def test_a_destination_is_a_storage_or_says_what_it_is_not(target: Target) -> None:
    """A queue as destination runs, or rests with the recorded words; a storage runs."""
    server = target.server.another()
    at_queue = server.submit(_with_destination(sim_map(server, "queue"), server.site))
    statuses = server.follow(at_queue, {"pending", *FINAL})
    if statuses[-1] == "pending":
        said = f"pending due to temporary storage issue. unknown endpoint: {server.site}"
        assert server.get("task/get_detailed_info", task_id=at_queue)["data"]["errorDialog"] == said
    else:
        assert statuses[-1] == "done"
    if storage := os.environ.get("PANDA_RSE"):
        assert server.run(_with_destination(sim_map(server, "storage"), storage)).info["status"] == "done"
