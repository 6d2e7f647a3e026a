"""Whatever a broken PanDA answers: finished seeds are not run again, and when it heals the request goes on.

``BROKEN_ANSWERS_EXAMPLES`` sets the number of examples; each is a row of looks at tasks at rest, every answer of which
is damaged on its way from the real sandbox server. The number of answers tried is printed (``pytest -s``).
"""

from __future__ import annotations

import copy
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from prodsys.actions.core.context import Clients, Context
from prodsys.actions.requests.importing import import_intake
from prodsys.actions.settlement.settling import SettleAnswer, settle_step
from prodsys.actions.settlement.step_questions import answer as answer_question
from prodsys.actions.submission.finished_seeds import grant_seeds, granted_seeds
from prodsys.actions.submission.intents import open_attempt
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.actions.submission.task_orders import Work
from prodsys.errors import PandaUnavailable, SeedsFinished, ServiceUnavailable
from prodsys.intake.files import read_files
from prodsys.ledger.migrate import migrate
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import make_engine, make_session_factory, transaction
from prodsys.ledger.tables import StepRow
from prodsys.ledger.tasks import list_step_tasks, newest_task, seeds_of_task
from prodsys.model.policy import Answer
from prodsys.model.statuses import RequestState, Verdict
from prodsys.panda.client import PandaClient
from prodsys.settings import REPOSITORY
from sandbox.stack.postgres import PostgresHandle
from tests.contract.chain.broken_answers import KINDS, WHOLE, BrokenWire, Damage, random_damage
from tests.contract.chain.driving import Course, acquire_run, patiently
from tests.contract.chain.productions import ALWAYS, Order, Production, prepare, rules_of
from tests.contract.chain.site import Site, read_catalogue, running
from tests.rucio_fixture import RucioServer

EXAMPLES = int(os.environ.get("BROKEN_ANSWERS_EXAMPLES", "25"))
LOOKS, CALLS = 5, 5  # looks of an example, and answers of a look
SHARE = 0.6  # of the answers that are damaged on the way to a certificate
ANSWERS = 150  # that may be damaged before the server heals
TRIED: Counter[tuple[str, str]] = Counter()
CLIENTS: list[PandaClient] = []

DAMAGE = st.builds(Damage, st.sampled_from(KINDS[1:]), st.integers(1, 2**16 - 1))
LOOK = st.lists(st.just(WHOLE) | DAMAGE, min_size=CALLS, max_size=CALLS)

RESET = """
delete from prodsys.question where step_id = :step;
delete from prodsys.file where step_id = :step;
delete from prodsys.lost_file where step_id = :step;
delete from prodsys.seed_outcome where step_id = :step;
delete from prodsys.task where step_id = :step and attempt > 1;
update prodsys.task set final = false, job_count = null, retries = 0, retried_at = null where step_id = :step;
update prodsys.step set rounds = 0, granted = 0, granted_seeds = '{}', waived = '', verdict = null where step_id = :step
"""


@dataclass
class Resting:
    """A step whose task rests in PanDA, the seeds of which no job finished, and the true verdict."""

    production: Production
    kind: str
    unfinished: frozenset[int] = frozenset()
    wires: list[BrokenWire] = field(default_factory=list)

    @property
    def step_id(self) -> int:
        return self.production.step(self.kind).step_id

    def reset(self) -> None:
        """As before the step was settled for the first time."""
        with transaction(self.production.site.sessions) as session:
            for statement in RESET.split(";"):
                session.execute(text(statement), {"step": self.step_id} if ":step" in statement else {})

    def settle_surely(self, **times: float) -> SettleAnswer:
        """Settle it with the answers as they come; nothing can be sent."""
        ctx, wire = hands(self.production.site, lambda _: WHOLE, **times)
        wire.deaf = True
        return settle_step(ctx, self.production.request_id, self.kind)

    def seeds_again(self) -> set[int]:
        """Seeds of all attempts but the first."""
        with transaction(self.production.site.sessions) as session:
            _, *others = list_step_tasks(session, self.step_id)
            return {seed for task in others for seed in seeds_of_task(task)}

    def settle(self, damages: list[Damage]) -> SettleAnswer | None:
        """Settle it with answers damaged so, one after the other; None when PanDA counted as unavailable."""
        left = iter(damages)
        ctx, wire = hands(self.production.site, lambda _: next(left, WHOLE))
        wire.deaf = True
        try:
            return settle_step(ctx, self.production.request_id, self.kind)
        except ServiceUnavailable:
            return None
        finally:
            TRIED.update(wire.tried)

    def check(self, answer: SettleAnswer | None) -> None:
        """No finished seed is to be run again, whatever was answered; and what was concluded is true."""
        with transaction(self.production.site.sessions) as session:
            first, *_ = list_step_tasks(session, self.step_id)
        again = self.seeds_again()
        assert again <= self.unfinished, f"seeds {again} would run again"
        assert not first.retries or self.unfinished
        if answer is not None:
            assert answer.question is None, answer.message
            assert answer.verdict is Verdict.FULL or self.unfinished, answer.message


def hands(site: Site, choose: Any, **times: float) -> tuple[Context, BrokenWire]:
    """Hands whose PanDA answers through a broken wire."""
    if not CLIENTS:  # one token for all of them
        CLIENTS.append(site.panda_client())
    client = copy.copy(CLIENTS[0])
    wire = BrokenWire(client._wire, choose)
    client._wire = wire  # type: ignore[assignment]
    ctx = site.context(**times)
    return replace(ctx, clients=Clients(lambda: client, ctx.clients.rucio, ctx.clients.airflow)), wire


@pytest.fixture(scope="module")
def site(
    postgres: PostgresHandle, rucio_server: RucioServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Yield a site whose PanDA registers nothing."""
    folder: Path = tmp_path_factory.mktemp("broken_answers")
    url = postgres.create_database("broken_answers_ledger")
    migrate(url)
    (folder / "home").mkdir()
    with running(folder, postgres.create_database("broken_answers_panda"), rucio_server, "none") as sandbox:
        made = Site(sandbox, rucio_server, make_session_factory(url), folder / "home", read_catalogue(), url)
        sheet = REPOSITORY / "include" / "demo" / "requests_sheet.csv"
        import_intake(made.context(), read_files([sheet], made.catalogue))
        yield made.with_policy(running_limit=1000)
    make_engine(url).dispose()


@pytest.fixture(scope="module")
def resting(site: Site) -> dict[str, Resting]:
    """Steps at rest, none of them settled."""
    orders = {
        "done": Order(1981, "none", accept_percent=100, rounds=2),
        "partial": Order(1982, "none", accept_percent=100, rounds=2, fail_always=(1,)),
        "read": Order(1983, "none", accept_percent=100, rounds=2),
    }
    prepared = {name: prepare(site, f"broken {name}", order) for name, order in orders.items()}
    site.sandbox.play(*ALWAYS, *(rule for one in prepared.values() for rule in rules_of(one)))

    def run(name: str) -> Resting:
        made = prepared[name]
        acquire_run(made.site.context(), made.request_id)
        made.course.run_task("SIM")
        if name != "read":
            return Resting(made, "SIM", frozenset(made.seeds[place] for place in made.order.fail_always))
        made.course.settle("SIM")
        made.course.run_task("RECO")
        return Resting(made, "RECO")

    with ThreadPoolExecutor() as pool:
        return dict(zip(prepared, pool.map(run, prepared), strict=True))


@given(
    name=st.sampled_from(("done", "partial", "read")),
    known=st.booleans(),
    looks=st.lists(LOOK, min_size=1, max_size=LOOKS),
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def check_looks(steps: dict[str, Resting], name: str, known: bool, looks: list[list[Damage]]) -> None:
    step = steps[name]
    step.reset()
    if known and not step.unfinished:
        step.check(step.settle([]))
    for damages in looks:
        step.check(step.settle(damages))
    healed = step.settle([])
    step.check(healed)
    assert (healed is not None and healed.verdict is Verdict.FULL) or step.unfinished


@pytest.mark.timeout(900)
def test_whatever_is_answered_no_finished_seed_is_run_again(resting: dict[str, Resting]) -> None:
    check_looks(resting)
    kinds = Counter(kind for (_, kind), number in TRIED.items() for _ in range(number))
    print(f"\n{TRIED.total()} answers tried, {TRIED.total() - kinds['whole']} of them damaged: {dict(kinds)}")
    assert TRIED.total() > 5 * EXAMPLES


# --- jobs that PanDA does not show any more ---------------------------------------------------------------------------
HOW = ("archived", "expired", "stripped", "lost")


@contextmanager
def aged(site: Site, how: str) -> Iterator[None]:
    """Jobs of the task at rest as they are after weeks, at the sandbox server itself."""
    match = {"task": r"^DEMO2025-1981\."} | ({"seed": SEEDS_OF_DONE[:1]} if how == "lost" else {})
    site.sandbox.play({"match": match, "aged": {"jobs": how}})
    try:
        yield
    finally:
        site.sandbox.play({"match": {"task": "nobody"}, "aged": {"jobs": how}})


SEEDS_OF_DONE: list[int] = []  # filled when they are known


@pytest.fixture
def done(resting: dict[str, Resting]) -> Resting:
    """A simulation that is done and was never settled."""
    resting["done"].reset()
    SEEDS_OF_DONE[:] = resting["done"].production.seeds
    return resting["done"]


@pytest.mark.parametrize("how", HOW)
def test_what_panda_has_thrown_away_stands_as_the_ledger_has_it(site: Site, done: Resting, how: str) -> None:
    before = done.settle_surely()
    files = [(file.lfn, file.seed, file.bytes, file.adler32) for file in done.production.files("SIM")]
    with aged(site, how):
        after = done.settle_surely()
    assert (before.verdict, after.verdict, after.events) == (Verdict.FULL, Verdict.FULL, before.events)
    assert ("the ledger's record stands" in after.message) == (how != "archived")
    assert files == [(file.lfn, file.seed, file.bytes, file.adler32) for file in done.production.files("SIM")]
    assert done.production.task("SIM").job_count == len(done.production.seeds)
    assert done.seeds_again() == set()


@pytest.mark.parametrize("how", HOW[1:])
def test_what_was_never_read_is_waited_for(site: Site, done: Resting, how: str) -> None:
    with aged(site, how), pytest.raises(PandaUnavailable, match="jobs"):
        done.settle_surely()
    assert done.settle_surely().verdict is Verdict.FULL


def test_jobs_thrown_away_before_they_were_read_are_a_persons_to_decide(site: Site, done: Resting) -> None:
    old = {"jobs_kept_s": 0.001, "job_files_kept_s": 0.001}
    with aged(site, "expired"):
        asked = done.settle_surely(**old)
        assert asked.question is not None
        assert "JEDI counts its input as finished (3 of 3 of task" in asked.question.body
        assert (asked.question.default, done.seeds_again()) == (Answer.FAIL, set())
        answer_question(site.context(), asked.question.question_id, Answer.RECOVER, wake=False)
        with pytest.raises(PandaUnavailable):  # it is begun, and nothing can be sent
            done.settle_surely(**old)
    assert done.seeds_again() == set(done.production.seeds)


def test_a_default_that_nobody_gave_runs_no_finished_seed_again(site: Site, done: Resting) -> None:
    nobody = site.context().acting_as("nobody", "service")
    with transaction(site.sessions) as session:
        step = session.get_one(StepRow, done.step_id)
        grant_seeds(nobody, step, done.production.seeds)
        assert granted_seeds(step) == ()
        grant_seeds(site.context(), step, done.production.seeds[:1])
        assert granted_seeds(step) == done.production.seeds[:1]


@pytest.mark.parametrize("name", ["done", "partial"])
def test_no_attempt_opens_with_a_finished_seed_whoever_asks(resting: dict[str, Resting], name: str) -> None:
    step = resting[name]
    step.reset()
    with suppress(PandaUnavailable):  # the one that may run again is begun
        step.settle_surely()
    finished = sorted({*step.production.seeds} - step.unfinished)
    ctx, plan = step.production.site.context(), step.production.plan
    with pytest.raises(SeedsFinished, match=f"jobs of seeds .*{finished[0]}"), transaction(ctx.sessions) as session:
        open_attempt(session, ctx, plan, session.get_one(StepRow, step.step_id), Work(step.production.seeds))
    assert step.seeds_again() <= step.unfinished


# --- a search that decides about sending again ------------------------------------------------------------------------
@pytest.mark.parametrize("table", ["jedi_datasets", "jedi_tasks"])
def test_a_search_of_a_panda_that_cannot_read_sends_nothing_again(
    site: Site, resting: dict[str, Resting], table: str
) -> None:
    """The witness is a task at rest, which PanDA has shown."""
    del resting
    request_id = f"DEMO2025-{1985 if table == 'jedi_tasks' else 1986}"
    site.approved(request_id, seed_count=1)
    acquire_run(site.context(), request_id)
    site.sandbox.play({"match": {"task": rf"^{request_id}\."}, "lose_reply": {"times": 1}})
    quick = {"answer_max_s": 0.2, "call_timeout_s": 0.1, "doubt_max_s": 0.1}
    ctx = site.context(**quick)
    with pytest.raises(PandaUnavailable, match="no answer to the submission"):
        ensure_submitted(ctx, request_id, "SIM")
    # a doubt as short as this one may end before JEDI has refined the task; that is not what is tried here
    patiently(lambda: site.panda_client().find_tasks(f"{request_id}.SIM") or None, "JEDI")
    site.sandbox.play({"unreadable": {"table": table}})
    patiently(lambda: _refused(ctx, request_id, "cannot read|Failed to retrieve") or None, "a doubt")
    assert _refused(ctx, request_id, "cannot read|Failed to retrieve")
    site.sandbox.play()
    made = patiently(lambda: _submitted(ctx, request_id), "the task")
    assert [one.jedi_task_id for one in site.panda_client().find_tasks(f"{request_id}.SIM")] == [made]
    with transaction(site.sessions) as session:
        task = newest_task(session, request_id, "SIM")
        assert task is not None
        assert task.sent_count == 1


def _refused(ctx: Context, request_id: str, words: str) -> bool:
    with pytest.raises(PandaUnavailable) as caught:
        ensure_submitted(ctx, request_id, "SIM")
    return re.search(words, str(caught.value)) is not None


def _submitted(ctx: Context, request_id: str) -> int | None:
    try:
        return ensure_submitted(ctx, request_id, "SIM")[0]
    except PandaUnavailable:
        return None


class HealingCourse(Course):
    """A request whose PanDA answers badly until so many answers were damaged; then it heals."""

    dice: random.Random
    left = ANSWERS

    def _do(self, name: str, act: Any) -> Any:
        def attempt() -> Any:
            ctx, wire = hands(self.site, self._choose)
            try:
                return act(ctx)
            except ServiceUnavailable:
                return None
            finally:
                TRIED.update(wire.tried)

        return patiently(attempt, f"{name} of {self.request_id}")

    def _choose(self, _: str) -> Damage:
        damage = random_damage(self.dice, SHARE) if self.left > 0 else WHOLE
        self.left -= damage is not WHOLE
        return damage


@pytest.mark.timeout(600)
def test_when_the_server_heals_the_request_goes_on_to_its_certificate(site: Site) -> None:
    made = prepare(site, "healing", Order(984, "none", accept_percent=100, rounds=2))
    course = HealingCourse(made.site, made.request_id)
    course.dice = random.Random(9)
    assert course.run().state is RequestState.COMPLETE
    assert course.asked == []
    for kind in ("SIM", "RECO"):
        with transaction(site.sessions) as session:
            tasks = list_step_tasks(session, made.step(kind).step_id)
            assert [(one.attempt, one.sent_count) for one in tasks] == [(1, 1)]
            assert get_request(session, made.request_id).reason == ""
    print(f"\nhealed after {ANSWERS} damaged answers")
