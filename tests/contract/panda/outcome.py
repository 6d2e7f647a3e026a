"""What became of a task, in the same form from a recording, the sandbox or a live server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

FINAL = {"done", "finished", "failed", "broken", "aborted", "exhausted"}


@dataclass
class Outcome:
    """Replies about one task after the scenario has ended."""

    task_id: int
    statuses: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    job_ids: list[int] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    datasets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """All jobs by number."""
        return sorted(self.jobs, key=lambda job: job["PandaID"])

    def files(self, ending: str) -> dict[str, str]:
        """Status of each file of the dataset whose name ends so, by file name."""
        for one in self.datasets:
            if one["dataset"]["name"].endswith(ending):
                return {file["lfn"]: file["status"] for file in one["files"]}
        return {}


def option(job: dict[str, Any], name: str) -> str:
    """Value of an option in a job's parameters."""
    match = re.search(rf"--{name}=(\S+)", job["jobParameters"])
    assert match, f"job {job['PandaID']} has no --{name} in {job['jobParameters']!r}"
    return match.group(1)


def serial(job: dict[str, Any], name: str) -> int:
    """Serial number in the file name an option gives."""
    return int(option(job, name).rsplit(".", 2)[-2])


_NULL = type(None)


def shape_differences(recorded: Any, got: Any, where: str = "") -> list[str]:
    """How two replies differ in keys and types; null goes with everything, lists are compared by their first rows."""
    if isinstance(recorded, dict) and isinstance(got, dict):
        if "__datetime__" in recorded or "__datetime__" in got:
            return [] if set(recorded) == set(got) else [f"{where}: a date here, {got} there"]
        found = [f"{where}.{key}: missing" for key in recorded if key not in got]
        found += [f"{where}.{key}: not in the recording" for key in got if key not in recorded]
        for key in recorded.keys() & got.keys():
            found += shape_differences(recorded[key], got[key], f"{where}.{key}")
        return found
    if isinstance(recorded, list) and isinstance(got, list):
        return shape_differences(recorded[0], got[0], f"{where}[0]") if recorded and got else []
    kinds = {type(recorded), type(got)}
    if len(kinds) > 1 and _NULL not in kinds and kinds != {int, float}:
        return [f"{where}: {type(recorded).__name__} recorded, {type(got).__name__} got"]
    return []
