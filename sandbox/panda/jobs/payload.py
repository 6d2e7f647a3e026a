"""One job, as a pilot runs it: read the inputs, write ROOT files and a log to the RSE folder, report.

It runs in a process of its own (forked by `pilot_host`); its last act is the report, written in one rename.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import signal
import tarfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.panda.jobs.errors import BAD_INPUT, PAYLOAD_FAILED, STAGE_IN_FAILED, STAGE_OUT_FAILED
from sandbox.panda.jobs.job_folder import BEAT, PID, REPORT, SPEC


class JobFailed(Exception):
    """The job ends badly, with a pilot's error code and the exit code of the payload."""

    def __init__(self, pilot_error: int, exit_code: int, diag: str, fields: dict[str, Any] | None = None) -> None:
        self.pilot_error, self.exit_code, self.diag, self.fields = pilot_error, exit_code, diag, fields
        super().__init__(diag)

    def told(self) -> dict[str, Any]:
        """What the report says about it."""
        told: dict[str, Any] = {"pilot": self.pilot_error, "exit": self.exit_code, "diag": self.diag}
        return told | ({"fields": self.fields} if self.fields else {})


def number_in(parameters: str, *names: str) -> int | None:
    """Return the whole number given to one of the options (``--seed=40001``), or None."""
    for name in names:
        match = re.search(rf"(?:^|\s)--?{name}[= ]\s*(-?\d+)", parameters)
        if match:
            return int(match.group(1))
    return None


def run_job(folder: Path) -> int:
    """Run the job whose ``spec.json`` lies in `folder`; its exit code. A second process for a job ends at once."""
    started = time.time()
    if not _take_up(folder):
        return 0
    spec = json.loads((folder / SPEC).read_text(encoding="utf-8"))
    threading.Thread(target=_beat, args=(folder / BEAT, spec["beat_s"]), daemon=True).start()
    lines = [f"job {spec['panda_id']} attempt {spec['attempt']} at {spec['site']}, node {os.uname().nodename}"]
    lines += [f"image {spec['image']}", f"command {spec['parameters']}"]
    report: dict[str, Any] = {"panda_id": spec["panda_id"], "node": os.uname().nodename, "files": {}, "n_events": 0}
    exit_code = 0
    try:
        _execute(spec, folder, lines, report)
    except JobFailed as error:
        exit_code = error.exit_code
        report |= {"error": error.told(), "n_events": 0}
        codes = [("pilot error code", error.pilot_error), ("payload exit code", error.exit_code)]
        lines += [f"{name} {code}" for name, code in codes if code]
        lines.append(f"error: {error.diag}")
    lines.append(f"wall time {time.time() - started:.3f} s, exit code {exit_code}")
    _write_log(spec, lines, report)
    if spec["freeze"]:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(max(0.0, spec["least_wall_s"] - (time.time() - started)))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    report |= {"exit": exit_code, "cpu_s": usage.ru_utime + usage.ru_stime, "max_rss_kb": usage.ru_maxrss}
    report |= {"started": started, "ended": time.time(), "wall_s": time.time() - started}
    _write_atomically(folder / REPORT, lambda path: path.write_text(json.dumps(report), encoding="utf-8"))
    return exit_code


def _take_up(folder: Path) -> bool:
    """Whether this process is the first that takes up the order; the file is there at once with its content."""
    part = folder / f".{PID}.{os.getpid()}"
    try:
        part.write_text(json.dumps({"pid": os.getpid()}), encoding="ascii")
        os.link(part, folder / PID)
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    return True


def _beat(path: Path, period_s: float) -> None:
    """Show a sign of life again and again; a frozen process shows none, a cleared folder ends it."""
    while path.parent.exists():
        path.touch()
        time.sleep(period_s)


def _execute(spec: dict[str, Any], folder: Path, lines: list[str], report: dict[str, Any]) -> None:
    _fail_at("stage_in", spec)
    inputs = [_stage_in(one) for one in spec["inputs"]]
    lines += [f"input {path}" for path in inputs]
    _fail_at("payload", spec)
    try:
        columns = _reconstruct(inputs) if inputs else _simulate(spec)
    except Exception as error:
        raise JobFailed(PAYLOAD_FAILED, 1, f"{type(error).__name__}: {error}"[:500]) from error
    if spec["missing"]:
        columns = {name: values[: max(len(values) - spec["missing"], 0)] for name, values in columns.items()}
    events = len(columns["event"])
    lines.append(f"{events} events")
    _fail_at("end", spec)
    for number, output in enumerate(spec["outputs"]):
        if output["type"] == "log":
            continue
        local = folder / f"output-{number}.root"
        _write_root(local, columns)
        report["files"][output["lfn"]] = _stage_out(local, Path(output["path"])) | {"events": events}
        lines.append(f"output {output['path']}")
    report["n_events"] = events


def _fail_at(point: str, spec: dict[str, Any]) -> None:
    failure = spec["fail"]
    if failure and failure["when"] == point:
        raise JobFailed(failure["pilot"], failure["exit"], failure["diag"], failure["fields"])


def _stage_in(one: dict[str, Any]) -> Path:
    """Path of an input that is what the catalogue says."""
    path = _find_input(one)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JobFailed(STAGE_IN_FAILED, 0, f"Failed to stage-in file: {one['lfn']}: {error.strerror}") from error
    if one["adler32"] and f"{zlib.adler32(content):08x}" != one["adler32"].rjust(8, "0"):
        said = f"adler32 mismatch on input file {one['lfn']}: {zlib.adler32(content):08x}, registered {one['adler32']}"
        raise JobFailed(BAD_INPUT, 0, said)
    return path


def _find_input(one: dict[str, Any]) -> Path:
    for candidate in one["paths"]:
        if Path(candidate).exists():
            return Path(candidate)
    raise JobFailed(STAGE_IN_FAILED, 0, f"Failed to stage-in file: {one['lfn']} is at none of {len(one['paths'])} RSEs")


def _simulate(spec: dict[str, Any]) -> dict[str, Any]:
    import numpy

    parameters = spec["parameters"]
    seed = number_in(parameters, "seed") or 0
    first = number_in(parameters, "first")
    count = number_in(parameters, "n", "nevents", "events")
    count = spec["n_events"] if count is None else count
    start = 1 if first is None else first
    energy = numpy.random.default_rng(abs(seed)).exponential(5.0, max(count, 0))
    events = numpy.arange(start, start + max(count, 0), dtype=numpy.int64)
    return {"event": events, "seed": numpy.full(len(events), seed, dtype=numpy.int64), "energy": energy}


def _reconstruct(inputs: list[Path]) -> dict[str, Any]:
    """Events of the first input as they are, with the seed of the second beside them (equal in a good pair)."""
    import numpy
    import uproot

    with uproot.open(inputs[0]) as opened:
        tree = opened["events"].arrays(["event", "seed", "energy"], library="np")
    columns = {name: numpy.asarray(tree[name]) for name in ("event", "seed", "energy")}
    if len(inputs) > 1:
        with uproot.open(inputs[1]) as opened:
            seeds = opened["events"]["seed"].array(library="np")
        other = int(seeds[0]) if len(seeds) else 0
        columns["parameter_seed"] = numpy.full(len(columns["event"]), other, dtype=numpy.int64)
    return columns


def _write_root(path: Path, columns: dict[str, Any]) -> None:
    import uproot

    with uproot.recreate(path) as file:
        tree = file.mktree("events", {name: values.dtype for name, values in columns.items()})
        tree.extend(columns)


def _stage_out(local: Path, target: Path) -> dict[str, Any]:
    """Move a file to the storage; its size, checksum and GUID."""
    content = local.read_bytes()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(target, lambda path: shutil.move(local, path))
    except OSError as error:
        raise JobFailed(STAGE_OUT_FAILED, 0, f"Failed to stage-out file: {error}") from error
    return {"size": len(content), "adler32": f"{zlib.adler32(content):08x}", "guid": str(uuid.uuid4())}


def _write_atomically(target: Path, write: Callable[[Path], object]) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    write(part)
    part.rename(target)


def _write_log(spec: dict[str, Any], lines: list[str], report: dict[str, Any]) -> None:
    for output in spec["outputs"]:
        if output["type"] != "log":
            continue
        text = ("\n".join(lines) + "\n").encode()
        target = Path(output["path"])
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(target, lambda path, text=text: path.write_bytes(_packed(text)))  # type: ignore[misc]
        except OSError as error:
            report.setdefault("error", {"pilot": STAGE_OUT_FAILED, "exit": 0, "diag": f"Failed to stage-out: {error}"})
            return
        content = target.read_bytes()
        report["files"][output["lfn"]] = {
            "size": len(content),
            "adler32": f"{zlib.adler32(content):08x}",
            "guid": str(uuid.uuid4()),
        }


def _packed(text: bytes) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        entry = tarfile.TarInfo("payload.log")
        entry.size, entry.mtime = len(text), int(time.time())
        archive.addfile(entry, io.BytesIO(text))
    return memory.getvalue()
