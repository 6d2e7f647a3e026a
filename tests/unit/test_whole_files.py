"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from prodsys.whole_files import stage, write_whole


def test_a_file_is_replaced_in_one_step_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "new folder" / "file.json"
    write_whole(place, "before")
    number = place.stat().st_ino
    write_whole(place, "after")
    assert place.read_text() == "after"
    assert place.stat().st_ino != number, "another file: who reads the old one reads it to its end"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [one.name for one in place.parent.iterdir()] == ["file.json"]


def test_what_cannot_be_moved_into_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    place = tmp_path / "taken"
    place.mkdir()
    (place / "inside").touch()
    with pytest.raises(OSError, match="taken"):
        write_whole(place, "text")
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        stage(tmp_path / "file", "half of a letter \ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_staged_file_has_its_rights_before_it_is_moved(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        waiting = stage(tmp_path / ".hidden", "text", mode=0o644)
    finally:
        os.umask(before)
    assert stat.S_IMODE(waiting.stat().st_mode) == 0o644
    assert waiting.parent == tmp_path
    assert not (tmp_path / ".hidden").exists()
