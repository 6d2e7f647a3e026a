"""What the demonstration asks for: one place for its numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from prodsys.model.names import RequestId
from prodsys.model.statuses import RequestState
from prodsys.settings import REPOSITORY
from prodsys.whole_files import write_whole

SHEET = REPOSITORY / "include" / "demo" / "requests_sheet.csv"
PREFIX = "DEMO"
SEEDS, EVENTS, CHAIN = 3, 20, "SIM-RECO"
ACTOR = "manager"
HEALED, SPOILT = 2, 4  # places (from 0) of the clones whose one job fails once, and whose one seed fails for ever


@dataclass(frozen=True)
class Ending:
    """How a clone is to end."""

    request_id: str
    state: RequestState
    missing: int


def clone_id(source_id: str) -> str:
    """``PROD2025-016`` -> ``DEMO2025-016``."""
    source = RequestId.parse(source_id)
    return str(RequestId(PREFIX, source.year, source.number))


def endings(clones: list[str]) -> list[Ending]:
    """How each clone is to end, in their order."""
    return [
        Ending(one, RequestState.ACCEPTED, 1) if place == SPOILT else Ending(one, RequestState.COMPLETE, 0)
        for place, one in enumerate(clones)
    ]


def write_scenario(path: Path, seeds: dict[str, list[int]]) -> None:
    """What goes wrong on purpose: one job fails once and PanDA heals it, one seed fails for ever."""
    clones = list(seeds)
    healed, spoilt = clones[HEALED], clones[SPOILT]
    rules = [
        {
            "name": "one job fails once",
            "match": {"task": rf"^{healed}\.SIM", "seed": seeds[healed][0]},
            "fail": {"times": 1, "error": {"pilotErrorCode": 1361, "transExitCode": 1, "diag": "node lost its disk"}},
        },
        {
            "name": "one seed fails for ever",
            "match": {"task": rf"^{spoilt}\.SIM", "seed": seeds[spoilt][1]},
            "fail": {
                "times": "always",
                "error": {"pilotErrorCode": 1305, "transExitCode": 139, "diag": "segmentation violation in simu.C"},
            },
        },
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"description": "the demonstration", "rules": rules}, indent=1) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text, mode=0o644)
