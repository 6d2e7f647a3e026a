"""Where jobs go: the queues a task may use, and which of them each single job gets.

Recorded is one thing only, an unknown queue (``pending``); a list of queues, the queues of a cloud and queues that are
switched off follow PanDA's documentation on brokerage.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select

from sandbox.panda import tables as t
from sandbox.panda.settings import Site
from sandbox.panda.store import UNFINISHED_JOB

QUEUED_JOB = ("pending", "defined", "assigned", "activated", "throttled")
"""Statuses of jobs that no worker node has taken yet."""


class BrokerageFailed(Exception):
    """No queue can take the jobs now; the text is what the task's errorDialog says about it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. brokerage failed for 1 input datasets when trying 1 datasets.")


def find_queues(
    sites: Mapping[str, Site], wanted: str | None, cloud: str | None, blocked: Mapping[str, str] | None = None
) -> list[Site]:
    """Return the queues a task may use, in the order of their names.

    Parameters
    ----------
    sites : mapping
        All queues by name.
    wanted : str or None
        ``site`` of the task's map: a name, or several with commas between them.
    cloud : str or None
        ``cloud`` of the map; it counts only without a wanted queue. A queue without a cloud serves every cloud.
    blocked : mapping or None
        Queues that are switched off by something else than their own status, with the reason.

    Raises
    ------
    BrokerageFailed
        The wanted queues are unknown, or every possible queue is switched off.
    """
    names = [name.strip() for name in (wanted or "").split(",") if name.strip()]
    possible = [sites[name] for name in names if name in sites] if names else _queues_of(sites, cloud)
    if not possible:
        raise BrokerageFailed(f"unknown site={wanted}" if names else f"no queue in cloud={cloud}")
    closed = _closed(possible, blocked or {})
    usable = [site for site in possible if site.name not in closed]
    if not usable:
        raise BrokerageFailed("no candidates: " + ", ".join(f"{name} is {why}" for name, why in closed.items()))
    return sorted(usable, key=lambda site: site.name)


def _queues_of(sites: Mapping[str, Site], cloud: str | None) -> list[Site]:
    return [site for site in sites.values() if not cloud or not site.cloud or site.cloud == cloud]


def _closed(sites: Sequence[Site], blocked: Mapping[str, str]) -> dict[str, str]:
    own = {site.name: site.status for site in sites if site.status != "online"}
    return own | {site.name: blocked[site.name] for site in sites if site.name in blocked}


def spread_jobs(count: int, queues: Sequence[Site], load: Mapping[str, int]) -> list[Site]:
    """Return the queue of each of `count` jobs: always the one with the least work a slot, then by name."""
    if len(queues) == 1:
        return [queues[0]] * count
    given = {site.name: load.get(site.name, 0) for site in queues}
    by_name = {site.name: site for site in queues}
    waiting = [(given[site.name] / site.slots, site.name) for site in queues]
    heapq.heapify(waiting)
    chosen = []
    for _ in range(count):
        name = waiting[0][1]
        given[name] += 1
        heapq.heapreplace(waiting, (given[name] / by_name[name].slots, name))
        chosen.append(by_name[name])
    return chosen


def count_jobs(connection: Connection, statuses: Sequence[str] = UNFINISHED_JOB) -> dict[str, int]:
    """Return the number of jobs in some statuses by queue."""
    j = t.job.c
    query = select(j.site, func.count()).where(j.status.in_(statuses)).group_by(j.site)
    return dict(connection.execute(query).all())


def choose_site(
    connection: Connection,
    wanted: str | None,
    sites: Mapping[str, Site],
    cloud: str | None = None,
    blocked: Mapping[str, str] | None = None,
) -> Site:
    """Return the queue of one job; the arguments are those of `find_queues`."""
    return choose_sites(connection, 1, wanted, sites, cloud, blocked)[0]


def choose_sites(
    connection: Connection,
    count: int,
    wanted: str | None,
    sites: Mapping[str, Site],
    cloud: str | None = None,
    blocked: Mapping[str, str] | None = None,
) -> list[Site]:
    """Return the queue of each of `count` jobs.

    Raises
    ------
    BrokerageFailed
        No queue can take them now.
    """
    queues = find_queues(sites, wanted, cloud, blocked)
    return spread_jobs(count, queues, count_jobs(connection) if len(queues) > 1 else {})
