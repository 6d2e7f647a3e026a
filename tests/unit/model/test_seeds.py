"""The algebra of seeds, against sets."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prodsys.errors import SpecInvalid
from prodsys.model.seeds import (
    MAX_SEED,
    SeedRange,
    count,
    first_gap,
    from_seeds,
    iterate,
    normalise,
    overlaps,
    parse_seeds,
    show,
    subtract,
)

seed_sets = st.sets(st.integers(1, 60), max_size=40)


@given(seed_sets)
def test_seeds_become_ranges_and_back(seeds):
    assert list(iterate(from_seeds(seeds))) == sorted(seeds)
    assert count(from_seeds(seeds)) == len(seeds)


@given(seed_sets, seed_sets)
def test_subtract_is_the_difference_of_sets(left, right):
    assert set(iterate(subtract(from_seeds(left), from_seeds(right)))) == left - right


@given(seed_sets, seed_sets)
def test_overlaps_are_the_intersection_of_sets(left, right):
    found = overlaps(from_seeds(left), from_seeds(right))
    assert sorted(iterate(found)) == sorted(left & right)


@given(seed_sets, seed_sets)
def test_what_is_left_and_what_is_shared_make_the_whole(left, right):
    mine, other = from_seeds(left), from_seeds(right)
    assert normalise((*subtract(mine, other), *overlaps(mine, other))) == mine


@given(seed_sets.filter(bool))
def test_shown_seeds_read_back(seeds):
    ranges = from_seeds(seeds)
    assert parse_seeds(show(ranges)) == ranges


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 10)), min_size=1, max_size=8))
def test_normalise_joins_touching_ranges_and_refuses_a_seed_twice(pairs):
    ranges = [SeedRange(first=first, last=first + length) for first, length in pairs]
    seeds = list(iterate(ranges))
    if len(seeds) != len(set(seeds)):
        with pytest.raises(SpecInvalid, match="twice"):
            normalise(ranges)
        return
    joined = normalise(ranges)
    assert list(iterate(joined)) == sorted(seeds)
    assert all(one.last + 1 < other.first for one, other in pairwise(joined))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1-10000", "1-10000"),
        ("1 – 1250", "1-1250"),
        ("1—3; 4-6", "1-6"),
        ("7", "7"),
        ("20-30, 1-10,15", "1-10, 15, 20-30"),
        (f"{MAX_SEED}", f"{MAX_SEED}"),
    ],
)
def test_ranges_are_read_as_people_write_them(text, expected):
    assert show(parse_seeds(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "10-1", "0-5", "1-", "-1-5", "1..5", "1-5, 5-9", f"1-{MAX_SEED + 1}", "1-2-3"]
)
def test_what_is_no_range_is_refused(text):
    with pytest.raises(SpecInvalid, match="seed"):
        parse_seeds(text)


def test_a_range_knows_its_order_and_length():
    assert len(SeedRange(first=5, last=5)) == 1
    assert SeedRange(first=1, last=9) < SeedRange(first=2, last=3)
    with pytest.raises(ValidationError):
        SeedRange(first=2, last=1)


ranges_in_any_order = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda pair: SeedRange(first=pair[0], last=sum(pair))),
    max_size=12,
)


@given(ranges_in_any_order, ranges_in_any_order)
def test_ranges_that_overlap_each_other_are_subtracted_and_compared_as_sets(left, right):
    mine, theirs = set(iterate(left)), set(iterate(right))
    assert set(iterate(subtract(left, right))) == mine - theirs
    assert set(iterate(overlaps(left, right))) == mine & theirs
    assert list(subtract(left, right)) == sorted(subtract(left, right))


@given(ranges_in_any_order, st.integers(1, 9), st.integers(1, 30))
def test_the_first_gap_is_the_lowest_row_of_seeds_that_is_free(taken, number, begin):
    used = set(iterate(taken))
    free = next(seed for seed in range(begin, 200) if not used & set(range(seed, seed + number)))
    assert first_gap(taken, number, begin) == free


def _calls(function) -> int:
    """Python calls and lines that a function takes: a measure that does not depend on the machine."""
    counted = 0

    def count_one(*_):
        nonlocal counted
        counted += 1
        return count_one

    before = sys.gettrace()
    sys.settrace(count_one)
    try:
        function()
    finally:
        sys.settrace(before)
    return counted


@pytest.mark.parametrize("operation", [subtract, overlaps])
def test_work_grows_as_the_number_of_ranges_does(operation):
    def work(number):
        left = from_seeds(range(1, 4 * number, 2))
        right = from_seeds(range(1, 4 * number, 4))
        return _calls(lambda: operation(left, right))

    assert work(400) < 2.6 * work(200)  # a quadratic one does four times as much
