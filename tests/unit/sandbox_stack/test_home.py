"""Homes, ports and secrets of a stack."""

from __future__ import annotations

import socket
from pathlib import Path

from prodsys.whole_files import write_whole
from sandbox.stack.home import Credentials, Home, random_fernet_key
from sandbox.stack.ports import choose_ports, is_free, read_ports


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_what_holds_secrets_is_closed_to_others(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    assert {mode(home.folder(name)) for name in ("run", "secrets", "rucio", "pg")} == {"0o700"}


def test_a_secret_is_generated_once_and_private(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path)
    first = credentials.get("a.password")
    assert credentials.get("a.password") == first != credentials.get("b.password")
    assert mode(credentials.path("a.password")) == "0o600"
    assert len(credentials.get("fernet.key", random_fernet_key)) == 44


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("open")
    path.chmod(0o644)
    write_whole(path, "closed")
    assert (path.read_text(), mode(path)) == ("closed", "0o600")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_ports_stay_while_they_are_free(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = choose_ports(["a", "b"], path)
    assert len(set(first.values())) == 2
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["a"]))
        other.listen()
        assert not is_free(first["a"])
        second = choose_ports(["a", "b"], path)
    assert second["b"] == first["b"]
    assert second["a"] != first["a"]
    assert read_ports(path) == second


def test_a_damaged_ports_file_is_as_none(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text("{")
    assert read_ports(path) == {}
    assert set(choose_ports(["a"], path)) == {"a"}
