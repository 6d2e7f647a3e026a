"""Endpoints about the server itself, and the few lists a client may ask. Recordings: ``unknown_ids``, ``listing``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from sandbox.panda import tables as t
from sandbox.panda.api.calls import Call, endpoint
from sandbox.panda.api.envelope import Reply

_ACTIVE = ("activated", "running", "assigned")


@endpoint("system/is_alive", "GET", secure=False)
def is_alive(call: Call) -> Reply:  # noqa: ARG001 - every endpoint gets the call
    """The server answers."""
    return Reply()


@endpoint("system/get_user_attributes", "GET")
def get_user_attributes(call: Call) -> Reply:
    """Who the server takes the caller for."""
    user = call.user
    data = {
        "user_dn_raw": user.dn,
        "user_dn_clean": user.name,
        "fqans": user.fqans,
        "is_production_user": user.production,
        "production_working_groups": [],
        "primary_working_group": None,
    }
    said = (
        f"User DN (raw): {user.dn}\nUser DN (bare): {user.dn}\nUser DN (clean): {user.name}\nEmail address: None\n"
        f"FQANs: {user.fqans}\nProduction user: {user.production}\nProduction working groups: []\n"
        "Primary production working group: None\n"
    )
    return Reply(True, said, data)


@endpoint("system/get_attributes", "GET")
def get_attributes(call: Call) -> Reply:
    """What the server sees of the caller; not recorded: only as much as panda-client reads."""
    return Reply(data={"environment": {"REQUEST_METHOD": "GET", "GRST_CRED_0": call.user.dn}})


@endpoint("metaconfig/get_banned_users", "GET")
def get_banned_users(call: Call) -> Reply:  # noqa: ARG001
    """Nobody is banned."""
    return Reply(data={})


@endpoint("metaconfig/get_resource_types", "GET")
def get_resource_types(call: Call) -> Reply:  # noqa: ARG001
    """Kinds of jobs by cores and memory, as recorded."""
    rows: list[tuple[str, int, int | None, int | None, int | None]] = [
        ("Undefined", 1, None, None, None),
        ("SCORE", 1, 1, None, 2000),
        ("MCORE", 2, None, None, 2000),
        ("SCORE_HIMEM", 1, 1, 2001, None),
        ("MCORE_HIMEM", 2, None, 2001, None),
    ]
    keys = ("resource_name", "mincore", "maxcore", "minrampercore", "maxrampercore")
    return Reply(data=[dict(zip(keys, row, strict=True)) for row in rows])


def _jobs_by_site(call: Call) -> dict[str, dict[str, int]]:
    j = t.job.c
    counts: dict[str, dict[str, int]] = {}
    with call.engine.connect() as connection:
        query = select(j.site, j.status, func.count()).group_by(j.site, j.status)
        for site, status, count in connection.execute(query):
            counts.setdefault(site, dict.fromkeys(_ACTIVE, 0))[status] = count
    return counts


@endpoint("statistics/active_job_stats_by_site", "GET", secure=False)
def active_job_stats_by_site(call: Call) -> Reply:
    """Return the numbers of jobs that wait or run, by queue."""
    return Reply(data={site: {name: by[name] for name in _ACTIVE} for site, by in _jobs_by_site(call).items()})


@endpoint("statistics/job_stats_by_site_and_resource_type", "GET", secure=False)
def job_stats_by_site_and_resource_type(call: Call, time_window: int | None = None) -> Reply:  # noqa: ARG001
    """Return the numbers of all jobs by queue."""
    data: dict[str, Any] = {site: {"Undefined": by} for site, by in _jobs_by_site(call).items()}
    return Reply(data=data)
