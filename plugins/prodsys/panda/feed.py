"""One poll loop for all that waits: who waits is a registry, each cycle asks for all of them in a few calls.

Plain asyncio, no Airflow. The asking itself blocks, so it runs in a thread; while the service is down or slow the
cycles go on and say so. Nothing raised by the asking gets out: in Airflow an exception of the shared stream fails every
wait. Polling leaves no lines in the journal: it is our pulse, not an action.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

LOG = logging.getLogger(__name__)
GATHER_SHARE = 0.05  # of a cycle: waits that begin together are asked for together


@dataclass(frozen=True)
class Cycle(Generic[K, V]):
    """What one cycle brought, for all that wait."""

    seen: Mapping[K, V] = field(default_factory=dict)
    stale: str = ""  # why there is no news

    def news_of(self, key: K) -> V | None:
        """What was seen of one, None when there is no news of it."""
        return self.seen.get(key)


class Feed(Generic[K, V]):
    """Asks for everything that waits, again and again.

    Parameters
    ----------
    name
        For the log.
    ask
        Gives what is known of these keys; it blocks and may raise.
    poll_s
        Between two cycles [s].
    """

    def __init__(self, name: str, ask: Callable[[Collection[K]], Mapping[K, V]], poll_s: float) -> None:
        self._name, self._ask, self._poll_s = name, ask, poll_s
        self._waiting: Counter[K] = Counter()
        self._came = asyncio.Event()
        self._was_stale = False

    @property
    def waiting(self) -> frozenset[K]:
        """All that is waited for now."""
        return frozenset(self._waiting)

    @contextmanager
    def entered(self, key: K) -> Iterator[None]:
        """Wait for one more within this block; it is asked for at once."""
        self._waiting[key] += 1
        self._came.set()
        try:
            yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    async def cycles(self) -> AsyncGenerator[Cycle[K, V], None]:
        """One item a cycle, for ever. It never raises but when it is cancelled."""
        asking: asyncio.Future[Mapping[K, V]] | None = None
        try:
            while True:
                if asking is None and self._waiting:
                    self._came.clear()
                    asking = asyncio.ensure_future(asyncio.to_thread(self._ask, self.waiting))
                if asking is not None:
                    await asyncio.wait({asking}, timeout=self._poll_s)
                    cycle, asking = self._read(asking)
                    yield cycle
                if asking is None:
                    await self._pause()
        finally:
            if asking is not None:
                asking.cancel()  # the thread ends by its own timeout

    def _read(self, asking: asyncio.Future[Mapping[K, V]]) -> tuple[Cycle[K, V], asyncio.Future[Mapping[K, V]] | None]:
        """What the asking brought, and the asking itself while it goes on."""
        if not asking.done():
            return self._note(Cycle(stale=f"no answer after {self._poll_s:g} s")), asking
        try:
            return self._note(Cycle(seen=dict(asking.result()))), None
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on waiting
            return self._note(Cycle(stale=f"{type(error).__name__}: {error}")), None

    def _note(self, cycle: Cycle[K, V]) -> Cycle[K, V]:
        """Say in the log when the news stops and when it comes again."""
        if bool(cycle.stale) != self._was_stale:
            self._was_stale = bool(cycle.stale)
            say = LOG.warning if cycle.stale else LOG.info
            say("%s: %d waiting, %s", self._name, len(self._waiting), cycle.stale or "news again")
        return cycle

    async def _pause(self) -> None:
        """Wait for the next cycle, or a little when somebody new came."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._came.wait(), self._poll_s)
            await asyncio.sleep(self._poll_s * GATHER_SHARE)
