"""Replies of PanDA with odd values."""

from __future__ import annotations

from datetime import datetime

import pytest

from prodsys.model.statuses import JobStatus, TaskStatus
from prodsys.panda.parse import job_record, task_info


@pytest.mark.parametrize(
    ("checksum", "adler32"),
    [("ad:d4dd6cd0", "d4dd6cd0"), ("ad:D4DD6CD", "0d4dd6cd"), ("md:00112233445566778899aabbccddeeff", ""), (None, "")],
)
def test_only_an_adler32_is_an_adler32(checksum: str | None, adler32: str):
    file = {"lfn": "f", "type": "output", "dataset": "d", "checksum": checksum, "fsize": "12"}
    job = job_record({"PandaID": 1, "jobStatus": "finished", "Files": [file]})
    assert (job.outputs[0].adler32, job.outputs[0].bytes) == (adler32, 12)


@pytest.mark.parametrize(
    "metadata", ["", "no json", "[]", '{"files": 1}', '{"files": {"output": [{"subFiles": [{}]}]}}', 5]
)
def test_a_report_that_cannot_be_read_counts_no_events(metadata: object):
    file = {"lfn": "f", "type": "output", "dataset": "d"}
    job = job_record({"PandaID": 1, "jobStatus": "finished", "Files": [file], "metadata": metadata})
    assert job.outputs[0].events is None


def test_a_job_of_which_nothing_is_known():
    job = job_record({"PandaID": 1})
    assert (job.status, job.seed, job.events, job.errors, job.wall_s) == (JobStatus.UNKNOWN, None, None, (), 0.0)


def test_the_words_of_the_pilot_come_last():
    row = {
        "PandaID": 1,
        "transExitCode": "65",
        "exeErrorCode": 65,
        "exeErrorDiag": "fake failure",
        "taskBufferErrorCode": 100,
        "taskBufferErrorDiag": None,
        "pilotErrorCode": 1305,
        "pilotErrorDiag": "Failed to execute payload",
    }
    assert job_record(row).errors == (
        "transExitCode 65",
        "exeErrorCode 65: fake failure",
        "taskBufferErrorCode 100: no words",
        "pilotErrorCode 1305: Failed to execute payload",
    )


def test_a_task_that_is_its_own_parent_has_none():
    row = {"jediTaskID": 5, "parent_tid": 5, "status": "brand-new", "modificationTime": datetime(2026, 11, 21, 3, 4, 5)}
    task = task_info(row)
    assert (task.parent_tid, task.status, task.modified) == (None, TaskStatus.UNKNOWN, "2026-11-21T03:04:05")
    assert task_info({**row, "parent_tid": 4}).parent_tid == 4
