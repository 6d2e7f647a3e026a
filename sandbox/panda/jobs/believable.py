"""What a simulated job would have cost and written, from the experiment's own history. Pure: same job, same figures.

Source: the experiment's list of successful tasks, May 2025 (``panda_tasks.csv``; rows 356-364 are copied below). Its
column of wall times names no unit. It is read as seconds a job for SIM: 22 496 for 1 250 jobs and 23 316 for 10 000 of
the same kind, so it is no sum over jobs, and 6 s an event. For RECO it is read as minutes a job: 20 hours a job would
need 4 000 cores for two days, seconds would be quicker than a file can be read. The volume of S and P is given in one
sum; P, the parameters, is taken as small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any, Literal

Step = Literal["SIM", "RECO"]
EVENTS_A_JOB = 4000
_HISTORY = (
    # step, wall time [s], jobs, output [GB], log [GB]; PROD2025-011 to 014
    ("SIM", 24612, 10000, 18358.86, 1.96),
    ("RECO", 20 * 60, 9992, 18536.20, 5.06),
    ("SIM", 24899, 10000, 18357.95, 1.93),
    ("RECO", 24 * 60, 9993, 18546.74, 5.08),
    ("SIM", 23316, 10000, 18360.80, 1.89),
    ("RECO", 10 * 60, 1250, 2319.57, 0.63),
    ("SIM", 22496, 1250, 2295.55, 0.24),
)
_PARAMETERS_BYTES = 36_000
_SPREAD = {"wall": 0.12, "size": 0.003, "log": 0.05, "rss": 0.04}
_FURTHEST = 2.5
"""Standard deviations at which draws are cut: a size stays within 0.75 % of its mean."""
_CPU_SHARE = 0.95
_RSS_KB = 1_700_000
_NORMAL = NormalDist()


@dataclass(frozen=True)
class StepFigures:
    """Means over the history of one step; times and sizes of an event are those of a job of 4000 events, divided."""

    wall_s_an_event: float
    bytes_an_event: float
    log_bytes: float


def _figures(step: Step) -> StepFigures:
    rows = [row for row in _HISTORY if row[0] == step]
    jobs = sum(row[2] for row in rows)
    return StepFigures(
        wall_s_an_event=fmean(row[1] for row in rows) / EVENTS_A_JOB,
        bytes_an_event=sum(row[3] for row in rows) * 1e9 / jobs / EVENTS_A_JOB,
        log_bytes=sum(row[4] for row in rows) * 1e9 / jobs,
    )


FIGURES: Mapping[Step, StepFigures] = {"SIM": _figures("SIM"), "RECO": _figures("RECO")}


@dataclass(frozen=True)
class SimulatedJob:
    """What is known of a job that has ended, or will have.

    `attempt_key` names task, slot and attempt: all draws follow from it. `files` are (file name, dataset, type) of its
    outputs and logs, `input_bytes` the size of its first input (0 without one), `wall_s` its wall
    time here, where time runs `speed` times as fast.
    """

    attempt_key: str
    step: Step
    events: int
    missing: int
    input_bytes: int
    wall_s: float
    speed: float
    files: Sequence[tuple[str, str, str]]


def usual_wall_s(step: Step, events: int, attempt_key: str) -> float:
    """Wall time of a job at the experiment's sites [s]."""
    return FIGURES[step].wall_s_an_event * events * (1 + _draw("wall", attempt_key))


def _draw(what: str, key: str) -> float:
    """Deviation from a mean, as a part of it: always the same for the same key."""
    digest = hashlib.blake2b(f"{what}|{key}".encode(), digest_size=8).digest()
    lot = (int.from_bytes(digest, "big") + 0.5) / 2**64
    return _SPREAD[what] * max(min(_NORMAL.inv_cdf(lot), _FURTHEST), -_FURTHEST)


def output_bytes(job: SimulatedJob, lfn: str, dataset: str) -> int:
    """Size of a data file: by its events, or where an input is known by the input's size."""
    if dataset.rsplit(".", 1)[-1] == "P":
        return round(_PARAMETERS_BYTES * (1 + _draw("size", lfn)))
    mean = FIGURES[job.step].bytes_an_event * job.events
    if job.input_bytes:
        mean = job.input_bytes * FIGURES["RECO"].bytes_an_event / FIGURES["SIM"].bytes_an_event
    whole = (job.events - job.missing) / job.events if job.events else 0.0
    return round(mean * whole * (1 + _draw("size", lfn) / 2))


def log_bytes(step: Step, lfn: str) -> int:
    """Size of a log file."""
    return round(FIGURES[step].log_bytes * (1 + _draw("log", lfn)))


def build_report(job: SimulatedJob, failed: bool) -> dict[str, Any]:
    """Return what a pilot would report at the end; of a failed job only the log was written."""
    files: dict[str, dict[str, Any]] = {}
    events = 0 if failed else job.events - job.missing
    for lfn, dataset, kind in job.files:
        if kind == "log":
            files[lfn] = {"size": log_bytes(job.step, lfn), **_marks(lfn)}
        elif not failed:
            files[lfn] = {"size": output_bytes(job, lfn, dataset), **_marks(lfn), "events": events}
    return {
        "files": files,
        "n_events": events,
        "cpu_s": round(job.wall_s * job.speed * _CPU_SHARE, 3),  # plans learn from it
        "wall_s": round(job.wall_s, 3),
        "max_rss_kb": round(_RSS_KB * (1 + _draw("rss", job.attempt_key))),
    }


def _marks(lfn: str) -> dict[str, str]:
    """Checksum and GUID of a file without content, by its name."""
    digest = hashlib.blake2b(lfn.encode(), digest_size=20).hexdigest()
    guid = f"{digest[8:16]}-{digest[16:20]}-4{digest[21:24]}-a{digest[25:28]}-{digest[28:40]}"
    return {"adler32": digest[:8], "guid": guid}
