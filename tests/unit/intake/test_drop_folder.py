"""The drop folder with real files of all kinds; time is what the test says it is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from prodsys.intake.drop_folder import DONE, FAULTY, LOOKS, DropFolder, Taken
from prodsys.intake.file_names import is_temporary, longer_name, shown_name
from tests.unit.intake.corpus import REPOSITORY

REST_S = 120
HALF = (REPOSITORY / "tests" / "data" / "cases" / "07-half-copied-file" / "half.csv").read_bytes()


@pytest.fixture
def drop(tmp_path: Path) -> DropFolder:
    return DropFolder(tmp_path, REST_S)


def put(folder: Path, name: str, content: bytes = b"a,b\n", written_at: float = 0) -> Path:
    path = folder / name
    path.write_bytes(content)
    os.utime(path, (written_at, written_at))
    return path


def names(drop: DropFolder, now: float) -> list[str]:
    return drop.look(now)[0]


def take(drop: DropFolder, name: str) -> Taken:
    taken = drop.take(name)
    assert taken is not None
    return taken


def test_a_file_is_taken_when_two_looks_found_it_the_same_and_nobody_wrote_for_a_while(drop, tmp_path):
    put(tmp_path, "a.csv", written_at=1000)
    assert names(drop, 1030) == []
    assert names(drop, 1090) == []
    assert names(drop, 1119) == []
    assert names(drop, 1121) == ["a.csv"]


def test_a_copy_that_pauses_for_a_hundred_seconds_is_left_alone(drop, tmp_path):
    path = put(tmp_path, "half.csv", b"".join(HALF.splitlines(keepends=True)[:6]), written_at=1000)
    for now in (1010, 1070, 1100):
        assert names(drop, now) == []
    with path.open("ab") as stream:
        stream.write(b"".join(HALF.splitlines(keepends=True)[6:]))
    os.utime(path, (1101, 1101))
    for now in (1130, 1190, 1220):
        assert names(drop, now) == []
    assert names(drop, 1250) == ["half.csv"]
    assert take(drop, "half.csv").content == HALF


def test_a_file_that_was_renamed_here_is_taken_at_the_second_look(drop, tmp_path):
    put(tmp_path, "a.csv.part", written_at=1000)
    assert names(drop, 2000) == []
    (tmp_path / "a.csv.part").rename(tmp_path / "a.csv")
    assert names(drop, 2060) == []
    assert names(drop, 2120) == ["a.csv"]


def test_a_file_from_the_future_is_taken_when_it_has_rested(drop, tmp_path):
    put(tmp_path, "a.csv", written_at=10**9)
    assert [names(drop, now) for now in (1000, 1060, 1119, 1121)] == [[], [], [], ["a.csv"]]


def test_a_file_that_was_replaced_rests_anew(drop, tmp_path):
    put(tmp_path, "a.csv", written_at=0)
    assert names(drop, 1000) == []
    put(tmp_path, "b", written_at=0).rename(tmp_path / "a.csv")
    assert names(drop, 1060) == []
    assert names(drop, 1120) == ["a.csv"]


TEMPORARY = [
    ".name",
    ".half.csv.Qx7b2c",
    "~$name.xlsx",
    ".~lock.name.xlsx#",
    "#name.csv#",
    "name.csv~",
    "a.csv.part",
    "a.csv.PART",
    "a.filepart",
    "a.tmp",
    "a.csv.swp",
    "a.crdownload",
    "a.lock",
    "a.partial",
]


@pytest.mark.parametrize("name", TEMPORARY)
def test_hidden_lock_and_partial_files_are_left_alone(drop, tmp_path, name):
    put(tmp_path, name)
    put(tmp_path, "#1 good.csv")
    assert is_temporary(name)
    names(drop, 1000)
    assert drop.look(1060) == (["#1 good.csv"], [])


def test_links_pipes_and_folders_are_named_and_not_followed(drop, tmp_path):
    secret = put(tmp_path, "..secret")
    (tmp_path / "link.csv").symlink_to(secret)
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "hard.csv").hardlink_to(secret)
    os.mkfifo(tmp_path / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s.csv"))
        names(drop, 1000)
        resting, faults = drop.look(1200)
    assert resting == []
    assert {Path(fault.file).name: fault.message for fault in faults} == {
        "link.csv": "is a link: links are not followed",
        "gone.csv": "is a link: links are not followed",
        "folder.csv": "is a folder: it is not looked into",
        "hard.csv": "is a second name of a file (a hard link)",
        "pipe.csv": "is a pipe",
        "s.csv": "is a socket",
    }


def test_a_file_that_became_a_link_or_a_pipe_after_the_look_is_not_opened(drop, tmp_path):
    path = put(tmp_path, "a.csv")
    names(drop, 1000)
    assert names(drop, 1060) == ["a.csv"]
    path.unlink()
    os.mkfifo(path)
    assert drop.take("a.csv") is None
    path.unlink()
    path.symlink_to(put(tmp_path, ".secret"))
    taken = take(drop, "a.csv")
    assert taken.content is None
    path.unlink()
    assert drop.take("a.csv") is None


def test_a_file_that_is_written_again_before_it_is_moved_is_seen(drop, tmp_path):
    path = put(tmp_path, "a.csv")
    taken = take(drop, "a.csv")
    assert drop.is_same(taken)
    with path.open("ab") as stream:
        stream.write(b"c,d\n")
    assert not drop.is_same(taken)


ODD_NAMES = [b"\xff\xfe\xd0.csv", b"a\nb.csv", b"-rf.csv", b"a b\x1b[2J.csv", b"csv"]
LONG_NAMES = [b"x" * 251 + b".csv", "\u044f".encode() * 125 + b".csv", b"a." + b"b" * 253]


@pytest.mark.parametrize("name", [*ODD_NAMES, *LONG_NAMES])
def test_any_name_survives(drop, tmp_path, name):
    for number in range(3):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.write_bytes(b"x%d" % number)
        os.utime(path, (0, 0))
        names(drop, 1000)
        [found] = names(drop, 1060)
        taken = take(drop, found)
        assert taken.shown.isprintable()
        taken.shown.encode()
        drop.put_away(taken, FAULTY, {".faults.json": "{}\n", ".faults.txt": f"{taken.shown}\n"})
    kept = sorted((tmp_path / FAULTY).iterdir())
    assert len(kept) == 9
    contents = sorted(one.read_bytes() for one in kept if b".faults." not in os.fsencode(one.name))
    assert contents == [b"x0", b"x1", b"x2"]


def test_nothing_that_was_put_away_is_overwritten(drop, tmp_path):
    for number in range(3):
        put(tmp_path, "a.csv", b"%d" % number)
        drop.put_away(take(drop, "a.csv"), DONE, {})
    assert {one.name: one.read_bytes() for one in (tmp_path / DONE).iterdir()} == {
        "a.csv": b"0",
        "a.1.csv": b"1",
        "a.2.csv": b"2",
    }


@pytest.mark.parametrize(("mode", "report"), [(0o644, 0o640), (0o600, 0o600), (0o666, 0o640), (0o640, 0o640)])
def test_a_report_is_for_those_only_who_may_read_the_file(drop, tmp_path, mode, report):
    put(tmp_path, "a.csv").chmod(mode)
    drop.put_away(take(drop, "a.csv"), FAULTY, {".faults.txt": "one\n"})
    info = (tmp_path / FAULTY / "a.csv.faults.txt").stat()
    assert info.st_mode & 0o777 == report
    assert (info.st_uid, info.st_gid) == ((tmp_path / FAULTY / "a.csv").stat().st_uid, info.st_gid)
    assert (tmp_path / LOOKS).exists() is False


def test_a_place_that_is_a_link_is_refused_and_leaves_nothing_behind(drop, tmp_path):
    elsewhere = tmp_path / "..elsewhere"
    elsewhere.mkdir()
    (tmp_path / DONE).symlink_to(elsewhere)
    put(tmp_path, "a.csv")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        drop.put_away(take(drop, "a.csv"), DONE, {})
    assert list(elsewhere.iterdir()) == []
    assert (tmp_path / "a.csv").exists()


def test_a_move_that_fails_leaves_no_empty_files_behind(drop, tmp_path):
    put(tmp_path, "a.csv")
    taken = take(drop, "a.csv")
    (tmp_path / "a.csv").unlink()
    with pytest.raises(FileNotFoundError):
        drop.put_away(taken, FAULTY, {".faults.txt": "one\n"})
    assert list((tmp_path / FAULTY).iterdir()) == []


@pytest.mark.parametrize("spoilt", ["", "[]", "{", '{"a.csv": 1}', "\xff"])
def test_looks_that_cannot_be_read_are_made_again(drop, tmp_path, spoilt):
    put(tmp_path, "a.csv")
    (tmp_path / LOOKS).write_bytes(spoilt.encode("latin-1"))
    assert names(drop, 1000) == []
    assert names(drop, 1060) == ["a.csv"]
    assert (tmp_path / LOOKS).stat().st_mode & 0o777 == 0o600


def test_a_huge_file_and_one_that_cannot_be_read_are_faults(drop, tmp_path):
    with put(tmp_path, "a.csv").open("wb") as stream:
        stream.truncate(20_000_001)
    taken = take(drop, "a.csv")
    assert taken.content is None
    assert taken.fault is not None
    assert "is huge" in taken.fault.message


def test_names_are_shown_in_one_line():
    assert shown_name("a\nb\udcff\x1b.csv") == "a\\nb\\xff\\x1b.csv"
    assert longer_name("\u044f" * 127, ".faults.json") == "\u044f" * 121 + ".faults.json"
