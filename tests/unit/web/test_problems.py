"""Every error of our tree has a problem; what may name hosts or files stays in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from prodsys import errors
from prodsys.web.problems import KINDS, kind_of, problem_of
from prodsys.web.refusals import NotAuthenticated


def tree(root: type[BaseException] = errors.ProductionError) -> Iterator[type[BaseException]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


OURS = sorted({one for one in tree() if one.__module__.startswith("prodsys.errors.")}, key=lambda one: one.__name__)


def bare(kind: type[BaseException]) -> BaseException:
    error = kind.__new__(kind)
    error.args = ("words",)
    return error


@pytest.mark.parametrize("kind", OURS, ids=lambda one: one.__name__)
def test_every_error_has_a_status_that_says_whether_another_try_helps(kind):
    found = kind_of(bare(kind))
    assert found.retry or not issubclass(kind, errors.ServiceUnavailable)
    assert (found.status == HTTPStatus.SERVICE_UNAVAILABLE) == issubclass(kind, errors.ServiceUnavailable)
    assert found.title
    assert found.name == found.name.lower()


def test_names_of_problems_are_unique():
    names = [kind_of(bare(one)).name for one in OURS if KINDS.get(one, None) is not KINDS[errors.SpecInvalid]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("error", "status", "members"),
    [
        (
            errors.InvalidTransition("PROD2025-016", "planned", "pause", ["plan", "approve"]),
            409,
            {"request_id": "PROD2025-016", "state": "planned", "action": "pause", "possible": ["plan", "approve"]},
        ),
        (errors.NotAllowed("eve", "abort", "manager"), 403, {"who": "eve", "needs": "manager"}),
        (errors.RequestUnknown("X", ["Y"]), 404, {"request_id": "X"}),
        (errors.SpecInvalid("energy_gev", "is 0", "27"), 422, {"place": "energy_gev", "remedy": "27"}),
        (errors.SeedsTaken("A", [("B", 1, 9)], 10), 409, {"owners": [["B", 1, 9]], "next_free": 10}),
        (errors.PlanChanged("A", "sha256:1", "sha256:2"), 409, {"shown": "sha256:1", "current": "sha256:2"}),
        (errors.RequestChanged("A", ["1"], "2"), 412, {"current": "2"}),
        (errors.PandaRefused("task/kill", "no"), 502, {"words": "no"}),
        (errors.TaskUnknown(7), 404, {"jedi_task_id": 7}),
        (NotAuthenticated("Not authenticated"), 401, {}),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_problem_carries_the_ids_of_its_error(error, status, members):
    answer = problem_of(error, "/here")
    body = json.loads(bytes(answer.body))
    assert (answer.status_code, answer.media_type) == (status, "application/problem+json")
    assert (body["status"], body["instance"], body["detail"]) == (status, "/here", str(error))
    assert body["type"].startswith("urn:prodsys:problem:")
    assert members.items() <= body.items()


@pytest.mark.parametrize("kind", [errors.PandaUnavailable, errors.RucioUnavailable])
def test_what_may_come_back_says_when_to_ask_again(kind):
    answer = problem_of(kind("no answer"), "/here")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "no answer" in json.loads(bytes(answer.body))["detail"]


@pytest.mark.parametrize(
    "error",
    [
        errors.LedgerUnavailable("connection to db.example.org failed: user prodsys"),
        errors.AirflowUnavailable("GET http://airflow.example.org:8080/api/v2/dags: <html> of somebody else"),
        errors.IdentityUnavailable("https://iam.example.org did not answer db.example.org"),
        errors.SettingMissing("PRODSYS_PANDA_URL", "write it into /home/db.example.org"),
        KeyError("db.example.org"),
    ],
)
def test_what_names_hosts_and_files_stays_in_the_log(error, caplog):
    answer = problem_of(error, "/here")
    assert answer.status_code >= 500
    assert b"example.org" not in bytes(answer.body)
    assert "example.org" in caplog.text
