"""ROOT files opened and counted."""

import zlib

import numpy as np
import pytest
import uproot

from prodsys.ddm.content import adler32, count_events, local_path, sample
from prodsys.errors import FileUnreadable


def write_root(path, **trees):
    with uproot.recreate(path) as file:
        for name, entries in trees.items():
            file.mktree(name, {"x": np.float64})
            if entries:
                file[name].extend({"x": np.arange(entries, dtype=np.float64)})
    return path


@pytest.mark.parametrize(
    ("trees", "asked", "entries"),
    [
        ({"events": 20, "other": 50}, None, 20),
        ({"cbmsim": 7}, None, 7),
        ({"a": 3, "b": 9}, None, 9),
        ({"events": 20, "other": 50}, "other", 50),
        ({"events": 0}, None, 0),
    ],
)
def test_the_tree_of_events_is_found_and_counted(tmp_path, trees, asked, entries):
    assert count_events(write_root(tmp_path / "a.root", **trees), asked) == entries


def test_a_tree_in_a_folder_is_found(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("sub/events", {"x": np.float64})
        file["sub/events"].extend({"x": np.arange(4.0)})
    assert count_events(tmp_path / "a.root") == 4


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_said_to_be_lost(tmp_path, share):
    whole = write_root(tmp_path / "whole.root", events=5000).read_bytes()
    path = tmp_path / "cut.root"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FileUnreadable, match=r"cut\.root.*(truncated|no readable ROOT file).*recover its seed"):
        count_events(path)


@pytest.mark.parametrize("content", [b"garbage" * 100, b"root" + b"\xff" * 400, b"\0" * 1000])
def test_garbage_is_said_to_be_no_root_file(tmp_path, content):
    path = tmp_path / "bad.root"
    path.write_bytes(content)
    with pytest.raises(FileUnreadable, match=r"ROOT file|truncated"):
        count_events(path)


def test_an_empty_file_and_a_missing_one_are_told_apart(tmp_path):
    (tmp_path / "empty.root").touch()
    with pytest.raises(FileUnreadable, match="is empty"):
        count_events(tmp_path / "empty.root")
    with pytest.raises(FileUnreadable, match="No such file"):
        count_events(tmp_path / "absent.root")


def test_a_file_without_trees_names_what_it_holds(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file["note"] = "text"
    with pytest.raises(FileUnreadable, match="has no tree of events; its trees: none"):
        count_events(tmp_path / "a.root")
    with pytest.raises(FileUnreadable, match="has no tree b; its trees: a"):
        count_events(write_root(tmp_path / "b.root", a=1), "b")


def test_the_checksum_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    assert adler32(path) == f"{zlib.adler32(b'x' * 3_000_000):08x}"
    with pytest.raises(FileUnreadable):
        adler32(tmp_path / "absent")


def test_a_sample_is_the_same_for_the_same_key_and_another_for_another():
    files = [f"f{i:04d}" for i in range(1000)]
    first = sample(files, 5, "PROD2025-016.SIM")
    assert first == sample(list(reversed(files)), 5, "PROD2025-016.SIM")
    assert first != sample(files, 5, "PROD2025-016.RECO")
    assert list(first) == sorted(first)
    assert sample(files[:3], 5, "k") == tuple(files[:3])
    assert sample(files, 0, "k") == ()


def test_a_replica_is_found_whatever_prefix_its_address_has(tmp_path):
    target = tmp_path / "JINR_EOS" / "MC2025_S1" / "ab" / "cd" / "f.root"
    target.parent.mkdir(parents=True)
    target.touch()
    for pfn in (
        f"file://localhost{target}",
        "root://eos.jinr.ru:1094//eos/spd/mc/MC2025_S1/ab/cd/f.root?authz=x",
        "davs://host:443/MC2025_S1/ab/cd/f.root",
    ):
        assert local_path(pfn, tmp_path, "JINR_EOS") == target


def test_a_storage_that_is_not_mounted_has_no_path(tmp_path):
    assert local_path("file://localhost/x/f.root", tmp_path, "PNPI_EOS") is None


@pytest.mark.parametrize(
    "pfn", ["file://localhost/a/f.root", "file://localhost/a/../../etc/passwd", "file://localhost"]
)
def test_a_replica_that_is_not_there_or_leaves_its_storage_is_an_error(tmp_path, pfn):
    (tmp_path / "JINR_EOS").mkdir()
    with pytest.raises(FileUnreadable):
        local_path(pfn, tmp_path, "JINR_EOS")
