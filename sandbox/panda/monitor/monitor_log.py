"""The text of a job's log, from the log file on the storage."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.panda.jobs.storage import file_path
from sandbox.panda.settings import Settings, folder_of, load_sites
from sandbox.panda.tasks.refine import scope_of

LARGEST_SHOWN = 1_000_000
LARGEST_ARCHIVE = 50_000_000


def read_log(settings: Settings, site_name: str, files: Sequence[dict[str, Any]]) -> str:
    """Text of the job's log file on the RSE of its queue, or a sentence that says why there is none."""
    entry = next((one for one in files if one["type"] == "log"), None)
    site = load_sites(settings).get(site_name)
    if entry is None:
        return "The map of this task asks for no log."
    if site is None:
        return f"The queue {site_name} is not known any more, nor is the storage that holds the log."
    path = file_path(folder_of(site), scope_of(entry["dataset"])[0], entry["lfn"])
    try:
        return _unpack(path)
    except FileNotFoundError:
        return "No log lies on the storage: the job has not ended, was lost, or was simulated without a process."
    except (OSError, KeyError, tarfile.TarError, ValueError) as error:
        return f"The log cannot be read: {type(error).__name__}."


def _unpack(path: Path) -> str:
    if path.stat().st_size > LARGEST_ARCHIVE:
        raise ValueError("too large")
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes()), mode="r:gz") as archive:
        member = archive.extractfile("payload.log")
        content = member.read(LARGEST_SHOWN) if member else b""
    return content.decode("utf-8", errors="replace")
