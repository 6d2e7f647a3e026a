"""Processes that the scheduler forks die with it.

LocalExecutor's workers inherit the scheduler's connection to Airflow's database. When the scheduler is killed and they
live on, PostgreSQL never hears of its end: its transaction stays open, the rows of its runs stay locked, and the next
scheduler skips these runs for ever (seen on 3.3.2 with kill -9).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # Source: Linux, prctl(2)


def children_die_with_us() -> None:
    """Have every process forked from now on killed when its parent ends; only in a scheduler, only on Linux."""
    if sys.argv[1:2] == ["scheduler"] and sys.platform == "linux":
        parent = os.getpid()
        os.register_at_fork(after_in_child=lambda: _die_with(parent))


def _die_with(first: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1 and first != 1:  # the parent ended between fork and here
        os._exit(1)
