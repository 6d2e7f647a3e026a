"""What counts as healthy, and what a status says."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from sandbox.stack.health import http, tokens_valid, touched_lately
from sandbox.stack.leftovers import MARK, end_leftovers, processes_of
from sandbox.stack.ports import free_port
from sandbox.stack.programs import Program
from sandbox.stack.status import StackStatus, look_at, memory_of
from sandbox.stack.supervision import ProcessState


def token(expires: float) -> str:
    body = base64.urlsafe_b64encode(json.dumps({"exp": expires}).encode()).rstrip(b"=").decode()
    return f"head.{body}.sign\n"


def test_a_server_that_is_away_is_told_with_its_address() -> None:
    url = f"http://127.0.0.1:{free_port()}/health"
    assert url in (http(url)() or "")


def test_a_sign_of_life_grows_old(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    assert touched_lately(path) == "gave no sign of life yet"
    path.touch()
    assert touched_lately(path) is None
    os.utime(path, (time.time() - 300, time.time() - 300))
    assert "300 s ago" in (touched_lately(path) or "")


def test_tokens_must_be_there_and_valid(tmp_path: Path) -> None:
    path = tmp_path / "panda.token"
    assert "holds no token" in (tokens_valid([path]) or "")
    path.write_text(token(time.time() + 60))
    assert tokens_valid([path]) is None
    path.write_text(token(time.time() - 60))
    assert "expired 60 s ago" in (tokens_valid([path]) or "")


def program(name: str, trouble: str | None = None) -> Program:
    return Program(name, (), {}, lambda: trouble)


def test_the_status_tells_states_apart(tmp_path: Path) -> None:
    (tmp_path / "dead.log").write_text("Traceback\nModuleNotFoundError: No module named 'x'\n\n")
    now = time.time()
    states = {
        "good": ProcessState("good", "running", os.getpid(), now, ""),
        "young": ProcessState("young", "running", os.getpid(), now, ""),
        "bad": ProcessState("bad", "running", os.getpid(), now - 1000, ""),
        "dead": ProcessState("dead", "fatal", None, None, "Exited too quickly"),
    }
    found = look_at(
        [program("good"), program("young", "no"), program("bad", "no"), program("dead"), program("off")],
        states,
        tmp_path,
    )
    assert [one.state for one in found] == ["healthy", "starting", "unhealthy", "failed", "stopped"]
    assert found[3].reason == "ModuleNotFoundError: No module named 'x'"
    stack = StackStatus(tmp_path, found)
    assert (stack.is_up, stack.is_healthy) == (True, False)
    assert json.loads(json.dumps(stack.as_row()))["programs"][0]["pid"] == os.getpid()


def test_memory_counts_the_family() -> None:
    assert memory_of(os.getpid()) > 10_000_000
    assert memory_of(2**22 - 1) == 0


def test_leftovers_are_found_by_their_home_and_ended(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]
    own = {**os.environ, MARK: str(tmp_path)}
    other = {**os.environ, MARK: str(tmp_path / "other")}
    with (
        subprocess.Popen(sleeper, env=own, stdout=subprocess.PIPE) as mine,
        subprocess.Popen(sleeper, env=other, stdout=subprocess.PIPE) as theirs,
    ):
        assert mine.stdout is not None
        assert theirs.stdout is not None
        mine.stdout.readline(), theirs.stdout.readline()
        assert [process.pid for process in processes_of(tmp_path)] == [mine.pid]
        assert end_leftovers(tmp_path) == 1
        assert theirs.poll() is None
        theirs.terminate()
