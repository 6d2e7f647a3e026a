"""The poll loop for all that waits, in a real event loop; what it asks is a function of the test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from prodsys.panda.feed import Cycle, Feed

POLL_S = 0.05


@dataclass
class Service:
    """What is asked: it may fail, or be slow."""

    asked: list[frozenset[int]] = field(default_factory=list)
    failing: bool = False
    slow_s: float = 0.0
    at_once: int = 0
    most_at_once: int = 0
    threads: set[str] = field(default_factory=set)

    def ask(self, keys: Collection[int]) -> Mapping[int, str]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.threads.add(threading.current_thread().name)
        self.asked.append(frozenset(keys))
        try:
            time.sleep(self.slow_s)
            if self.failing:
                raise RuntimeError("the service is down")
            return dict.fromkeys(keys, "running")
        finally:
            self.at_once -= 1


@pytest.fixture
def service() -> Service:
    return Service()


async def _take(feed: Feed[int, str], number: int) -> list[Cycle[int, str]]:
    taken: list[Cycle[int, str]] = []
    async with aclosing(feed.cycles()) as cycles:
        async for cycle in cycles:
            taken.append(cycle)
            if len(taken) == number:
                break
    return taken


async def test_a_thousand_waits_are_one_question_a_cycle(service: Service):
    feed = Feed("test", service.ask, POLL_S)
    with ExitStack() as waits:
        for key in range(1000):
            waits.enter_context(feed.entered(key))
        cycles = await _take(feed, 4)
    assert [len(asked) for asked in service.asked[:4]] == [1000] * 4
    assert all(len(cycle.seen) == 1000 and not cycle.stale for cycle in cycles)
    assert feed.waiting == frozenset()


async def test_a_newcomer_is_asked_for_at_once(service: Service):
    feed = Feed("test", service.ask, 5.0)
    started = time.monotonic()
    with feed.entered(1):
        async with aclosing(feed.cycles()) as cycles:
            await anext(cycles)
            with feed.entered(2):
                assert (await anext(cycles)).news_of(2) == "running"
    assert time.monotonic() - started < 1.5


async def test_nobody_waits_nothing_is_asked(service: Service):
    feed = Feed("test", service.ask, POLL_S)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_take(feed, 1), POLL_S * 5)
    assert service.asked == []


async def test_two_waits_for_one_key_leave_one_by_one(service: Service):
    feed = Feed("test", service.ask, POLL_S)
    with feed.entered(1):
        with feed.entered(1):
            pass
        assert feed.waiting == {1}


async def test_a_service_that_fails_gives_stale_cycles_and_then_news(service: Service):
    feed = Feed("test", service.ask, POLL_S)
    service.failing = True
    with feed.entered(1):
        async with aclosing(feed.cycles()) as cycles:
            down = [await anext(cycles) for _ in range(3)]
            service.failing = False
            up = await anext(cycles)
    assert {cycle.stale for cycle in down} == {"RuntimeError: the service is down"}
    assert all(cycle.news_of(1) is None for cycle in down)
    assert up.news_of(1) == "running"


async def test_a_slow_service_is_asked_once_at_a_time_and_never_holds_the_loop(service: Service):
    feed = Feed("test", service.ask, POLL_S)
    service.slow_s = POLL_S * 8
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    heart = asyncio.create_task(beat())
    with feed.entered(1):
        cycles = await _take(feed, 10)
    heart.cancel()
    assert service.most_at_once == 1
    assert [bool(cycle.stale) for cycle in cycles].count(False) >= 1
    assert cycles[0].stale.startswith("no answer after")
    assert max(b - a for a, b in pairwise(beats)) < service.slow_s
    assert "MainThread" not in service.threads
