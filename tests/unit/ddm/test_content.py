"""ROOT files opened and counted."""

import errno
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import uproot

from prodsys.ddm.content import adler32, count_events, local_path, sample
from prodsys.ddm.facts import FileFact
from prodsys.errors import FilesUnavailable, FileUnreadable


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
    with pytest.raises(FilesUnavailable, match="No such file") as absent:
        count_events(tmp_path / "absent.root")
    assert absent.value.number == errno.ENOENT, "whether it is lost or its storage is away, Rucio tells"


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
    with pytest.raises(FilesUnavailable):
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


# --- a storage that fails -------------------------------------------------------------------------------------------
FAILING = (errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN)
FAILING += (errno.EHOSTUNREACH, errno.EREMOTEIO, errno.ENXIO, errno.ENOTDIR, errno.EMFILE, errno.EINTR)


class Failing:
    """A file whose storage gives an error at a read, after so many bytes that were right."""

    def __init__(self, path, number, good=0):
        self._file, self._number, self._good = path.open("rb"), number, good

    def read(self, size=-1):
        if self._file.tell() >= self._good:
            raise OSError(self._number, os.strerror(self._number))
        return self._file.read(size)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("number", FAILING)
def test_an_error_of_the_storage_at_opening_says_nothing_about_the_file(tmp_path, number):
    def fail(path):
        raise OSError(number, os.strerror(number), str(path))

    with pytest.raises(FilesUnavailable) as failed:
        count_events(tmp_path / "a.root", opener=fail)
    assert failed.value.number == number


@pytest.mark.parametrize("number", FAILING)
@pytest.mark.parametrize("good", [0, 100, 500])
def test_an_error_of_the_storage_at_a_read_says_nothing_about_the_file(tmp_path, number, good):
    path = write_root(tmp_path / "a.root", events=5000)
    with pytest.raises(FilesUnavailable) as failed:
        count_events(path, opener=lambda path: Failing(path, number, good))
    assert failed.value.number == number


def test_real_errors_of_the_system_say_nothing_about_the_file(tmp_path):
    blocked = tmp_path / "plain"
    blocked.write_text("no folder")
    (tmp_path / "nowhere.root").symlink_to(tmp_path / "gone" / "a.root")
    (tmp_path / "round.root").symlink_to(tmp_path / "round.root")
    cases = {
        blocked / "a.root": errno.ENOTDIR,
        tmp_path / "nowhere.root": errno.ENOENT,
        tmp_path / "round.root": errno.ELOOP,
        tmp_path / ("x" * 300): errno.ENAMETOOLONG,
        tmp_path: errno.EISDIR,
    }
    for path, number in cases.items():
        with pytest.raises(FilesUnavailable) as failed:
            count_events(path)
        assert failed.value.number == number, path
    with pytest.raises(FilesUnavailable):
        count_events(Path("/proc/self/mem"))  # it opens, and no read of it succeeds


def test_a_folder_without_permission_says_nothing_about_the_file(tmp_path):
    """Asked by a process of an ordinary user: root is let in everywhere."""
    (tmp_path / "closed").mkdir()
    write_root(tmp_path / "closed" / "a.root", events=5)
    (tmp_path / "closed").chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/") and folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o711)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from prodsys.ddm.content import count_events\n"
        "from prodsys.errors import FilesUnavailable\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: count_events(Path(sys.argv[1]))\n"
        "except FilesUnavailable as error: print(error.number)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "closed" / "a.root")], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(errno.EACCES), done.stderr


class EndsEarly(Failing):
    """A file on a stale mount: its size is right, and a read gives nothing after so many bytes."""

    def read(self, size=-1):
        left = max(0, self._good - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))


@pytest.mark.parametrize("good", [0, 60, 400])
def test_a_read_that_ends_before_the_size_proves_nothing(tmp_path, good):
    path = write_root(tmp_path / "a.root", events=50_000)
    with pytest.raises(FilesUnavailable, match=r"says it has \d+ bytes and gives"):
        count_events(path, opener=lambda path: EndsEarly(path, 0, good))


def test_what_is_bad_is_compared_with_what_its_job_reported(tmp_path):
    path = tmp_path / "bad.root"
    path.write_bytes(b"garbage" * 100)
    own = FileFact(700, f"{zlib.adler32(path.read_bytes()):08x}")
    with pytest.raises(FileUnreadable, match="it is what its job wrote"):
        count_events(path, wanted=own)
    with pytest.raises(FileUnreadable, match="its job reported 700 bytes, adler32 00000001"):
        count_events(path, wanted=FileFact(700, "1"))
    with pytest.raises(FileUnreadable, match="its job reported 900 bytes"):
        count_events(path, wanted=FileFact(900, ""))
