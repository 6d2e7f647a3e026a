"""The monitor's pages, where links from elsewhere lead; only of the sandbox."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.contract.panda.maps import STAMP, sim_map
from tests.contract.panda.outcome import Outcome
from tests.contract.panda.side_by_side import side_by_side
from tests.contract.panda.targets import Target

ODD = f"<b>&amp;</b>{STAMP}"


def _get(target: Target, path: str, **query: object) -> httpx.Response:
    return httpx.get(f"{target.server.url}{path}", params=query, timeout=20)


def _page(target: Target, path: str, **query: object) -> str:
    answer = _get(target, path, **query)
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return answer.text


@pytest.fixture(scope="module")
def failed_once(target: Target) -> Outcome:
    """Return a task of the odd name whose two jobs failed once each, now done."""
    target.own_sandbox()
    server = target.server.another()
    body = sim_map(server, "partial_finished", uniqueTaskName=False)
    body["task_parameters"] |= {"taskName": f"{ODD}partial_finished", "pfnList": ["1001", "1003"], "nFiles": 2}
    task_id = server.submit(body)
    return server.look(task_id, server.follow(task_id))


def test_a_task_shows_jobs_by_status_queue_and_attempt_and_its_errors(target: Target, failed_once: Outcome) -> None:
    page = _page(target, f"/task/{failed_once.task_id}/")
    assert ODD not in page
    assert "&lt;b&gt;&amp;amp;&lt;/b&gt;" in page
    for job_id in failed_once.job_ids:
        assert f"/job/{job_id}" in page
    for link in ("jobstatus=failed", "computingsite=SPD_LOCAL", "attemptnr=2", "error=pilotErrorCode%3A1305"):
        assert link in page, link
    assert "fake payload failure" in page
    assert "What the scenario did" in page


def test_jobs_are_found_by_status_attempt_and_error(target: Target, failed_once: Outcome) -> None:
    task, all_jobs = failed_once.task_id, set(failed_once.job_ids)
    bad = {job["PandaID"] for job in failed_once.jobs if job["jobStatus"] == "failed"}
    second = {job["PandaID"] for job in failed_once.jobs if job["attemptNr"] == 2}
    assert bad
    assert second

    def found(**query: object) -> set[int]:
        return {int(one) for one in re.findall(r'href="/job/(\d+)"', _page(target, "/jobs", jeditaskid=task, **query))}

    assert found() == all_jobs
    assert found(jobstatus="failed") == bad
    assert found(attemptnr=2) == second
    assert found(error="pilotErrorCode:1305") == bad
    assert found(jobstatus="nosuch") == set()


def test_a_job_shows_files_all_attempts_and_its_log(target: Target, failed_once: Outcome) -> None:
    good = next(job for job in failed_once.jobs if job["jobStatus"] == "finished" and job["attemptNr"] == 1)
    page = _page(target, f"/job/{good['PandaID']}")
    assert "4000 events" in page
    assert all(file["lfn"] in page for file in good["Files"] if file["type"] == "output")
    bad = next(job for job in failed_once.jobs if job["jobStatus"] == "failed")
    page = _page(target, f"/job/{bad['PandaID']}")
    assert "All attempts at its inputs" in page
    assert "fake payload failure" in page


def test_files_of_a_dataset_are_listed(target: Target, failed_once: Outcome) -> None:
    outputs = next(one for one in failed_once.datasets if one["dataset"]["name"].endswith(".S"))
    page = _page(target, f"/files/{outputs['dataset']['id']}")
    assert all(file["lfn"] in page for file in outputs["files"])


def test_tasks_are_found_by_name_user_and_status(target: Target, failed_once: Outcome) -> None:
    link = f'href="/task/{failed_once.task_id}"'
    assert link in _page(target, "/tasks")
    assert link in _page(target, "/tasks", taskname=ODD, status=failed_once.info["status"])
    assert link not in _page(target, "/tasks", taskname=ODD, status="broken")
    assert link not in _page(target, "/tasks", username="nobody")
    assert "No task fits." in _page(target, "/tasks", taskname="100%_\\")


def test_queues_show_slots_and_jobs(target: Target, failed_once: Outcome) -> None:
    assert failed_once.job_ids
    page = _page(target, "/sites")
    assert "SPD_LOCAL" in page
    assert "computingsite=SPD_LOCAL" in page


@side_by_side
def test_a_task_that_jedi_has_not_refined_is_told_of(target: Target) -> None:
    target.own_sandbox()
    server = target.server.another()
    task_id = server.submit(sim_map(server, "fresh"))
    answer = _get(target, f"/task/{task_id}")
    assert answer.status_code == 404
    assert "JEDI has not refined it yet" in answer.text
    server.follow(task_id)


@pytest.mark.parametrize(
    "path", ["/task/abc", "/task/99999999", f"/task/{10**30}", "/job/-1", "/job/0", "/files/x", f"/files/{10**30}"]
)
def test_what_is_not_there_is_a_page_that_says_so(target: Target, path: str) -> None:
    target.own_sandbox()
    answer = _get(target, path)
    assert answer.status_code == 404
    assert "Not found" in answer.text


@pytest.mark.parametrize("query", [{"jeditaskid": "x"}, {"attemptnr": 10**30}, {"after": -1}])
def test_a_senseless_filter_is_refused(target: Target, query: dict[str, object]) -> None:
    target.own_sandbox()
    assert _get(target, "/jobs", **query).status_code == 422
