"""The folder of one job on its worker node: order, signs of life and report, all on disk so that they outlive JEDI."""

from __future__ import annotations

import json
import os
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

SPEC, PID, BEAT, REPORT = "spec.json", "pid.json", "beat", "report.json"
_CLOCK_SLACK_S = 2.0


class JobFolder:
    """What JEDI and the job's process tell each other."""

    def __init__(self, jobs: Path, panda_id: int) -> None:
        self.path = jobs / str(panda_id)

    def write_spec(self, spec: dict[str, Any]) -> None:
        """Begin anew with this order."""
        self.remove()
        self.path.mkdir(parents=True)
        part = self.path / f".{SPEC}"
        part.write_text(json.dumps(spec), encoding="utf-8")
        part.rename(self.path / SPEC)

    @property
    def ordered(self) -> bool:
        """Whether there is an order that a process may take up."""
        return (self.path / SPEC).exists()

    @property
    def pid(self) -> int | None:
        """Process that has taken up the order, or None."""
        try:
            return int(json.loads((self.path / PID).read_text(encoding="ascii"))["pid"])
        except (OSError, ValueError, KeyError):
            return None

    @property
    def begun(self) -> datetime | None:
        """When a process took up the order, or None; UTC without a zone."""
        return self._changed(PID)

    @property
    def last_beat(self) -> datetime | None:
        """Last sign of life of the process, or None; UTC without a zone."""
        return self._changed(BEAT)

    def _changed(self, name: str) -> datetime | None:
        try:
            moment = (self.path / name).stat().st_mtime
        except OSError:
            return None
        return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)

    def read_report(self) -> dict[str, Any] | None:
        """Report of the ended job, or None."""
        path = self.path / REPORT
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def kill(self) -> bool:
        """End the job's whole process group at once; whether it was there."""
        pid, begun = self.pid, self.begun
        if pid is None or begun is None or not _is_job(pid, begun):
            return False
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def remove(self) -> None:
        """Forget the job."""
        shutil.rmtree(self.path, ignore_errors=True)


def _is_job(pid: int, begun: datetime) -> bool:
    """Whether this process is alive and leads the group that began the job (numbers are used again)."""
    try:
        process = psutil.Process(pid)
        started = datetime.fromtimestamp(process.create_time(), UTC).replace(tzinfo=None)
        same = (started - begun).total_seconds() < _CLOCK_SLACK_S
        return process.status() != psutil.STATUS_ZOMBIE and os.getpgid(pid) == pid and same
    except (psutil.Error, ProcessLookupError):
        return False
