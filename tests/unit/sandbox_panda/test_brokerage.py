"""Which queues a task may use, and how its jobs are spread over them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.panda.settings import Site
from sandbox.panda.tasks.brokerage import BrokerageFailed, find_queues, spread_jobs


def _site(name: str, **about: Any) -> Site:
    return Site(name=name, rse="R", **about)


SITES = {
    "A": _site("A", cloud="X", slots=4),
    "B": _site("B", cloud="Y"),
    "C": _site("C", status="offline"),
}


@pytest.mark.parametrize(
    ("wanted", "cloud", "names"),
    [
        ("A", None, "A"),
        ("A", "Y", "A"),
        ("B, A", None, "AB"),
        ("A,NOWHERE", None, "A"),
        ("A,C", None, "A"),
        (None, "X", "A"),
        (None, None, "AB"),
        ("", None, "AB"),
    ],
)
def test_queues_of_a_task(wanted: str | None, cloud: str | None, names: str) -> None:
    assert "".join(site.name for site in find_queues(SITES, wanted, cloud)) == names


@pytest.mark.parametrize(
    ("wanted", "cloud", "blocked", "reason"),
    [
        ("NOWHERE", None, {}, "unknown site=NOWHERE"),
        ("C", None, {}, "no candidates: C is offline"),
        ("A", None, {"A": "down for maintenance"}, "no candidates: A is down for maintenance"),
        ("A,C", None, {"A": "full"}, "no candidates: C is offline, A is full"),
    ],
)
def test_without_a_queue_the_reason_is_said(
    wanted: str | None, cloud: str | None, blocked: dict[str, str], reason: str
) -> None:
    with pytest.raises(BrokerageFailed) as caught:
        find_queues(SITES, wanted, cloud, blocked)
    assert str(caught.value) == f"{reason}. brokerage failed for 1 input datasets when trying 1 datasets."


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 50), min_size=1),
    st.dictionaries(st.sampled_from("ABCDE"), st.integers(0, 100)),
    st.integers(0, 300),
)
def test_jobs_go_where_the_least_work_a_slot_is(slots: dict[str, int], load: dict[str, int], count: int) -> None:
    queues = [_site(name, slots=number) for name, number in sorted(slots.items())]
    chosen = spread_jobs(count, queues, load)
    given_to = Counter(site.name for site in chosen)
    assert given_to.total() == count
    work = {name: (load.get(name, 0) + given_to[name], slots[name]) for name in slots}
    for name in given_to:  # without its last job no queue would have had more work a slot than any other
        jobs, size = work[name]
        assert all((jobs - 1) / size <= other_jobs / other for other_jobs, other in work.values())
