"""The name under which Airflow's processes know this machine."""

from __future__ import annotations

from sandbox.stack.ports import LOOPBACK


def loopback() -> str:
    """Return the loopback address: looking up the machine's own name may take seconds without a name server."""
    return LOOPBACK
