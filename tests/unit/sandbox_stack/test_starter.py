"""``bin/prodsys`` and the Makefile, as a newcomer meets them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without environments, in a folder with a blank in its name."""
    folder = tmp_path / "a checkout"
    (folder / "bin").mkdir(parents=True)
    shutil.copy(REPOSITORY / "bin" / "prodsys", folder / "bin")
    return folder


def test_before_setup_the_starter_says_what_to_do(checkout: Path) -> None:
    done = subprocess.run([checkout / "bin" / "prodsys", "demo"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert f"run `make setup` in {checkout}" in done.stderr


def test_the_starter_hands_on_arguments_and_exit_code(checkout: Path) -> None:
    command = checkout / ".venvs" / "main" / "bin" / "prodsys"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$# $2"; exit 7\n')
    command.chmod(0o755)
    link = checkout.parent / "link"
    link.symlink_to(checkout / "bin" / "prodsys")
    done = subprocess.run([link, "a", "b c"], capture_output=True, text=True, timeout=20, cwd="/")
    assert (done.returncode, done.stdout) == (7, "2 b c\n")


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-C", str(REPOSITORY), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**kept, **environment})


def test_a_token_is_never_echoed() -> None:
    done = make("-n", "contract", "PANDA_URL=http://127.0.0.1:1", "PANDA_TOKEN=s3cret")
    assert done.returncode == 0, done.stderr
    assert "tests/contract/panda" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_every_target_of_the_readme_exists() -> None:
    told = make("help").stdout
    targets = {"setup", "demo", "up", "down", "clean", "status", "check", "test", "contract", "bench", "docs", "lock"}
    assert targets <= {line.split()[0] for line in told.splitlines() if line.strip()}


def test_a_part_of_the_setup_that_fails_says_why_and_where_its_log_is(checkout: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", checkout)
    tools = checkout.parent / "tools"
    tools.mkdir()
    for name in ("sh", "make", "tail", "sed", "date", "mkdir", "touch", "rm"):
        (tools / name).symlink_to(shutil.which(name) or name)
    command = ["make", ".venvs/uv/.installed-0"]
    done = subprocess.run(
        [*command, "UV_VERSION=0"], cwd=checkout, env={"PATH": str(tools)}, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2
    assert "uv: FAILED" in done.stdout
    assert "no Python 3.11 to 3.13 with venv was found" in done.stdout
    assert f"log: {checkout}/.venvs/log/uv.log" in done.stdout
    assert not (checkout / ".venvs" / "uv").exists()
