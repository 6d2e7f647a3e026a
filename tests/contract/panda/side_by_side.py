"""Everything that takes a server minutes starts together when the session starts; tests wait for what they need.

A driver is a function of a `Target` that talks to the server for a while and asserts. `side_by_side` makes a test of
it: the driver runs in a thread from the start of the session, the test tells what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from typing import Any

import pytest

from tests.contract.panda.deadline import Deadline, TooSlow
from tests.contract.panda.skips import TOO_SLOW, skip
from tests.contract.panda.targets import Target

Driver = Callable[..., None]
DRIVERS: dict[str, Callable[[Target], None]] = {}
GRACE_S = 60.0
"""A thread may need this after the session's end to see that it is over: as long as one HTTP call [s]."""


def side_by_side(driver: Driver | None = None, *, cases: Iterable[Any] = ()) -> Any:
    """Turn a driver into a test; with `cases` into a test for each, given to the driver as its second argument."""

    def make(function: Driver) -> Any:
        given = list(cases)
        name = f"{function.__module__.rsplit('.', 1)[-1]}::{function.__name__}"
        if not given:
            DRIVERS[name] = function

            def test(running: Running) -> None:
                running.result_of(name)
        else:
            for index, case in enumerate(given):
                DRIVERS[f"{name}[{index}]"] = _with_case(function, case)

            @pytest.mark.parametrize("case", range(len(given)), ids=[_case_id(case) for case in given])
            def test(running: Running, case: int) -> None:  # type: ignore[misc]
                running.result_of(f"{name}[{case}]")

        test.driver = name  # type: ignore[attr-defined]
        test.__name__ = test.__qualname__ = function.__name__
        test.__doc__, test.__module__ = function.__doc__, function.__module__
        return test

    return make(driver) if driver is not None else make


def _with_case(function: Driver, case: Any) -> Callable[[Target], None]:
    return lambda target: function(target, case)


def _case_id(case: Any) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in str(case))[:40] or "empty"


class Running:
    """Drivers in their threads."""

    def __init__(self, target: Target, threads: int, clock: Deadline) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="driver")
        self._target, self._clock = target, clock
        self._futures: dict[str, Future[Any]] = {}

    def start(self, name: str, work: Callable[[], Any]) -> Future[Any]:
        """Start some work, once."""
        if name not in self._futures:
            self._futures[name] = self._pool.submit(work)
        return self._futures[name]

    def start_driver(self, name: str) -> None:
        """Start a driver by its name."""
        self.start(name, lambda: DRIVERS[name](self._target))

    def result_of(self, name: str) -> Any:
        """Wait for some work; what the server did not reach in time is skipped as too slow."""
        if name not in self._futures:
            self.start_driver(name)
        try:
            return self._futures[name].result(timeout=self._clock.left_s + GRACE_S)
        except (TooSlow, StillRunning) as error:
            print(f"{name}: {error}")
            skip(TOO_SLOW)

    def end(self) -> None:
        """Wait for all threads; they see the end of the session by themselves."""
        self._pool.shutdown(wait=True, cancel_futures=True)
