"""Free TCP ports of the sandbox, chosen at start and kept in ``run/ports.json``: addresses stay while they can."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_ports(names: Iterable[str], path: Path) -> dict[str, int]:
    """Port of each name: the one of last time if it is free, else a new one; the choice is written to ``path``."""
    known = read_ports(path)
    chosen: dict[str, int] = {}
    for name in names:
        port = known.get(name, 0)
        while port in chosen.values() or not port or not is_free(port):
            port = free_port()
        chosen[name] = port
    path.write_text(json.dumps(chosen, indent=1), encoding="utf-8")
    return chosen


def read_ports(path: Path) -> dict[str, int]:
    """Ports chosen by the last start; empty before the first one."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): int(port) for name, port in stored.items()}
