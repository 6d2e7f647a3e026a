"""Every word that PanDA and Rucio use has its place, and unheard-of ones too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prodsys.model.statuses import (
    FINAL,
    JOB_FINAL,
    RETRYABLE,
    STATE_OF_RECORD,
    WITH_OUTPUT,
    JobStatus,
    RecordedStatus,
    RequestState,
    RuleState,
    TaskStatus,
)

RECORDED = Path(__file__).parents[2] / "data" / "panda" / "statuses.json"
# fmt: off
TASK_WORDS = (  # Source: panda-server 1.0.4, JediTaskSpec
    "registered", "defined", "assigning", "staged", "staging", "ready", "pending", "scouting", "scouted", "running",
    "prepared", "throttled", "paused", "toretry", "toincexec", "rerefine", "finishing", "passed", "aborting", "toabort",
    "tobroken", "done", "finished", "failed", "broken", "aborted", "exhausted",
)
JOB_WORDS = (  # Source: panda-server 1.0.4, JobSpec
    "pending", "defined", "assigned", "waiting", "throttled", "activated", "sent", "starting", "running", "holding",
    "merging", "transferring", "finished", "failed", "closed", "cancelled",
)
# fmt: on


def recorded_words() -> tuple[set[str], set[str]]:
    """Statuses of tasks and of jobs in the recordings."""
    tasks: set[str] = set()
    jobs: set[str] = set()
    for scenario in json.loads(RECORDED.read_text(encoding="utf-8")).values():
        for task in scenario.values():
            for log in ("api_get_status", "task_status_log", "task_sampled_1s"):
                tasks |= {row[1] for row in task.get(log, []) if row[1] and row[1][0] != "<"}
            jobs |= {word for row in task.get("jobs_by_status", []) for word in row[1]}
    return tasks, jobs


@pytest.mark.parametrize("word", TASK_WORDS)
def test_every_task_status_is_known(word):
    assert TaskStatus(word) is not TaskStatus.UNKNOWN


@pytest.mark.parametrize("word", JOB_WORDS)
def test_every_job_status_is_known(word):
    assert JobStatus(word) is not JobStatus.UNKNOWN


def test_every_recorded_status_is_known():
    tasks, jobs = recorded_words()
    assert len(tasks) > 10
    assert {word for word in tasks if TaskStatus(word) is TaskStatus.UNKNOWN} == set()
    assert {word for word in jobs if JobStatus(word) is JobStatus.UNKNOWN} == set()


@pytest.mark.parametrize("kind", [TaskStatus, JobStatus, RuleState])
def test_a_word_nobody_has_met_is_unknown_and_final_nowhere(kind):
    assert kind("transmogrified") is kind.UNKNOWN
    assert kind.UNKNOWN not in FINAL | JOB_FINAL


def test_finished_is_partial_for_a_task_and_success_for_a_job():
    assert TaskStatus.FINISHED in FINAL & WITH_OUTPUT & RETRYABLE
    assert TaskStatus.DONE not in RETRYABLE
    assert JobStatus.FINISHED in JOB_FINAL


def test_history_is_never_launchable():
    assert STATE_OF_RECORD.keys() == set(RecordedStatus)
    assert set(STATE_OF_RECORD.values()) == {RequestState.DRAFT, RequestState.RECORDED}
    assert STATE_OF_RECORD[RecordedStatus.READY] is RequestState.DRAFT
    assert RequestState.READY not in STATE_OF_RECORD.values()
