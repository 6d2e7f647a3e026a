"""Exactly one task with jobs comes of a step, whatever happens to the answer."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from sqlalchemy import update

from prodsys.actions.settlement.settling import settle_step
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.errors import PandaError, PandaUnavailable, TaskEnded
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import newest_task
from prodsys.model.statuses import IntentState, TaskStatus
from prodsys.settings import REPOSITORY
from sandbox.stack.ports import free_port
from tests.contract.chain.driving import acquire_run, patiently, wait_for_task
from tests.contract.chain.productions import LOST_REPLIES


@contextmanager
def jedi_paused(site):
    site.sandbox.signal("jedi", signal.SIGSTOP)
    try:
        yield
    finally:
        site.sandbox.signal("jedi", signal.SIGCONT)


@pytest.fixture
def site(sites, started):
    """The quieter of the two sites; its scenario is in force."""
    return sites["none"]


def running_request(site, request_id):
    site.approved(request_id, seed_count=2)
    acquire_run(site.context(), request_id)
    return request_id


def task_of(site, request_id):
    with transaction(site.sessions) as session:
        return newest_task(session, request_id, "SIM")


def until_in_doubt(site, ctx, request_id):
    def submit():
        try:
            ensure_submitted(ctx, request_id, "SIM")
        except PandaUnavailable:
            return task_of(site, request_id).intent == IntentState.IN_DOUBT or None
        raise AssertionError("the answer was not lost")

    patiently(submit, "doubt")


def submitted(ctx, request_id):
    def submit():
        try:
            return ensure_submitted(ctx, request_id, "SIM")[0]
        except PandaUnavailable:
            return None

    return patiently(submit, f"the task of {request_id}")


def intended(site, request_id):
    """The intent as the ledger holds it while PanDA is away."""
    away = site.context(panda_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(PandaUnavailable):
        ensure_submitted(away, request_id, "SIM")
    task = task_of(site, request_id)
    assert (task.intent, task.sent_count) == (IntentState.INTENDED, 0)
    return task


def live_tasks(site, request_id):
    found = site.panda_client().find_tasks(f"{request_id}.SIM")
    return [one.jedi_task_id for one in found if site.panda_client().get_jobs(one.jedi_task_id)]


def test_a_lost_answer_is_found_by_name_and_nothing_is_sent_twice(site):
    request_id = running_request(site, LOST_REPLIES[0])
    ctx = site.context(call_timeout_s=0.5, answer_max_s=1, doubt_max_s=600)
    with jedi_paused(site):
        with pytest.raises(PandaUnavailable, match="no answer to the submission"):
            ensure_submitted(ctx, request_id, "SIM")
        assert task_of(site, request_id).intent == IntentState.SENDING
        until_in_doubt(site, ctx, request_id)
        with pytest.raises(PandaUnavailable, match="was lost; waiting until PanDA shows the task"):
            ensure_submitted(ctx, request_id, "SIM")
    found = submitted(ctx, request_id)
    wait_for_task(ctx, request_id, "SIM")
    assert (task_of(site, request_id).sent_count, task_of(site, request_id).twins) == (1, [])
    assert live_tasks(site, request_id) == [found]


def test_a_task_aborted_as_duplicate_is_replaced_by_the_elder(site):
    request_id = running_request(site, LOST_REPLIES[1])
    ctx = site.context(call_timeout_s=0.5, answer_max_s=1, doubt_max_s=6)
    with jedi_paused(site):
        until_in_doubt(site, ctx, request_id)
        later = submitted(ctx, request_id)  # past every doubt the map is sent again
        assert task_of(site, request_id).sent_count == 2
    wait_for_task(ctx, request_id, "SIM")
    task = task_of(site, request_id)
    assert (task.twins, task.status) == ([later], TaskStatus.DONE)
    assert task.jedi_task_id < later
    assert live_tasks(site, request_id) == [task.jedi_task_id]
    assert ctx.panda.get_status(later) is TaskStatus.ABORTED


def test_two_processes_that_submit_at_once_get_the_same_task(site, tmp_path):
    request_id = running_request(site, "DEMO2025-953")
    command = [sys.executable, "-m", "tests.contract.chain.one_submission", request_id, "SIM"]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}", **site.settings(tmp_path)}
    workers = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("now\n")
        worker.stdin.flush()
    answers = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert answers == [task_of(site, request_id).jedi_task_id] * 2
    wait_for_task(site.context(), request_id, "SIM")
    assert task_of(site, request_id).sent_count == 1
    assert live_tasks(site, request_id) == answers[:1]


def test_a_name_that_other_work_uses_is_an_error_that_says_so(site):
    request_id = running_request(site, "DEMO2025-954")
    task = intended(site, request_id)
    other = site.panda_client().submit({**task.task_map, "pfnList": ["1"], "nFiles": 1})
    ours = submitted(site.context(), request_id)
    assert ours > other
    with pytest.raises(PandaError, match=rf"is the name of task {other}, which does other work: .*pfnList"):
        wait_for_task(site.context(), request_id, "SIM")


def test_a_task_that_turns_broken_ends_with_pandas_own_words(site):
    request_id = running_request(site, "DEMO2025-955")
    task = intended(site, request_id)
    broken = {key: value for key, value in task.task_map.items() if key != "jobParameters"}
    with transaction(site.sessions) as session:
        session.execute(update(TaskRow).where(TaskRow.task_row_id == task.task_row_id).values(task_map=broken))
    ctx = site.context()
    jedi_task_id = submitted(ctx, request_id)
    wait_for_task(ctx, request_id, "SIM")
    with pytest.raises(TaskEnded, match=f"task {jedi_task_id} ended as broken: .*KeyError:'jobParameters'"):
        settle_step(ctx, request_id, "SIM")
