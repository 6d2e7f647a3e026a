"""What a worker node is told to do: the spec of one job, a pure function of its rows and its fate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping

from sandbox.panda.jobs.errors import STAGE_IN_FAILED
from sandbox.panda.jobs.storage import file_path
from sandbox.panda.tasks.refine import scope_of
from sandbox.panda.trouble.strikes import JobFate

_AT_STAGE_IN = (STAGE_IN_FAILED, 1100, 1103, 1145, 1151, 1171, 1331)
Row = Mapping[str, Any] | RowMapping


def build_job_spec(
    job: Row, image: str, files: Sequence[Row], folders: Sequence[Path], fate: JobFate, usual_s: float, beat_s: float
) -> dict[str, Any]:
    """Return the spec of a job.

    Parameters
    ----------
    files : sequence
        Rows of ``job_file``, inputs and outputs.
    folders : sequence
        Folders of the RSEs: the job's own first (outputs go there), then where else inputs may lie.
    usual_s, beat_s : float
        Least wall time of a job without a scenario, and time between two signs of life [s].
    """
    return {
        "panda_id": job["panda_id"],
        "attempt": job["attempt_nr"],
        "site": job["site"],
        "parameters": job["parameters"],
        "image": image,
        "n_events": job["n_events"],
        "least_wall_s": fate.wall_s(usual_s),
        "beat_s": beat_s,
        "inputs": [_input(one, folders) for one in files if one["type"] == "input"],
        "outputs": [_output(one, folders[0]) for one in files if one["type"] in ("output", "log")],
        "missing": fate.missing,
        "freeze": fate.silent == "running",
        "fail": _failure(fate),
    }


def _input(row: Row, folders: Sequence[Path]) -> dict[str, Any]:
    paths = [str(file_path(at, _scope(row), row["lfn"])) for at in folders]
    return {"lfn": row["lfn"], "paths": paths, "size": row["size"], "adler32": row["adler32"]}


def _output(row: Row, folder: Path) -> dict[str, Any]:
    return {"lfn": row["lfn"], "type": row["type"], "path": str(file_path(folder, _scope(row), row["lfn"]))}


def _scope(row: Row) -> str:
    return row["scope"] or scope_of(row["dataset"])[0]


def _failure(fate: JobFate) -> dict[str, Any] | None:
    """How the job shall fail, and when: before its payload, by its payload, or after it."""
    error = fate.error
    if error is None:
        return None
    when = "stage_in" if error.pilotErrorCode in _AT_STAGE_IN else "payload" if error.transExitCode else "end"
    return {
        "pilot": error.pilotErrorCode,
        "exit": error.transExitCode,
        "diag": error.text,
        "fields": error.fields(last="{last}"),
        "when": when,
    }
