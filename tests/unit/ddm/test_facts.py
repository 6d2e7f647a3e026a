"""Files, sizes and checksums."""

import pytest

from prodsys.ddm.facts import DidType, FileFact, differences
from prodsys.model.outcome import JobFile


@pytest.mark.parametrize("written", ["00ab12cd", "ab12cd", "AB12CD", "00AB12CD"])
def test_a_checksum_is_the_same_however_it_is_written(written):
    assert FileFact(5, written) == FileFact(5, "00ab12cd")


def test_what_a_job_did_not_report_contradicts_nothing():
    held = FileFact(100, "0000000a")
    assert held.agrees(FileFact(100, ""))
    assert held.agrees(FileFact(0, "a"))
    assert not held.agrees(FileFact(101, ""))
    assert not held.agrees(FileFact(100, "b"))


def test_a_fact_is_taken_from_the_report_of_a_job():
    assert FileFact.of(JobFile("x.root", "d", 7, "1F")) == FileFact(7, "0000001f")


def test_differences_are_told_one_by_one_in_the_order_of_names():
    held = {"a": FileFact(1, "1"), "b": FileFact(2, "2"), "d": FileFact(4, "4")}
    wanted = {"b": FileFact(3, "2"), "c": FileFact(3, "3"), "d": FileFact(4, "4")}
    assert differences(held, wanted) == [
        "a is there (1 bytes, adler32 00000001) and should not be",
        "b is there with 2 bytes, adler32 00000002, not 3 bytes, adler32 00000002",
        "c is not there",
    ]
    assert differences(held, dict(held)) == []


def test_a_kind_of_did_never_heard_of_has_a_home():
    assert DidType("ARCHIVE") is DidType.UNKNOWN
