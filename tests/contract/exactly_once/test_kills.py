"""Processes that die, sleep, come twice or lose the ledger: one task comes of it, and nothing is sent twice."""

import signal
import time

import pytest

from prodsys.actions.submission.submitting import ensure_submitted
from tests.chaos.points import Point
from tests.chaos.trials import Trouble
from tests.chaos.worker import follow, persist
from tests.contract.exactly_once.counting import KIND, ends_well, name_of, one_task, task_of

JEDI_RESTS_S = 30 * 60  # of the recorded server; divided by the stage's speed
JEDI_STARTS_S = 6.0  # it has long been imported, and found no database


@pytest.fixture
def trouble(stage, nursery, request_id):
    return Trouble(stage, nursery, request_id, None)


def test_a_lost_reply_is_found_by_name(stage, ctx, request_id):
    stage.panda.play({"name": "lost", "match": {"task": name_of(request_id)}, "lose_reply": {"times": 1}})
    ids = persist(lambda: ensure_submitted(ctx, request_id, KIND))
    follow(ctx, request_id, KIND)
    stage.panda.play()
    assert task_of(ctx, request_id).sent_count == 1
    assert [one.jedi_task_id for one in one_task(stage, ctx, request_id).sent] == list(ids)


def test_a_worker_killed_after_sending_is_followed_by_one_that_finds_its_task(stage, ctx, trouble):
    worker = trouble.stopped_worker(Point.REQUEST_SENT)
    assert trouble.wait_for_submission()
    worker.kill()
    ends_well(trouble.worker())
    assert len(one_task(stage, ctx, trouble.request_id).sent) == 1


def test_a_worker_frozen_after_sending_wakes_and_takes_what_the_other_found(stage, ctx, trouble):
    sleeper = trouble.stopped_worker(Point.REQUEST_SENT)
    assert trouble.wait_for_submission()
    ends_well(trouble.worker())
    sleeper.signal(signal.SIGCONT)
    ends_well(sleeper)
    assert len(one_task(stage, ctx, trouble.request_id).sent) == 1
    assert [said["ids"] for said in sleeper.seen if said["event"] == "submitted"] == [
        [task_of(ctx, trouble.request_id).jedi_task_id]
    ]


def test_a_worker_that_slept_through_its_turn_sends_nothing(stage, ctx, trouble):
    sleeper = trouble.stopped_worker(Point.TURN_COMMITTED)
    rival = trouble.worker()
    time.sleep(stage.times["answer_max_s"])
    sleeper.signal(signal.SIGCONT)
    ends_well(sleeper, rival)
    assert len(one_task(stage, ctx, trouble.request_id).sent) == 1


def test_what_a_sleeper_sends_too_late_is_ended_by_jedi(stage, ctx, trouble):
    sleeper = trouble.stopped_worker(Point.BEFORE_CALL)
    ends_well(trouble.worker())  # past every doubt it sends
    sleeper.signal(signal.SIGCONT)
    ends_well(sleeper)
    assert trouble.wait_for_submission(2)
    late = stage.submissions(name_of(trouble.request_id))[1]
    ended = "select 1 from task where jedi_task_id = %(late)s and status = 'aborted' and task_name is null"
    until = time.monotonic() + 30
    while not stage.rows(ended, late=late):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert one_task(stage, ctx, trouble.request_id, late=True).twins == 1


def test_a_ledger_that_goes_down_when_the_answer_comes_costs_no_second_task(stage, ctx, trouble):
    worker = trouble.stopped_worker(Point.REPLY_RECEIVED)
    stage.ledger.kill()
    worker.signal(signal.SIGCONT)
    time.sleep(0.5)
    stage.ledger.start()
    ends_well(worker)
    assert len(one_task(stage, ctx, trouble.request_id).sent) == 1


def test_nothing_is_sent_while_the_ledger_is_down(stage, ctx, trouble):
    worker = trouble.stopped_worker(Point.INTENT_COMMITTED)
    stage.ledger.kill()
    worker.signal(signal.SIGCONT)
    time.sleep(1)
    assert stage.submissions(name_of(trouble.request_id)) == []
    stage.ledger.start()
    ends_well(worker)
    assert len(one_task(stage, ctx, trouble.request_id).sent) == 1


def test_two_schedulers_and_a_second_try_beside_the_first_send_once(stage, ctx, nursery):
    ids = stage.ready_requests(3)
    ends_well(*(nursery.spawn(stage.place(), one, KIND) for one in ids for _ in range(3)))
    assert [len(one_task(stage, ctx, one).sent) for one in ids] == [1, 1, 1]


def test_a_person_who_clears_the_airflow_task_at_work_changes_nothing(stage, ctx, trouble):
    worker = trouble.stopped_worker(Point.REPLY_RECEIVED)
    worker.signal(signal.SIGTERM)  # Airflow ends the try and starts the next
    worker.signal(signal.SIGCONT)
    ends_well(trouble.worker())
    assert worker.wait_for_end()["event"] == "killed"
    assert len(one_task(stage, ctx, trouble.request_id).sent) == 1


def test_a_person_who_clears_the_airflow_task_after_its_end_changes_nothing(stage, ctx, trouble):
    ends_well(trouble.worker())
    before = task_of(ctx, trouble.request_id)
    ends_well(trouble.worker())
    assert len(one_task(stage, ctx, trouble.request_id).sent) == 1
    assert task_of(ctx, trouble.request_id).jedi_task_id == before.jedi_task_id


def test_a_jedi_that_rests_for_half_an_hour_is_waited_for(stage, ctx, nursery, monkeypatch):
    """With the times of the experiment's profile: a doubt lasts for an hour."""
    speed = float(stage.panda_speed)
    monkeypatch.setitem(stage.times, "doubt_max_s", 3600 / speed)
    [request_id] = stage.ready_requests(1)
    trouble = Trouble(stage, nursery, request_id, None)
    stage.switch_jedi("pause")
    try:
        began = time.monotonic()
        worker = trouble.stopped_worker(Point.REQUEST_SENT)
        assert trouble.wait_for_submission()
        worker.kill()
        others = [trouble.worker(), trouble.worker()]
        time.sleep(max(0.0, began + JEDI_RESTS_S / speed - time.monotonic()))
        assert task_of(ctx, request_id).intent == "in doubt"
    finally:
        stage.switch_jedi("resume")
    ends_well(*others)
    assert len(one_task(stage, ctx, request_id).sent) == 1


def test_a_jedi_that_starts_before_its_database_waits_for_it(stage, ctx, request_id):
    """Two kills at once: found by `make chaos-submit`, when JEDI ended and nothing was refined any more."""
    panda = stage.panda
    panda.kill("jedi")
    stage.panda_database.kill()
    try:
        panda.revive()
        time.sleep(JEDI_STARTS_S)
    finally:
        stage.panda_database.start()
    persist(lambda: ensure_submitted(ctx, request_id, KIND))
    follow(ctx, request_id, KIND)
    assert len(one_task(stage, ctx, request_id).live) == 1
