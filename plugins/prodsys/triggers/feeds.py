"""The feeds of this process: waits with one key share one, and a feed keeps its client while it works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from prodsys.panda.feed import Feed

Ask = Callable[[Collection[Any]], Mapping[Any, Any]]
_FEEDS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Feed[Any, Any]]] = WeakKeyDictionary()


class Asking:
    """Asks over a connection made when first needed, and made anew after a failure: its secret may have changed."""

    def __init__(self, connect: Callable[[], Ask]) -> None:
        self._connect = connect
        self._ask: Ask | None = None

    def __call__(self, keys: Collection[Any]) -> Mapping[Any, Any]:
        """What is known of these keys."""
        try:
            if self._ask is None:
                self._ask = self._connect()
            return self._ask(keys)
        except Exception:
            self._ask = None
            raise


def shared_feed(key: Hashable, make: Callable[[], Feed[Any, Any]]) -> Feed[Any, Any]:
    """The feed of this key in the running loop, made when it is the first."""
    feeds = _FEEDS.setdefault(asyncio.get_running_loop(), {})
    if key not in feeds:
        feeds[key] = make()
    return feeds[key]
