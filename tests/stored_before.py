"""Bodies of plans and certificates as releases before this one stored them: ``tests/data/v1``, made at 20d46f4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "v1"
PLANS, CERTIFICATES = ("plan", "plan_bunches", "plan_reading"), ("certificate", "certificate_partial")


def stored(name: str) -> tuple[dict[str, Any], str]:
    """Body and digest, as they stood in the ledger."""
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found["body"], found["digest"]


def renamed(name: str, request_id: str) -> dict[str, Any]:
    """The body of a plan under another request id."""
    body, _ = stored(name)
    return json.loads(json.dumps(body).replace(body["request_id"], request_id))
