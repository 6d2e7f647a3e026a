"""Which requests share seeds, against a count seed by seed."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodsys.intake.files import read_files
from prodsys.intake.seed_overlaps import Overlap, find_overlaps, find_shared_beams
from prodsys.model import seeds as seed_ranges
from prodsys.model.request import Configuration, RequestSpec
from tests.unit.intake.corpus import DEMO


def make(number: int, seeds: str, **changes: object) -> RequestSpec:
    values = {
        "request_id": f"PROD2031-{number:03d}",
        "campaign": "SPD MC 2031",
        "stage": "S2",
        "collision": "pp",
        "energy_gev": 27,
        "polarization": "UU",
        "geometry": "DSSD",
        "software": "spdroot-dev",
        "version": "4.1.7.2",
        "tag": "minbias-P8-spdroot4172-dev",
        "events": seed_ranges.count(seed_ranges.parse_seeds(seeds)),
        "events_per_file": 1,
        "seeds": seeds,
    }
    return RequestSpec.model_validate(values | changes)


def test_exactly_the_five_known_pairs_of_2025_overlap(catalogue):
    intake = read_files([DEMO / "requests_db.csv", DEMO / "requests_sheet.csv"], catalogue)
    assert intake.faults == ()
    specs = [one.spec for one in intake.accepted]
    assert len(specs) == 13
    assert [(one.a[-3:], one.b[-3:], one.first, one.last) for one in find_overlaps(specs)] == [
        ("001", "002", 1, 1250),
        ("001", "004", 1, 1250),
        ("002", "004", 1, 5000),
        ("003", "004", 5001, 10000),
        ("011", "012", 1, 1250),
    ]
    assert find_shared_beams(specs) == ()


def test_overlaps_are_named_range_by_range_with_the_lower_id_first():
    specs = [make(1000, "1-10, 21-30"), make(999, "5-25"), make(3, "40-50")]
    assert find_overlaps(specs) == (
        Overlap("PROD2031-999", "PROD2031-1000", 5, 10),
        Overlap("PROD2031-999", "PROD2031-1000", 21, 25),
    )


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"version": "4.1.7.1"}, ("version",)),
        ({"geometry": "RS", "stage": "S1"}, ("stage", "geometry")),
        ({"energy_gev": 10}, None),
        ({"tag": "minbias-FTF-spdroot4172-dev"}, None),
        ({"variant": "D0sig"}, None),
    ],
)
def test_the_same_beam_with_another_detector_is_a_warning_not_a_pair(changes, differs):
    specs = [make(1, "1-10"), make(2, "6-15", **changes)]
    assert find_overlaps(specs) == ()
    found = find_shared_beams(specs)
    assert [one.differs for one in found] == ([differs] if differs else [])
    if differs:
        assert found[0].overlap == Overlap("PROD2031-001", "PROD2031-002", 6, 10)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(1, 30), min_size=1, max_size=12), st.booleans()), max_size=7))
def test_the_sweep_finds_what_counting_finds(requests):
    specs = [
        make(number, seed_ranges.show(seed_ranges.from_seeds(seeds)), stage="S1" if other else "S2")
        for number, (seeds, other) in enumerate(requests, 1)
    ]
    counted = {
        (one.request_id, two.request_id, seed)
        for one, two in combinations(specs, 2)
        if Configuration.of(one) == Configuration.of(two)
        for seed in set(seed_ranges.iterate(one.seeds)) & set(seed_ranges.iterate(two.seeds))
    }
    found = [(one.a, one.b, seed) for one in find_overlaps(specs) for seed in range(one.first, one.last + 1)]
    assert len(found) == len(set(found))
    assert set(found) == counted


def test_thousands_of_requests_take_no_time():
    one = make(1, "1-10")
    specs = [
        one.model_copy(
            update={
                "request_id": f"PROD2031-{number:04d}",
                "seeds": (seed_ranges.SeedRange(first=number * 10 + 1, last=number * 10 + 11),),
            }
        )
        for number in range(1000, 4000)
    ]
    assert len(find_overlaps(specs)) == 2999  # each shares one seed with the next


def test_a_request_that_reads_the_files_of_another_makes_no_events_of_its_own():
    assert find_overlaps([make(1, "1-10"), make(2, "1-10", chain="RECO", input_request="PROD2031-001")]) == ()
