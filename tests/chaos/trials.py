"""What is done to the submission of one request: who is killed or frozen, when, and who takes over."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from prodsys.model.names import TaskName
from tests.chaos.nursery import Nursery, Worker
from tests.chaos.points import Point
from tests.chaos.stage import Stage

KIND = "SIM"
LOOK_S = 0.02
SEEN_MAX_S = 30.0
POINT_MAX_S = 60.0  # within which a process comes to its point, or to its end
WHOLE_LIFE_S = 1.5  # about what an undisturbed worker needs from its start to a refined task


@dataclass
class Trouble:
    """One request, and hands to make trouble with; kills and freezes are counted."""

    stage: Stage
    nursery: Nursery
    request_id: str
    random: Random
    broken: str = ""
    kills: int = 0
    freezes: int = 0
    workers: list[Worker] = field(default_factory=list)
    reached: dict[Point, bool] = field(default_factory=dict)  # points that were asked for; whether a process came there

    def worker(self, point: Point | None = None) -> Worker:
        """One more process that submits; it stops at the point."""
        self.workers.append(self.nursery.spawn(self.stage.place(), self.request_id, KIND, point, self.broken))
        return self.workers[-1]

    def stopped_worker(self, point: Point) -> Worker:
        """A process that stands at a point (or has ended before: another was quicker)."""
        worker = self.worker(point)
        try:
            stopped = worker.wait_for("stopped", timeout_s=POINT_MAX_S)["event"] == "stopped"
        except queue.Empty:
            raise TimeoutError(f"no process came to {point.value!r} within {POINT_MAX_S:.0f} s") from None
        self.reached[point] = stopped or self.reached.get(point, False)
        return worker

    def kill(self, worker: Worker) -> None:
        """Kill a process."""
        self.kills += worker.kill() == "killed"

    def wait_for_submission(self, least: int = 1) -> bool:
        """Whether PanDA's server has stored so many submissions of this request before long."""
        return _soon(lambda: len(self.stage.submissions(str(TaskName(self.request_id, KIND)))) >= least)

    def wait_for_refinement(self) -> bool:
        """Whether JEDI has taken the submission up before long."""
        sql = "select 1 from submission where params ->> 'taskName' = %(name)s and state <> 'waiting'"
        return _soon(lambda: bool(self.stage.rows(sql, name=str(TaskName(self.request_id, KIND)))))

    def finish(self) -> str:
        """Let one more process carry it to the end, and all others too; what went wrong, or nothing."""
        self.worker()
        for worker in self.workers:
            end = worker.wait_for_end()
            if end["event"] == "ended" and end["code"] != 0:
                return f"a worker failed: {worker.why.strip().splitlines()[-1]}"
        return ""


@dataclass(frozen=True)
class Trial:
    """A kind of trouble."""

    point: str
    act: Callable[[Trouble], None]
    kills: int = 1  # at least so many
    late: bool = False  # a process that slept may send when its turn is long over


def killed_at(point: Point) -> Callable[[Trouble], None]:
    """The process is killed when it comes to a point, and so is, sometimes, the next one."""

    def act(trouble: Trouble) -> None:
        for _ in range(trouble.random.choice((1, 1, 2))):
            worker = trouble.stopped_worker(point)
            if point is Point.REQUEST_SENT and worker.seen[-1]["event"] == "stopped":
                trouble.wait_for_submission()
            trouble.kill(worker)

    return act


def killed_in_doubt(trouble: Trouble) -> None:
    """The answer is lost with its process, and the one that takes it up is killed too."""
    killed_at(Point.REQUEST_SENT)(trouble)
    trouble.kill(trouble.stopped_worker(Point.DOUBT_COMMITTED))


def killed_during_refinement(trouble: Trouble) -> None:
    """The process is killed while JEDI refines its task."""
    worker = trouble.worker()
    trouble.wait_for_refinement()
    time.sleep(trouble.random.uniform(0, 0.2))
    trouble.kill(worker)


def frozen_at(point: Point) -> Callable[[Trouble], None]:
    """The process sleeps past its time; another one takes over meanwhile."""

    def act(trouble: Trouble) -> None:
        sleeper = trouble.stopped_worker(point)
        trouble.freezes += 1
        trouble.worker()
        times = trouble.stage.times
        time.sleep(trouble.random.uniform(times["answer_max_s"], times["doubt_max_s"] + 1))
        sleeper.signal(signal.SIGCONT)

    return act


def panda_server_killed(trouble: Trouble) -> None:
    """PanDA's server dies before or after it has taken the request."""
    worker = trouble.stopped_worker(trouble.random.choice((Point.BEFORE_CALL, Point.REQUEST_SENT)))
    with trouble.stage.one_at_a_time:
        time.sleep(trouble.random.uniform(0, 0.05))
        trouble.stage.panda.kill("server")
        trouble.kills += 1
        worker.signal(signal.SIGCONT)
        time.sleep(trouble.random.uniform(0, 1))
        trouble.stage.panda.start()


def jedi_killed(trouble: Trouble) -> None:
    """JEDI dies about when it refines the task."""
    trouble.worker()
    trouble.wait_for_submission()
    with trouble.stage.one_at_a_time:
        time.sleep(trouble.random.uniform(0, 0.6))
        trouble.stage.panda.kill("jedi")
        trouble.kills += 1
        trouble.stage.panda.start()


def ledger_killed(trouble: Trouble) -> None:
    """The ledger's PostgreSQL dies, and comes back."""
    points = Point.TURN_COMMITTED, Point.BEFORE_CALL, Point.REQUEST_SENT, Point.REPLY_RECEIVED
    worker = trouble.stopped_worker(trouble.random.choice(points))
    with trouble.stage.one_at_a_time:
        trouble.stage.ledger.kill()
        trouble.kills += 1
        worker.signal(signal.SIGCONT)
        time.sleep(trouble.random.uniform(0, 0.5))
        trouble.stage.ledger.start()


def panda_database_killed(trouble: Trouble) -> None:
    """PanDA's own PostgreSQL dies while the request is on its way, and comes back."""
    worker = trouble.stopped_worker(Point.BEFORE_CALL)
    with trouble.stage.one_at_a_time:
        worker.signal(signal.SIGCONT)
        time.sleep(trouble.random.uniform(0, 0.1))
        trouble.stage.panda_database.kill()
        trouble.kills += 1
        time.sleep(trouble.random.uniform(0, 0.5))
        trouble.stage.panda_database.start()


def jedi_stopped(trouble: Trouble) -> None:
    """JEDI rests for longer than a doubt lasts; the answer was lost, and those who ask are killed too."""
    with _jedi_at_rest(trouble.stage):
        killed_at(Point.REQUEST_SENT)(trouble)
        time.sleep(trouble.stage.times["doubt_max_s"])
        trouble.kill(trouble.stopped_worker(Point.ANSWER_COMMITTED))  # past every doubt it was sent again


@contextmanager
def _jedi_at_rest(stage: Stage) -> Iterator[None]:
    with stage.one_at_a_time:
        stage.switch_jedi("pause")
        try:
            yield
        finally:
            stage.switch_jedi("resume")


def random_kills(trouble: Trouble) -> None:
    """Two processes at once, each killed at a random moment of its life."""
    pair = [trouble.worker(), trouble.worker()]
    for worker in pair:
        time.sleep(trouble.random.uniform(0, WHOLE_LIFE_S / 2))
        trouble.kill(worker)


def two_at_once(trouble: Trouble) -> None:
    """A second and a third process beside the first; all come to their end."""
    for _ in range(3):
        trouble.worker()


def _soon(happened: Callable[[], bool]) -> bool:
    until = time.monotonic() + SEEN_MAX_S
    while not happened():
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_S)
    return True


KILLED_AT = tuple(point for point in Point if point is not Point.DOUBT_COMMITTED)
SLEEPS_AT = (Point.TURN_COMMITTED, Point.BEFORE_CALL, Point.REQUEST_SENT, Point.REPLY_RECEIVED)
RANDOM = Trial("at a random moment", random_kills, kills=2)
NAMED = (
    *(Trial(f"worker: {point}", killed_at(point)) for point in KILLED_AT),
    Trial("worker: in doubt", killed_in_doubt, kills=2),
    Trial("worker: during refinement", killed_during_refinement, kills=0),
    Trial("PanDA server", panda_server_killed),
    Trial("JEDI", jedi_killed),
    Trial("ledger's PostgreSQL", ledger_killed),
    Trial("PanDA's PostgreSQL", panda_database_killed),
    Trial("worker: JEDI stopped", jedi_stopped, kills=2),
    *(Trial(f"frozen: {point}", frozen_at(point), kills=0, late=True) for point in SLEEPS_AT),
    Trial("three at once", two_at_once, kills=0),
)


def choose_trials(kills: int, random: Random) -> list[Trial]:
    """Trials with at least so many kills: the named points, each in its turn, and as many random moments."""
    chosen: list[Trial] = []
    while sum(trial.kills for trial in chosen) < kills:
        chosen += random.sample(NAMED, len(NAMED))
        chosen += [RANDOM] * max(3, min(len(NAMED), kills // 10))
    return chosen
