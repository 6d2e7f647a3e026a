"""Processes by fork: one program imports everything once, its children are workers that may be stopped and killed.

``python -m tests.chaos.nursery`` reads orders from its standard input and writes events to its standard output, a JSON
object a line. It is the parent of all workers, so that none of their ids can be anybody else's.
"""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from prodsys.panda.wire import warm_up
from prodsys.settings import REPOSITORY
from tests.chaos import sabotage
from tests.chaos.points import Point, freeze_at, watch
from tests.chaos.worker import PATIENCE_S, Place, specs, work

PULSE_S = 0.01
ENDS = frozenset({"killed", "ended"})
EVENT_MAX_S = PATIENCE_S + 30


# --- in the nursery ---------------------------------------------------------------------------------------------------
class _Ward:
    """The children, by their number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._rest = b""

    def serve(self) -> None:
        """Until the orders end; then no child stays."""
        try:
            while self._obey():
                self._look()
        finally:
            for pid in self._numbers:
                os.kill(pid, signal.SIGKILL)

    def _obey(self) -> bool:
        """Carry out what was ordered since the last look; False when no more orders will come."""
        ready, _, _ = select.select([0], [], [], PULSE_S)
        if not ready:
            return True
        came = os.read(0, 1 << 16)
        *lines, self._rest = (self._rest + came).split(b"\n")
        for line in lines:
            self._carry_out(json.loads(line))
        return bool(came)

    def _carry_out(self, order: dict[str, Any]) -> None:
        if order["order"] == "spawn":
            self._spawn(order)
            return
        for pid in [pid for pid, number in self._numbers.items() if number == order["number"]]:
            os.kill(pid, order["signal"])

    def _spawn(self, order: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(_child(order))
        self._numbers[pid] = order["number"]

    def _look(self) -> None:
        """Tell who was stopped and who has ended."""
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            if pid == 0:
                return
            number = self._numbers[pid]
            if os.WIFSTOPPED(status):
                _say(number, "stopped")
                continue
            del self._numbers[pid]
            killed = os.WIFSIGNALED(status)
            _say(
                number, "killed" if killed else "ended", code=os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
            )


def _child(order: dict[str, Any]) -> int:
    number = order["number"]
    try:
        sabotage.apply(order["sabotage"])
        if order["point"]:
            watch(freeze_at(Point(order["point"])))
        ctx = Place(**order["place"]).hands()
        work(ctx, order["request_id"], order["kind"], lambda event, **about: _say(number, event, **about))
    except BaseException:  # noqa: BLE001 - a forked child must never return into the nursery
        _say(number, "failed", why=traceback.format_exc()[-3000:])
        return 1
    return 0


def _say(number: int, event: str, **about: Any) -> None:
    """One line at once: lines of several processes do not mix."""
    os.write(1, (json.dumps({"number": number, "event": event, **about}) + "\n").encode())


# --- outside ----------------------------------------------------------------------------------------------------------
class Worker:
    """One child, seen from outside."""

    def __init__(self, nursery: Nursery, number: int) -> None:
        self._nursery, self._number = nursery, number
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.seen: list[dict[str, Any]] = []

    def put(self, event: dict[str, Any]) -> None:
        """Hear of it."""
        self._events.put(event)

    def wait_for(self, *wanted: str, timeout_s: float = EVENT_MAX_S) -> dict[str, Any]:
        """The first event of these kinds; the end of the process counts always."""
        while True:
            event = self._events.get(timeout=timeout_s)
            self.seen.append(event)
            if event["event"] in {*wanted, *ENDS}:
                return event

    def wait_for_end(self) -> dict[str, Any]:
        """How the process ended."""
        return self.seen[-1] if self.seen and self.seen[-1]["event"] in ENDS else self.wait_for()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal; one that has ended gets none."""
        self._nursery.order(order="signal", number=self._number, signal=int(number))

    def kill(self) -> str:
        """As `kill -9`, and wait until it is gone; ``killed``, or ``ended`` when it was quicker."""
        if not self.seen or self.seen[-1]["event"] not in ENDS:
            self.signal(signal.SIGKILL)
            self.wait_for_end()
        return str(self.seen[-1]["event"])

    @property
    def why(self) -> str:
        """What a worker that failed had to say."""
        return "".join(str(event.get("why", "")) for event in self.seen)


class Nursery:
    """The program above, as a child of this process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._workers: dict[int, Worker] = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="nursery", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _pipe(self._process.stdin).close()
        self._process.wait(timeout=20)
        self._reader.join(timeout=20)

    def spawn(
        self, place: Place, request_id: str, kind: str = "SIM", point: Point | None = None, broken: str = ""
    ) -> Worker:
        """A worker that submits a step and waits for it; it stops at the point, if one is named."""
        with self._lock:
            number = len(self._workers) + 1
            worker = self._workers[number] = Worker(self, number)
        place_text = {**place.__dict__}
        self.order(
            order="spawn",
            number=number,
            place=place_text,
            request_id=request_id,
            kind=kind,
            point=point,
            sabotage=broken,
        )
        return worker

    def order(self, **order: Any) -> None:
        """Tell the program something."""
        with self._lock:
            pipe = _pipe(self._process.stdin)
            pipe.write(json.dumps(order) + "\n")
            pipe.flush()

    def _read(self) -> None:
        for line in _pipe(self._process.stdout):
            event = json.loads(line)
            self._workers[event["number"]].put(event)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None  # both are asked for below
    return pipe


@contextmanager
def open_nursery(log: Path) -> Iterator[Nursery]:
    """Yield a nursery; its workers end with it."""
    path = os.pathsep.join([str(REPOSITORY / "plugins"), str(REPOSITORY)])
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with Nursery(process) as nursery:
        yield nursery


if __name__ == "__main__":
    warm_up()
    specs()
    _Ward().serve()
