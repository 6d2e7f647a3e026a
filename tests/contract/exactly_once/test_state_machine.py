"""Any order of steps, deaths, lost answers and late ones: hypothesis drives workers of the real code, step by step."""

import functools
import os
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select, text, update

from prodsys.actions.reconciliation.duplicate_task_watch import find_duplicate_tasks
from prodsys.actions.submission import submitting
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.errors import ServiceUnavailable
from prodsys.ledger import submission_leases
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.model.statuses import IntentState
from prodsys.panda.task_map import same_work
from tests.chaos.sabotage import SABOTAGES
from tests.chaos.stage import Requests, fill_ledger
from tests.chaos.worker import Place, look
from tests.contract.exactly_once.counting import KIND, name_of, task_of
from tests.contract.exactly_once.in_process import (
    SOMEBODY,
    InProcessPanda,
    Ledger,
    Network,
    StoppingSessions,
    Worker,
    hands,
)

EXAMPLES = int(os.environ.get("EXACTLY_ONCE_EXAMPLES", "15"))
STEPS = 30
MOST_WORKERS = 4
TO_THE_INTENT, BEFORE_THE_REPLY, TO_ITS_END = 1, 5, 1000  # steps of a worker that nobody disturbs
STEPS_OF_A_WORKER = st.sampled_from((1, 2, 3, 5, 6, 7, 8, TO_ITS_END))
SEARCH = "task/get_tasks_detailed_info_since"
ANSWER_MAX_S, DOUBT_MAX_S = 100.0, 1000.0
TIMES = {"call_timeout_s": 50.0, "answer_max_s": ANSWER_MAX_S, "doubt_max_s": DOUBT_MAX_S}
NOT_LIVE = {None, "registered", "toabort", "aborting", "aborted", "tobroken", "broken"}
COLUMNS = (
    "intent",
    "owner",
    "until",
    "first_sent_at",
    "sent_count",
    "jedi_task_id",
    "twins",
    "status",
    "status_reason",
)


@dataclass
class World:
    """Ledger and PanDA, used by all examples one after the other."""

    plain: object  # hands without PanDA
    ctx: object  # hands that never stop
    panda: InProcessPanda
    network: Network
    next_request: object
    younger: str  # a request whose task PanDA has shown


@pytest.fixture(scope="module")
def world(postgres, tmp_path_factory):
    folder = tmp_path_factory.mktemp("in_process")
    url = postgres.create_database("state_machine_ledger")
    plain = Place(url, "http://127.0.0.1:1", "none", TIMES, who="manager").hands("manager")
    fill_ledger(url, plain)
    panda, network = InProcessPanda(postgres.create_database("state_machine_panda"), folder), Network()
    ctx = hands(plain, panda, network, plain.sessions)
    requests = Requests()
    made = World(plain, ctx, panda, network, lambda: requests.ready(1, ctx)[0], "")
    made.younger = made.next_request()
    ensure_submitted(ctx, made.younger, KIND)
    panda.refine()
    look(ctx, made.younger, KIND)
    assert task_of(ctx, made.younger).intent == IntentState.CONFIRMED
    return made


class Submission(RuleBasedStateMachine):
    """One step of one request, whoever works at it."""

    world: World

    @initialize()
    def a_request_is_ready(self):
        self.panda, self.ctx, self.network, self.ledger = self.world.panda, self.world.ctx, Network(), Ledger()
        self.panda.clear()
        self.request_id = self.world.next_request()
        self.workers: list[Worker] = []
        self.count = 0
        self.saved = None
        self.troubled = self.excused = False  # something went wrong; two may live until somebody looks
        self.wrong: list[str] = []
        self.last_state = self.last_owner = None  # of the intent
        with transaction(self.ctx.sessions) as session:
            session.execute(update(TaskRow).values(first_sent_at=text("timestamptz '2000-01-01'")))

    # --- workers ------------------------------------------------------------------------------------------------------
    @precondition(lambda self: len(self.alive) < MOST_WORKERS)
    @rule(steps=STEPS_OF_A_WORKER)
    def a_worker_comes(self, steps):
        self.count += 1
        worker = Worker(self.count, self._submit)
        worker.searched = False
        worker.knew = self._shown() and not self._is_intended()
        self.workers.append(worker)
        worker.step(steps)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, MOST_WORKERS), steps=STEPS_OF_A_WORKER)
    def a_worker_goes_on(self, which, steps):
        self.alive[which % len(self.alive)].step(steps)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, MOST_WORKERS))
    def a_worker_is_killed(self, which):
        self.troubled = True
        self.alive[which % len(self.alive)].kill()

    # --- trouble ------------------------------------------------------------------------------------------------------
    @rule(what=st.sampled_from(("refuse", "lose", "delay")))
    def the_network_fails_once(self, what):
        self.troubled = True
        setattr(self.network, what, True)

    @rule()
    def the_answer_to_a_commit_is_lost(self):
        self.troubled = self.ledger.lose_commit = True

    @precondition(lambda self: self.network.late)
    @rule()
    def a_late_submission_arrives(self):
        self._deliver()

    @rule(seconds=st.sampled_from((1.0, ANSWER_MAX_S, DOUBT_MAX_S)))
    def time_passes(self, seconds):
        self.troubled = True
        self._pass_time(seconds)

    @precondition(lambda self: self._row() is not None)
    @rule(user=st.sampled_from(("prodmgr", SOMEBODY)))
    def somebody_sends_the_same(self, user):
        self.troubled = True
        self.panda.submit(self._row().task_map, user)

    @rule()
    def the_ledger_is_copied(self):
        row = self._row()
        self.saved = {"row": row and {name: getattr(row, name) for name in COLUMNS}}

    @precondition(lambda self: self.saved is not None)
    @rule()
    def the_ledger_is_restored(self):
        self.troubled = True
        for worker in self.alive:
            worker.kill()
        row = self._row()
        if row is None:
            return
        chosen = TaskRow.task_row_id == row.task_row_id
        with transaction(self.ctx.sessions) as session:
            kept = self.saved["row"]
            session.execute(update(TaskRow).where(chosen).values(**kept) if kept else delete(TaskRow).where(chosen))
        self.last_state, self.last_owner = (kept["intent"], kept["owner"]) if kept else (None, None)

    # --- those who look -----------------------------------------------------------------------------------------------
    @rule()
    def jedi_refines(self):
        self.panda.refine()
        self.excused = self.excused or (len(self._live()) > 1 and self._users() > 1)

    @rule()
    def two_refiners_work_at_once(self):
        self.troubled = True
        self.panda.refine_two_at_once()
        self.excused = self.excused or len(self._live()) > 1

    @precondition(lambda self: self._row() is not None and self._row().jedi_task_id is not None)
    @rule()
    def the_wait_looks(self):
        look(self.ctx, self.request_id, KIND)
        self.panda.execute()

    @rule()
    def the_reconciler_looks(self):
        self._reconcile()
        assert len(self._live()) <= 1

    @rule()
    def panda_shows_a_younger_task(self):
        self.panda.refine()
        self.excused = self.excused or (len(self._live()) > 1 and self._users() > 1)
        with transaction(self.ctx.sessions) as session:
            younger = TaskRow.task_name == name_of(self.world.younger)
            session.execute(update(TaskRow).where(younger).values(first_sent_at=text("clock_timestamp()")))

    # --- the promise --------------------------------------------------------------------------------------------------
    @invariant()
    def never_two_live_tasks_past_refinement(self):
        live = self._live()
        assert self.excused or len(live) <= 1, live

    @invariant()
    def an_id_in_the_ledger_is_a_task_whose_map_is_ours(self):
        row = self._row()
        if row is None:
            return
        maps = {one["jedi_task_id"]: one["params"] for one in self.panda.rows()}
        for jedi_task_id in filter(None, [row.jedi_task_id, *row.twins]):
            assert same_work(maps[jedi_task_id], row.task_map) == []

    @invariant()
    def nothing_is_sent_needlessly(self):
        assert self.wrong == []
        if not self.troubled:
            assert len(self.panda.rows()) <= 1

    def teardown(self):
        if not hasattr(self, "workers"):
            return
        try:
            if not any(worker.error for worker in self.workers):
                self._ends_well()
        finally:
            for worker in self.alive:
                worker.kill()

    def _ends_well(self):
        """Once trouble stops, one task lives, and the ledger knows it."""
        self.network.calm()
        self.ledger.lose_commit = False
        for number, worker in enumerate(self.alive):
            worker.kill() if number % 2 else worker.step(TO_ITS_END)
        self._deliver()
        for _ in range(30):
            self._try_once_more()
            if self._settled():
                break
        self._reconcile()
        [live] = self._live()
        row = self._row()
        assert (row.intent, row.jedi_task_id) == (IntentState.CONFIRMED, live)
        assert [one["jedi_task_id"] for one in self.panda.rows() if one["status"] in {None, "registered"}] == []

    def _try_once_more(self):
        try:
            ensure_submitted(self.ctx, self.request_id, KIND)
            self.panda.refine()
            look(self.ctx, self.request_id, KIND)
        except ServiceUnavailable:
            self._pass_time(ANSWER_MAX_S)
            self.panda.refine()
        self.panda.execute()

    def _settled(self):
        row = self._row()
        return row is not None and row.intent == IntentState.CONFIRMED and [row.jedi_task_id] == self._live()

    # --- hands --------------------------------------------------------------------------------------------------------
    @property
    def alive(self):
        return [worker for worker in getattr(self, "workers", ()) if not worker.over]

    def _submit(self, worker):
        noticed = functools.partial(self._notice, worker)
        sessions = StoppingSessions(self.ctx.sessions, worker.stop, noticed, self.ledger.broken)
        ctx = hands(self.world.plain, self.panda, self.network, sessions, worker.stop, noticed)
        ensure_submitted(ctx, self.request_id, KIND)

    def _notice(self, worker, event, about):
        """Hear what a worker does: it has asked PanDA, committed, or its request is on its way."""
        row = self._row()
        state, owner = (row.intent, row.owner) if row else (None, None)
        if event == "asked":
            worker.searched = worker.searched or about == SEARCH
        elif event == "committed" and state == IntentState.SENDING and owner != self.last_owner:
            if self.last_state not in {None, IntentState.INTENDED, IntentState.IN_DOUBT}:
                self.wrong.append(f"a turn began while the intent was {self.last_state}")
            if self.last_state == IntentState.IN_DOUBT and not worker.searched:
                self.wrong.append("a doubt was settled unsearched")
        elif event == "sent":
            if row is None or not row.sent_count:
                self.wrong.append(f"{about} was sent without a committed intent")
            if worker.knew:
                self.wrong.append(f"{about} was sent although PanDA showed it when the worker came")
        self.last_state, self.last_owner = state, owner

    def _row(self):
        with transaction(self.ctx.sessions) as session:
            return session.scalars(select(TaskRow).where(TaskRow.task_name == name_of(self.request_id))).first()

    def _is_intended(self):
        row = self._row()
        return row is None or row.intent == IntentState.INTENDED

    def _shown(self):
        """Whether a search by name brings a task of ours."""
        return any(one["task_name"] == name_of(self.request_id) for one in self.panda.rows())

    def _live(self):
        return [one["jedi_task_id"] for one in self.panda.rows() if one["status"] not in NOT_LIVE]

    def _users(self):
        return len({one["user_name"] for one in self.panda.rows() if one["status"] not in NOT_LIVE})

    def _deliver(self):
        for body in self.network.late:
            self.panda.submit(body["task_parameters"])
        self.network.late.clear()

    def _reconcile(self):
        list(find_duplicate_tasks(self.ctx, repair=True))
        self.panda.execute()
        self.excused = False

    def _pass_time(self, seconds):
        span = timedelta(seconds=seconds)
        earlier = {"until": TaskRow.until - span, "first_sent_at": TaskRow.first_sent_at - span}
        with transaction(self.ctx.sessions) as session:
            session.execute(update(TaskRow).where(TaskRow.task_name == name_of(self.request_id)).values(earlier))


def over(world):
    """The machine over this ledger and this PanDA."""
    return type("OverThisWorld", (Submission,), {"world": world})


def test_one_task_comes_of_a_step_in_whatever_order_things_happen(world):
    given = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes: an order that fails is told as it is
    )
    run_state_machine_as_test(over(world), settings=given)


def two_begin_with_the_same_snapshot(machine):
    machine.a_worker_comes(TO_THE_INTENT)
    machine.a_worker_comes(TO_ITS_END)
    machine.a_worker_goes_on(0, TO_ITS_END)


def the_answer_is_lost_and_panda_shows_the_task(machine):
    machine.a_worker_comes(BEFORE_THE_REPLY)
    machine.a_worker_is_killed(0)
    machine.time_passes(ANSWER_MAX_S)
    machine.jedi_refines()
    machine.a_worker_comes(TO_ITS_END)


def the_answer_is_lost_and_jedi_rests(machine):
    machine.a_worker_comes(BEFORE_THE_REPLY)
    machine.a_worker_is_killed(0)
    machine.time_passes(DOUBT_MAX_S)
    machine.a_worker_comes(TO_ITS_END)
    machine.jedi_refines()


PLAYS = {
    "no compare-and-set": two_begin_with_the_same_snapshot,
    "no search": the_answer_is_lost_and_panda_shows_the_task,
    "new names": the_answer_is_lost_and_jedi_rests,
}


def play(world, order):
    machine = over(world)()
    try:
        machine.a_request_is_ready()
        order(machine)
        machine.never_two_live_tasks_past_refinement()
        machine.an_id_in_the_ledger_is_a_task_whose_map_is_ours()
        machine.nothing_is_sent_needlessly()
    finally:
        for worker in machine.alive:
            worker.kill()
    machine.teardown()


@pytest.mark.parametrize("order", PLAYS.values(), ids=lambda order: order.__name__)
def test_these_orders_end_well(world, order):
    play(world, order)


@pytest.mark.parametrize("name", SABOTAGES)
def test_the_machine_notices_a_submission_that_is_wrong_on_purpose(world, monkeypatch, name):
    """By chance it finds each of the three too, in some hundred orders; these plays are the shortest."""
    for module, attribute in ((submission_leases, "_update"), (submitting, "_settle_doubt"), (submitting, "_submit")):
        monkeypatch.setattr(module, attribute, getattr(module, attribute))  # put back at the end
    SABOTAGES[name]()
    with pytest.raises(AssertionError):
        play(world, PLAYS[name])
