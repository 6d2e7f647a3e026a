"""Whether the copies of a plan fit: as much as each storage can take, and never more than one copy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsys.actions.planning.external_checks import check_room, check_shared
from prodsys.ddm.facts import SharedQuota, Space
from prodsys.errors import InsufficientSpace
from prodsys.intake.catalogue import load_catalogue
from prodsys.model.estimate import Estimate, build_estimate
from prodsys.model.plan import Plan, build_plan
from tests.unit.intake.corpus import SPECS
from tests.unit.model.test_plan import SPEC

CATALOGUE = load_catalogue(SPECS, "sandbox")
PLAN = build_plan(SPEC, 1, CATALOGUE)
ESTIMATE = build_estimate(PLAN, CATALOGUE.chains["SIM-RECO"], {}, ())
VOLUME = ESTIMATE.volume_bytes
HERE, THERE, THIRD = "JINR_EOS", "PNPI_EOS", "SAMARA_EOS"


def on(copies: int, *rses: str) -> Plan:
    """The plan with other rules."""
    return PLAN.model_copy(update={"rules": PLAN.rules.model_copy(update={"rses": rses, "copies": copies})})


def spaces(*found: Space) -> dict[str, Space]:
    return {one.rse: one for one in found}


def fits(plan: Plan, *found: Space, estimate: Estimate = ESTIMATE) -> bool:
    try:
        check_room(plan, estimate, spaces(*found))
    except InsufficientSpace:
        return False
    return True


@pytest.mark.parametrize(
    ("here", "there", "answer"),
    [
        (Space(HERE, free=VOLUME), Space(THERE, free=VOLUME), True),
        (Space(HERE, free=VOLUME - 1), Space(THERE, free=VOLUME), False),
        (Space(HERE, free=10 * VOLUME), Space(THERE, free=VOLUME - 1), False),
        (Space(HERE, free=10 * VOLUME, quota_left=VOLUME - 1), Space(THERE), False),
        (Space(HERE, free=VOLUME, quota_left=VOLUME), Space(THERE, unlimited=True), True),
        (Space(HERE), Space(THERE), True),
        (Space(HERE, quota_left=-5), Space(THERE), False),
    ],
)
def test_two_copies_need_the_room_of_one_on_each_of_two_storages(here, there, answer):
    assert fits(on(2, HERE, THERE), here, there) is answer


def test_of_three_storages_two_must_have_room():
    plan = on(2, HERE, THERE, THIRD)
    full = Space(HERE, free=VOLUME)
    assert fits(plan, full, Space(THERE, free=0), Space(THIRD, free=VOLUME))
    half = [Space(rse, free=VOLUME // 2 + 1) for rse in (THERE, THIRD)]
    assert fits(plan, full, *half), "datasets may go to different storages"
    assert not fits(plan, full, Space(THERE, free=0), Space(THIRD, free=VOLUME - 1))


def test_the_error_names_storage_need_and_room():
    with pytest.raises(InsufficientSpace, match="quota leaves") as caught:
        check_room(on(2, HERE, THERE), ESTIMATE, spaces(Space(HERE, free=5 * VOLUME, quota_left=7), Space(THERE)))
    assert (caught.value.rse, caught.value.needed, caught.value.free) == (HERE, VOLUME, 7)


def test_what_jobs_write_first_must_fit_too_where_no_copy_stays():
    passing = PLAN.steps[0].rse
    keeps = THIRD
    room = Space(keeps, free=VOLUME)
    assert fits(on(1, keeps), room, Space(passing, free=VOLUME))
    assert not fits(on(1, keeps), room, Space(passing, free=VOLUME - 1))
    assert fits(on(1, keeps), room, Space(passing, quota_left=0)), "a storage without a rule uses no quota"


@given(rooms=st.lists(st.integers(0, 3 * VOLUME), min_size=1, max_size=4), copies=st.integers(1, 4))
def test_it_is_refused_exactly_when_the_copies_cannot_be_laid_out(rooms, copies):
    names = [f"RSE{number}" for number in range(len(rooms))]
    if copies > len(rooms):
        return
    plan = on(copies, *names)
    plan = plan.model_copy(update={"steps": tuple(step.model_copy(update={"rse": "X"}) for step in plan.steps)})
    found = [Space(name, free=room) for name, room in zip(names, rooms, strict=True)]
    laid = sum(min(room, VOLUME) for room in rooms)
    assert fits(plan, *found) is (laid >= copies * VOLUME)


@pytest.mark.parametrize(
    ("copies", "rses", "left", "answer"),
    [
        (2, {HERE, THERE}, 2 * VOLUME, True),
        (2, {HERE, THERE}, 2 * VOLUME - 1, False),
        (1, {HERE}, 0, True),  # the one copy may lie on the other storage
        (2, {HERE}, VOLUME, True),
        (2, {HERE}, VOLUME - 1, False),
        (2, {THIRD}, 0, True),
    ],
)
def test_a_quota_over_several_storages_must_take_what_cannot_lie_elsewhere(copies, rses, left, answer):
    quotas = [SharedQuota("some", frozenset(rses), left)]
    if answer:
        check_shared(on(copies, HERE, THERE), ESTIMATE, quotas)
    else:
        with pytest.raises(InsufficientSpace, match="over them"):
            check_shared(on(copies, HERE, THERE), ESTIMATE, quotas)
