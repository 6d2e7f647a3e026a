"""The REST server for gunicorn; the catalogue is made or brought up to date before the first request is served.

``SANDBOX_RUCIO_LAYOUT`` names the layout file (see `sandbox.rucio.server.layout`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rucio.core import replica_sorter

from sandbox.rucio.server.bootstrap import ensure_catalogue

ensure_catalogue(Path(os.environ["SANDBOX_RUCIO_LAYOUT"]))

from rucio.web.rest.flaskapi.v1.main import application  # noqa: E402 - reads the database while it is imported

__all__ = ["application"]


def _keep_order(replicas: dict[str, Any], *_: Any, **__: Any) -> list[str]:
    """Order of replicas without geography: Rucio would try to download a map of addresses for every single file."""
    return list(replicas)


replica_sorter.sort_geoip = _keep_order
