"""What the triggers have in common: the shared stream, the fallback, the deadline, letting go."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Hashable, Mapping
from contextlib import ExitStack, aclosing
from typing import Any, ClassVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from prodsys.panda.feed import Cycle, Feed
from prodsys.triggers.feeds import Ask, Asking, shared_feed

DEADLINE = "deadline"  # status of an event that only says: this took too long
WHO = "triggerer"


class WaitingTrigger(BaseEventTrigger):
    """Waits for keys of one feed and fires once; never cancels anything.

    A subclass says which keys it waits for, how to ask, and which news ends the wait.
    """

    classpath: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]  # names of the keyword arguments, which are the attributes too
    shared: ClassVar[tuple[str, ...]] = ("conn_id", "poll_s")  # those on which the shared poll loop depends
    request_id: str

    def __init__(self, *, deadline_ts: float, conn_id: str, poll_s: float, resume_min_s: float) -> None:
        super().__init__()
        self.deadline_ts, self.conn_id, self.poll_s, self.resume_min_s = deadline_ts, conn_id, poll_s, resume_min_s

    # --- what a subclass says ---------------------------------------------------------------------------------------
    @classmethod
    @abstractmethod
    def connect(cls, arguments: Mapping[str, Any]) -> Ask:
        """A way to ask for any number of keys; blocks, and looks at the shared arguments only."""

    @abstractmethod
    def keys(self) -> Collection[Hashable]:
        """What this wait is for."""

    @abstractmethod
    def judge(self, cycle: Cycle[Any, Any]) -> dict[str, Any] | None:
        """Payload of the event that ends the wait, None to go on."""

    @abstractmethod
    def late(self) -> dict[str, Any]:
        """Payload of the event after the deadline."""

    # --- Airflow ----------------------------------------------------------------------------------------------------
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class and keyword arguments."""
        return self.classpath, {name: getattr(self, name) for name in self.arguments}

    def shared_stream_key(self) -> tuple[str, ...]:
        """Waits on the same connection in the same rhythm share one poll loop."""
        return self._key(self.serialize()[1])

    @classmethod
    def _key(cls, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        return (cls.classpath, *(str(arguments[name]) for name in cls.shared))

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        """The cycles of the shared feed; never ends, never raises."""
        async with aclosing(cls._feed_of(kwargs).cycles()) as cycles:
            async for cycle in cycles:
                yield cycle

    def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """The one event of this wait, from the shared feed."""
        return self._wait(self._feed_of(self.serialize()[1]), shared_stream)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The one event of this wait, from a poll loop of its own."""
        feed = self._make_feed(self.serialize()[1])
        async with aclosing(feed.cycles()) as cycles:
            async for event in self._wait(feed, cycles):
                yield event

    async def on_kill(self) -> None:
        """Note that the wait was let go: Airflow calls this on healthy waits too, so nothing is aborted."""
        try:
            await asyncio.to_thread(self._note_letting_go)
        except Exception as error:  # noqa: BLE001 - a line that is missing harms nothing; the reconciler looks by itself
            self.log.warning("the ledger has no line that the wait for %s was let go: %s", self.request_id, error)

    def _note_letting_go(self) -> None:
        from prodsys.actions.core.notes import note_letting_go
        from prodsys.hooks.context import build_context

        airflow_task = self.task_instance
        where = {
            "dag_run_id": getattr(airflow_task, "run_id", None),
            "task_id": getattr(airflow_task, "task_id", None),
            "try_number": getattr(airflow_task, "try_number", None),
        }
        what = ", ".join(str(key) for key in self.keys())
        note_letting_go(build_context(who=WHO), self.request_id, what, **where)

    # --- inside -----------------------------------------------------------------------------------------------------
    @classmethod
    def _feed_of(cls, arguments: Mapping[str, Any]) -> Feed[Any, Any]:
        return shared_feed(cls._key(arguments), lambda: cls._make_feed(arguments))

    @classmethod
    def _make_feed(cls, arguments: Mapping[str, Any]) -> Feed[Any, Any]:
        kept = dict(arguments)
        asking = Asking(lambda: cls.connect(kept))
        return Feed(f"{cls.__name__} on {kept['conn_id']}", asking, float(kept["poll_s"]))

    async def _wait(self, feed: Feed[Any, Any], cycles: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        entered = time.monotonic()
        with ExitStack() as registered:
            for key in self.keys():
                registered.enter_context(feed.entered(key))
            payload = None
            while payload is None:
                cycle = await self._next(cycles)
                payload = self.judge(cycle) if cycle is not None else None
                if payload is None and time.time() >= self.deadline_ts:
                    payload = self.late()
        # An event that comes before the scheduler has heard that the worker let go makes it burn a try: it takes the
        # worker's end for that of the resumed airflow task ("state mismatch", seen on 3.3.2 under load).
        await asyncio.sleep(max(0.0, self.resume_min_s - (time.monotonic() - entered)))
        yield TriggerEvent(payload)

    async def _next(self, cycles: AsyncIterator[Any]) -> Cycle[Any, Any] | None:
        """The next cycle, None when the deadline comes first, whatever the feed does."""
        coming = asyncio.ensure_future(anext(cycles))
        try:
            await asyncio.wait({coming}, timeout=max(0.0, self.deadline_ts - time.time()))
            return coming.result() if coming.done() else None
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.wait({coming})
