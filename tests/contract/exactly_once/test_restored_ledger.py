"""A ledger restored from last night does not know what was sent since; PanDA does."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.ledger.session import make_engine
from prodsys.model.statuses import TaskStatus
from tests.chaos.stage import PATIENT, Stage, drive, fill_ledger
from tests.chaos.worker import follow, persist
from tests.contract.exactly_once.counting import KIND, long_jobs, name_of, one_task, task_of
from tests.contract.exactly_once.test_twins import audit_of, client, findings, intended, until_dead, until_shown


class Book:
    """A ledger of its own that is copied in the evening and comes back as it was."""

    def __init__(self, stage: Stage) -> None:
        self.stage = replace(stage, ledger_url=stage.ledger.create("book"))
        self.ctx = self.stage.hands(PATIENT)
        fill_ledger(self.stage.ledger_url, self.ctx)

    def copy(self) -> None:
        """Last night."""
        self._let_go()
        self.stage.ledger.create("book_of_last_night", template="book")

    def restore(self) -> None:
        """This morning."""
        self._let_go()
        self.stage.ledger.replace("book", "book_of_last_night")

    def _let_go(self) -> None:
        make_engine(self.stage.ledger_url).dispose()


@pytest.fixture(scope="module")
def book(stage: Stage) -> Iterator[Book]:
    """Yield a ledger of its own."""
    made = Book(stage)
    yield made
    made._let_go()


@pytest.fixture(scope="module")
def day(book):
    """What happened since the copy, request by request."""
    stage, ctx = book.stage, book.ctx
    names = ("sent", "seen", "killed", "intended", "second")
    ids = dict(zip(names, (f"DEMO2028-{number:03d}" for number in range(1, 6)), strict=True))
    drive(ctx, ids.values())
    intended(stage, ctx, ids["intended"])
    book.copy()
    with long_jobs(stage.panda):
        return ids, _day_passes(book, ids)


def _day_passes(book, ids):
    stage, ctx = book.stage, book.ctx
    tasks = {name: persist(lambda one=one: ensure_submitted(ctx, one, KIND))[0] for name, one in ids.items()}
    for one in ids.values():
        follow(ctx, one, KIND)
    panda = client(stage)
    panda.kill(tasks["killed"])
    until_dead(panda, tasks["killed"])
    second = {**task_of(ctx, ids["second"]).task_map, "taskName": f"{name_of(ids['second'])}.2"}
    tasks["second attempt"] = panda.submit(second)
    until_shown(panda, tasks["second attempt"])
    book.restore()
    return tasks


def found(book, request_id, *, repair):
    """What is told of a request, but for seeds: the stage's other ledger begins at the same one."""
    told = findings(book.ctx, request_id, repair=repair)
    return [one for one in told if one.cause != "the same script on the same seeds"]


def test_what_was_sent_since_is_found_through_jedis_twin_check(book, day):
    ids, tasks = day
    again = persist(lambda: ensure_submitted(book.ctx, ids["sent"], KIND))[0]
    follow(book.ctx, ids["sent"], KIND)
    one = task_of(book.ctx, ids["sent"])
    assert (one.jedi_task_id, one.twins, one.intent) == (tasks["sent"], [again], "confirmed")
    assert one_task(book.stage, book.ctx, ids["sent"], late=True).twins == 1


def test_what_the_ledger_says_intended_and_panda_runs_is_written_down_without_a_twin(book, day):
    ids, tasks = day
    [told] = found(book, ids["intended"], repair=False)
    assert (told.repaired, told.cause) == (False, "the ledger was restored from a copy")
    assert task_of(book.ctx, ids["intended"]).intent == "intended"
    [mended] = found(book, ids["intended"], repair=True)
    assert mended.repaired
    assert ensure_submitted(book.ctx, ids["intended"], KIND) == (tasks["intended"],)
    follow(book.ctx, ids["intended"], KIND)
    assert len(one_task(book.stage, book.ctx, ids["intended"]).sent) == 1
    assert len(audit_of(book.ctx, ids["intended"], "adopt")) == 1


def test_an_elder_that_was_killed_has_spent_the_name_and_ends_the_attempt(book, day):
    ids, tasks = day
    persist(lambda: ensure_submitted(book.ctx, ids["killed"], KIND))
    assert follow(book.ctx, ids["killed"], KIND) is TaskStatus.ABORTED
    one = task_of(book.ctx, ids["killed"])
    assert (one.jedi_task_id, one.status) == (tasks["killed"], TaskStatus.ABORTED)


def test_an_attempt_the_ledger_does_not_know_is_named(book, day):
    ids, tasks = day
    told = [one for one in found(book, ids["second"], repair=True) if "knows no such attempt" in one.what]
    assert f"task {tasks['second attempt']} ({name_of(ids['second'])}.2)" in told[-1].what
    assert not told[-1].repaired


def test_after_the_repair_the_look_finds_nothing_new(book, day):
    ids, _ = day
    assert [found(book, ids[name], repair=True) for name in ("sent", "intended", "killed")] == [[], [], []]
