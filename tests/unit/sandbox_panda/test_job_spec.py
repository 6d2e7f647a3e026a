"""What a worker node is told, and what its folder tells JEDI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.panda.jobs.job_folder import JobFolder
from sandbox.panda.jobs.job_spec import build_job_spec
from sandbox.panda.jobs.payload import JobFailed, _stage_in, run_job
from sandbox.panda.trouble.deeds import error_named
from sandbox.panda.trouble.file_deeds import spoil
from sandbox.panda.trouble.strikes import NO_FATE, JobFate

JOB = {"panda_id": 5, "attempt_nr": 1, "site": "A", "parameters": "simu.C --seed=3 --first=1 --n=10", "n_events": 10}


def _file(kind: str, lfn: str) -> dict[str, Any]:
    return {"type": kind, "lfn": lfn, "scope": None, "dataset": f"s.{lfn}", "size": 3, "adler32": "024d0127"}


FILES = [_file("input", "in.root"), _file("pseudo_input", "1"), _file("output", "out.root"), _file("log", "log.tgz")]


def spec(fate: JobFate = NO_FATE, files: list[dict[str, Any]] = FILES, folder: Path = Path("/rse")) -> dict[str, Any]:
    return build_job_spec(JOB, "image.sif", files, [folder, Path("/other")], fate, 0.0, 0.1)


def test_inputs_are_looked_for_everywhere_outputs_go_to_the_own_storage() -> None:
    got = spec()
    assert [Path(path).parts[1] for path in got["inputs"][0]["paths"]] == ["rse", "other"]
    assert [one["type"] for one in got["outputs"]] == ["output", "log"]
    assert all(one["path"].startswith("/rse/s/") for one in got["outputs"])
    assert (got["fail"], got["missing"], got["freeze"]) == (None, 0, False)


@pytest.mark.parametrize(
    ("word", "when"),
    [
        ("stage_in_failed", "stage_in"),
        ("payload_failed", "payload"),
        ("stage_out_failed", "end"),
        ("adder_failed", "end"),
    ],
)
def test_a_failure_comes_where_it_belongs(word: str, when: str) -> None:
    assert spec(JobFate(error=error_named(word)))["fail"]["when"] == when


@pytest.mark.parametrize(("word", "exit_code"), [("segmentation_fault", 139), ("stage_out_failed", 0)])
def test_a_failing_job_tells_its_error_in_report_log_and_exit_code(tmp_path: Path, word: str, exit_code: int) -> None:
    import tarfile

    folder = JobFolder(tmp_path / "jobs", 5)
    files = [_file("output", "out.root"), _file("log", "log.tgz")]
    folder.write_spec(spec(JobFate(error=error_named(word)), files, tmp_path / "rse"))
    assert run_job(folder.path) == exit_code
    report = folder.read_report()
    assert report is not None
    assert report["error"]["fields"]["pilotErrorDiag"] == error_named(word).text
    assert sorted(report["files"]) == ["log.tgz"]
    (log,) = (tmp_path / "rse").rglob("log.tgz")
    with tarfile.open(log) as archive:
        member = archive.extractfile("payload.log")
        assert member is not None
        text = member.read().decode()
    assert f"error: {error_named(word).text}" in text
    assert f"exit code {exit_code}" in text


def test_a_second_process_for_the_same_job_ends_at_once(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "jobs", 5)
    folder.write_spec(spec(JobFate(missing=4), [_file("output", "out.root")], tmp_path / "rse"))
    assert run_job(folder.path) == 0
    report = folder.read_report()
    assert report is not None
    assert report["n_events"] == 6
    assert run_job(folder.path) == 0
    assert folder.read_report() == report
    assert folder.last_beat is not None


@pytest.mark.parametrize(("content", "code"), [(b"bad", 1171), (None, 1099)])
def test_an_input_that_is_not_what_was_registered_fails_at_stage_in(
    tmp_path: Path, content: bytes | None, code: int
) -> None:
    path = tmp_path / "in.root"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JobFailed) as failed:
        _stage_in({"lfn": "in.root", "paths": [str(path)], "adler32": "024d0127"})
    assert failed.value.pilot_error == code
    path.write_bytes(b"abc")
    assert _stage_in({"lfn": "in.root", "paths": [str(path)], "adler32": "24d0127"}) == path


def test_kill_ends_the_whole_group_and_nobody_else(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, 5)
    folder.path.mkdir()
    assert not folder.kill()
    code = (
        "import json,os,subprocess,sys,time; os.setsid(); child=subprocess.Popen(['sleep','60'])\n"
        "open(sys.argv[1],'w').write(json.dumps({'pid':os.getpid(),'child':child.pid})); print(child.pid,flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path / "pid.json")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    assert folder.kill()
    assert process.wait(timeout=10) == -9
    for _ in range(100):
        try:
            os.kill(child, 0)
            state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            break
        if state == "Z":
            break
    else:
        raise AssertionError(f"the child {child} lives on")
    (folder.path / "pid.json").write_text('{"pid": 1}')
    assert not folder.kill()


@pytest.mark.parametrize(("how", "size"), [("truncate", 500), ("content", 1001), ("remove", None)])
def test_a_file_is_spoilt_the_same_way_however_often(tmp_path: Path, how: str, size: int | None) -> None:
    path = tmp_path / "file.root"
    path.write_bytes(b"x" * 1001)
    for _ in range(2):
        spoil(path, how, 1001)
        assert (path.stat().st_size if path.exists() else None) == size
    if how == "content":
        assert set(path.read_bytes()) != {ord("x")}
