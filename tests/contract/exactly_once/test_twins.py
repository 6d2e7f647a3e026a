"""Two tasks that do the same work: JEDI ends what it can see, the rest is found within one look and killed."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from prodsys.actions.reconciliation.duplicate_task_watch import find_duplicate_tasks
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow
from prodsys.model.statuses import DEAD, TaskStatus
from prodsys.panda.client import PandaClient
from tests.chaos.points import Point
from tests.chaos.stage import PATIENT, SPEED
from tests.chaos.trials import Trouble
from tests.chaos.worker import ORIGIN, follow, persist
from tests.contract.exactly_once.counting import KIND, ends_well, long_jobs, name_of, one_task, task_of
from tests.contract.panda.sandbox_target import Sandbox

MANY = 50
PAIRS = 8
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def nothing_ends_of_itself(stage):
    with long_jobs(stage.panda):
        yield


@pytest.fixture
def ctx(stage):
    return stage.hands(PATIENT)


def client(stage, user="prodmgr"):
    token = stage.panda.issuer.token(user)
    return PandaClient(stage.panda.url, ORIGIN, lambda: token, PATIENCE_S)


def intended(stage, ctx, request_id):
    """The intent, written down; PanDA is not reached."""
    nowhere = replace(stage.place(), panda_url="http://127.0.0.1:1", times=PATIENT).hands()
    with pytest.raises(Exception, match="not reached"):
        ensure_submitted(nowhere, request_id, KIND)
    return task_of(ctx, request_id)


def until_shown(panda, *ids):
    """Until JEDI has refined them: only then a list shows their name."""
    deadline = time.monotonic() + PATIENCE_S
    while {TaskStatus.UNSEEN, TaskStatus.REGISTERED} & set(panda.list_statuses(ids, 7200).values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def until_dead(panda, jedi_task_id):
    deadline = time.monotonic() + PATIENCE_S
    while panda.get_status(jedi_task_id) not in DEAD:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def audit_of(ctx, request_id, action):
    with transaction(ctx.sessions) as session:
        found = session.query(AuditRow).filter_by(request_id=request_id, action=action).all()
        return [row.detail for row in found]


def findings(ctx, request_id, **options):
    return [one for one in find_duplicate_tasks(ctx, **options) if one.request_id == request_id]


def test_of_fifty_twins_in_one_second_one_lives_and_the_ledger_finds_it(stage, ctx, nursery, request_id):
    trouble = Trouble(stage, nursery, request_id, None)
    ours = trouble.stopped_worker(Point.BEFORE_CALL)
    task, panda = task_of(ctx, request_id), client(stage)
    stage.switch_jedi("pause")
    try:
        with ThreadPoolExecutor(MANY) as pool:
            sent = [pool.submit(panda.submit, task.task_map) for _ in range(MANY // 2)]
            ours.signal(signal.SIGCONT)
            sent += [pool.submit(panda.submit, task.task_map) for _ in range(MANY // 2)]
        ids = [one.result() for one in sent]
        assert trouble.wait_for_submission(MANY + 1)
    finally:
        stage.switch_jedi("resume")
    ends_well(ours)
    found = one_task(stage, ctx, request_id, late=True)
    assert (len(found.sent), found.twins, len(found.live)) == (MANY + 1, MANY, 1)
    assert found.live[0].jedi_task_id == min(stage.submissions(name_of(request_id)))
    assert len(set(ids)) == MANY


def test_a_later_twin_of_another_user_is_killed_with_an_alarm(stage, ctx, request_id):
    [ours] = persist(lambda: ensure_submitted(ctx, request_id, KIND))
    follow(ctx, request_id, KIND)
    other = client(stage, "somebody")
    twin = other.submit(task_of(ctx, request_id).task_map)
    until_shown(other, twin)
    [told] = findings(ctx, request_id, repair=False)
    assert not told.repaired
    assert f"task {twin} of somebody does the work of {name_of(request_id)} ({ours}) a second time" in told.what
    [mended] = findings(ctx, request_id, repair=True)
    assert mended.repaired
    until_dead(other, twin)
    assert findings(ctx, request_id, repair=True) == []
    one = task_of(ctx, request_id)
    assert (one.jedi_task_id, one.twins) == (ours, [twin])
    [line] = audit_of(ctx, request_id, "kill twin")
    assert (line["kept"], line["twin"], line["user"]) == (ours, twin, "somebody")


def test_an_elder_twin_of_another_user_stays_and_ours_is_killed(stage, ctx, request_id):
    other = client(stage, "somebody")
    elder = other.submit(intended(stage, ctx, request_id).task_map)
    until_shown(other, elder)
    [ours] = persist(lambda: ensure_submitted(ctx, request_id, KIND))
    follow(ctx, request_id, KIND)
    until_dead(other, ours)
    one = task_of(ctx, request_id)
    assert (one.jedi_task_id, one.twins, one.intent) == (elder, [ours], "confirmed")
    assert one.jedi_task_id < ours
    assert findings(ctx, request_id, repair=True) == []


def test_our_seeds_under_another_name_are_named_and_not_killed(stage, ctx, request_id):
    persist(lambda: ensure_submitted(ctx, request_id, KIND))
    other = client(stage, "somebody")
    by_hand = other.submit({**task_of(ctx, request_id).task_map, "taskName": f"by_hand_{request_id}"})
    until_shown(other, by_hand)
    [told] = findings(ctx, request_id, repair=True)
    assert not told.repaired
    assert f"task {by_hand} (by_hand_{request_id}) of somebody runs 2 seeds of {name_of(request_id)}" in told.what
    other.kill(by_hand)


def test_a_task_of_our_name_that_does_other_work_is_named_and_not_killed(stage, ctx, request_id):
    persist(lambda: ensure_submitted(ctx, request_id, KIND))
    other = client(stage, "somebody")
    strange = other.submit({**task_of(ctx, request_id).task_map, "pfnList": ["1"], "nFiles": 1})
    until_shown(other, strange)
    [told] = findings(ctx, request_id, repair=True)
    assert (told.repaired, "pfnList" in told.cause) == (False, True)
    assert other.get_status(strange) not in DEAD


@pytest.fixture
def many_refiners(stage, tmp_path):
    """The stage with a PanDA whose JEDI refines with several hands: of twins two may live."""
    address = stage.panda_database.create("panda_of_many")
    panda = Sandbox(tmp_path, address, speed=SPEED, SITES="", JOBS="simulated", REFINERS="8")
    try:
        panda.start()
        with psycopg.connect(address.replace("+psycopg", "")) as connection:  # no id that the other PanDA has given
            connection.execute("alter sequence jedi_task_id restart with 1000001")
        with long_jobs(panda):
            yield replace(stage, panda=panda, panda_url=address.replace("+psycopg", ""))
    finally:
        panda.stop()


def test_of_twins_that_two_refiners_let_live_the_lowest_stays(many_refiners, stage):
    ctx, panda = many_refiners.hands(PATIENT), client(many_refiners)
    ids = stage.ready_requests(PAIRS)
    maps = {one: intended(many_refiners, ctx, one).task_map for one in ids}
    many_refiners.switch_jedi("pause")
    twins, ours = {}, {}
    for one in ids:
        twins[one] = panda.submit(maps[one])
        [ours[one]] = persist(lambda one=one: ensure_submitted(ctx, one, KIND))
    many_refiners.switch_jedi("resume")
    until_shown(panda, *twins.values(), *ours.values())
    both = [one for one in ids if not {panda.get_status(twins[one]), panda.get_status(ours[one])} & DEAD]
    assert both, "no two twins were refined at once"
    list(find_duplicate_tasks(ctx, repair=True))
    for one in ids:
        follow(ctx, one, KIND)
        until_dead(panda, max(twins[one], ours[one]))
        lowest = min(twins[one], ours[one])
        assert panda.get_status(lowest) not in DEAD
        assert task_of(ctx, one).jedi_task_id == lowest
