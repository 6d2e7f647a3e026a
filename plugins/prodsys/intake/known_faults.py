"""Faults that stand: what was said once is not an alarm again every minute."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from prodsys.intake.result import Fault
from prodsys.intake.text_file import write_json


def keep_new(file: Path, faults: Sequence[Fault]) -> list[Fault]:
    """Those of the faults that did not stand at the last call; all of them are remembered in the file."""
    standing = {_digest(fault): fault for fault in faults}
    known = _read(file)
    if known != standing.keys():
        write_json(file, sorted(standing))
    return [fault for digest, fault in standing.items() if digest not in known]


def _digest(fault: Fault) -> str:
    return hashlib.sha256(str(fault).encode("utf-8", "backslashreplace")).hexdigest()


def _read(file: Path) -> set[str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {str(one) for one in found} if isinstance(found, list) else set()
