"""Intervals of recurring templates, and what follows from their ordinal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prodsys.errors import SpecInvalid
from prodsys.intake.catalogue import load_catalogue
from prodsys.model.recurring import RecurringSpec
from prodsys.settings import REPOSITORY

WEEK = timedelta(days=7)
TEMPLATE: dict[str, Any] = {
    "name": "weekly",
    "schedule": "weekly",
    "start": "2026-10-05 03:30",
    "intervals": 60,
    "id_prefix": "PROD",
    "first_number": 501,
    "first_seed": 100_001,
    "seeds_per_interval": 100,
    "requester": "prodmgr",
    "request": {
        "stage": "S2",
        "collision": "pp",
        "energy_gev": 27,
        "polarization": "UU",
        "geometry": "DSSD, TS",
        "software": "spdroot-dev",
        "version": "4.1.7.2",
        "tag": "minbias-P8-spdroot4172-dev",
        "events_per_file": 4000,
    },
}


def make(**changes: Any) -> RecurringSpec:
    return RecurringSpec.model_validate(TEMPLATE | changes)


@pytest.fixture(scope="module")
def partitions():
    return load_catalogue(REPOSITORY / "include" / "specs", "sandbox").partitions


def test_a_week_is_a_week_also_where_clocks_change_and_years_end():
    template = make()
    lengths = {template.bounds(one)[1] - template.bounds(one)[0] for one in range(template.intervals)}
    assert lengths == {WEEK}
    begins = [template.bounds(one)[0] for one in range(template.intervals)]
    assert begins[3] == datetime(2026, 10, 26, 3, 30, tzinfo=UTC)  # Europe's clocks changed the day before
    assert begins[12] == datetime(2026, 12, 28, 3, 30, tzinfo=UTC)
    assert begins[25] == datetime(2027, 3, 29, 3, 30, tzinfo=UTC)
    assert [template.ordinal_of(one) for one in begins] == list(range(60))


def test_id_and_seeds_follow_from_the_ordinal(partitions):
    template = make()
    assert [template.id_of(one) for one in (0, 12, 13, 59)] == [
        "PROD2026-501",
        "PROD2026-513",
        "PROD2027-514",
        "PROD2027-560",
    ]
    assert [str(template.seeds_of(one)) for one in (0, 1, 59)] == ["100001-100100", "100101-100200", "105901-106000"]
    assert str(template.block) == "100001-106000"
    spec = template.request_of(13, partitions)
    assert (spec.request_id, spec.events, spec.campaign) == ("PROD2027-514", 400_000, "SPD MC 2027")
    assert spec.description == "weekly, 2027-01-04 03:30 to 2027-01-11 03:30 UTC"


def test_what_has_ended_is_due():
    template = make()
    assert template.due(template.start + WEEK - timedelta(seconds=1)) == range(0)
    assert template.due(template.start + WEEK) == range(1)
    assert template.due(datetime(2040, 1, 1, tzinfo=UTC)) == range(60)


@pytest.mark.parametrize(
    ("schedule", "start", "cron", "second"),
    [
        ("daily", "2026-12-31 23:00", "0 23 * * *", datetime(2027, 1, 1, 23, tzinfo=UTC)),
        ("monthly", "2027-01-28", "0 0 28 * *", datetime(2027, 2, 28, tzinfo=UTC)),
        ("weekly", "2026-10-04", "0 0 * * 0", datetime(2026, 10, 11, tzinfo=UTC)),  # a Sunday
        ("0 6 * * 1,4", "2026-10-05 06:00", "0 6 * * 1,4", datetime(2026, 10, 8, 6, tzinfo=UTC)),
        ("30 2 29 2 *", "2028-02-29 02:30", "30 2 29 2 *", datetime(2032, 2, 29, 2, 30, tzinfo=UTC)),
    ],
)
def test_schedules_in_words_and_as_cron(schedule, start, cron, second):
    template = make(schedule=schedule, start=start, intervals=3)
    assert (template.cron, template.moments[1]) == (cron, second)


def test_a_moment_at_which_no_interval_begins_names_one_that_does():
    template = make(intervals=2)
    for moment in (template.start + timedelta(days=1), template.start - WEEK, template.start + 2 * WEEK):
        with pytest.raises(SpecInvalid, match=r"no interval begins at .*one begins 2026-10"):
            template.ordinal_of(moment)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedule": "fortnightly"}, "is not daily, weekly, monthly or a cron expression"),
        ({"schedule": "0 0 * * * *"}, "of five fields"),
        ({"schedule": "@weekly"}, "of five fields"),
        ({"schedule": "R R * * *"}, "another moment at each reading"),
        ({"schedule": "30 r(1-5) * * 1"}, "another moment at each reading"),
        ({"schedule": "0 0 * * 3"}, "no moment of the schedule; the next is 2026-10-07"),
        ({"schedule": "monthly", "start": "2027-01-31"}, "not every month has a day 31"),
        ({"start": "2026-10-05 03:30:15"}, "no moment of the schedule"),
        ({"start": datetime(2026, 10, 5, tzinfo=timezone(timedelta(hours=3)))}, "is not in UTC"),
        ({"first_seed": 2**31 - 100}, "make fewer intervals"),
        ({"launch": True}, "needs approve: automatically"),
        ({"intervals": 0}, "greater than 0"),
        ({"first_id": 1}, "Extra inputs"),
        ({"request": TEMPLATE["request"] | {"seeds": "1-2"}}, "Extra inputs"),
    ],
)
def test_nonsense_is_refused(change, words):
    with pytest.raises(ValidationError, match=words):
        make(**change)


def test_what_may_change_later_is_no_promise():
    promise = make().promised()
    assert make(intervals=61, active=False, description="x", requester="other").promised() == promise
    assert make(first_seed=1).promised() != promise


@settings(max_examples=40, deadline=None)
@given(
    schedule=st.sampled_from(["daily", "weekly", "30 3 * * *", "30 3 * * 1,4", "30 3 1,15 * *"]),
    intervals=st.integers(1, 80),
    seeds=st.integers(1, 500),
)
def test_every_seed_and_id_of_the_block_belongs_to_exactly_one_interval(schedule, intervals, seeds):
    start = "2026-10-01 03:30" if schedule.startswith("30 3 1,15") else "2026-10-05 03:30"
    template = make(schedule=schedule, start=start, intervals=intervals, seeds_per_interval=seeds)
    blocks = [template.seeds_of(one) for one in range(intervals)]
    assert sum(len(one) for one in blocks) == len(template.block)
    assert all(one.last + 1 == after.first for one, after in pairwise(blocks))
    assert (blocks[0].first, blocks[-1].last) == (template.block.first, template.block.last)
    assert len({template.id_of(one) for one in range(intervals)}) == intervals
    assert all(begin < end for begin, end in map(template.bounds, range(intervals)))
    assert all(template.bounds(one)[1] == template.bounds(one + 1)[0] for one in range(intervals - 1))
