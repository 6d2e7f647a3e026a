"""The split rule in words, and the files a job takes by it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.panda.tasks.split_rule import WORDS, change_rule, files_per_job, read_rule, whole

RULE = "nEventsPerJob=4000,pushStatusChanges=1,cloudAsVO=1,messageDriven=1,randomSeed=1000,firstEvent=0"


def test_a_new_word_stands_at_the_end_as_recorded() -> None:
    assert change_rule(RULE, "TW", "5") == f"{RULE},t1Weight=5"


def test_a_known_word_changes_in_its_place() -> None:
    assert change_rule("nFilesPerJob=1,pfnList=1", "NF", "3") == "nFilesPerJob=3,pfnList=1"
    assert change_rule(None, "NF", "3") == "nFilesPerJob=3"


def test_letters_without_a_known_word_stay_letters() -> None:
    assert change_rule("", "NP", "2") == "NP=2"


@given(st.lists(st.tuples(st.sampled_from(sorted(WORDS)), st.integers(0, 999)), max_size=12))
def test_the_last_change_of_each_word_counts(changes: list[tuple[str, int]]) -> None:
    rule: str | None = RULE
    for letters, value in changes:
        rule = change_rule(rule, letters, str(value))
    for letters, value in dict(changes).items():
        assert read_rule(rule, WORDS[letters]) == str(value)
    assert read_rule(rule, "nEventsPerJob") == "4000"


@pytest.mark.parametrize(
    ("params", "rule", "files"),
    [
        ({}, None, 1),
        ({"nFilesPerJob": 5}, None, 5),
        ({"nFilesPerJob": "many"}, None, 1),
        ({"nFilesPerJob": 5}, "nFilesPerJob=2", 2),
        ({"nFilesPerJob": 5}, "nMaxFilesPerJob=3", 3),
        ({"nFilesPerJob": 5, "nEventsPerJob": 8000, "nEventsPerInputFile": 4000}, None, 2),
        ({"nFilesPerJob": 5, "nEventsPerJob": 1000, "nEventsPerInputFile": 4000}, None, 1),
        ({"nFilesPerJob": 5, "nEventsPerJob": 8000}, None, 5),
    ],
)
def test_files_of_a_job(params: dict[str, Any], rule: str | None, files: int) -> None:
    assert files_per_job(params, rule) == files


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), ("3", 3), (0, None), (-1, None), (True, None), ("x", None), (None, None), (2.5, None)],
)
def test_whole_numbers(value: Any, number: int | None) -> None:
    assert whole(value) == number
