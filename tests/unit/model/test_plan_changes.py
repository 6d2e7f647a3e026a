"""What differs between two plans, field by field."""

from __future__ import annotations

import pytest

from prodsys.intake.catalogue import load_catalogue
from prodsys.model.plan import build_plan
from prodsys.model.plan_changes import plan_changes
from prodsys.model.request import RequestSpec
from tests.unit.intake.corpus import SPECS
from tests.unit.model.test_plan import SPEC


@pytest.fixture(scope="module")
def body():
    catalogue = load_catalogue(SPECS, "sandbox")

    def of(**changes: object) -> dict[str, object]:
        spec = RequestSpec.model_validate(SPEC.model_dump() | changes)
        return build_plan(spec, 1, catalogue).model_dump(mode="json")

    return of


def test_equal_plans_differ_in_nothing(body):
    assert plan_changes(body(), body()) == ()


def test_a_changed_version_is_named_once_with_what_follows_from_it(body):
    said = [str(one) for one in plan_changes(body(), body(version="4.1.7.1"))]
    assert "spec.version: 4.1.7.2 -> 4.1.7.1" in said
    assert not any("digest" in one for one in said)


def test_more_seeds_show_in_jobs_events_and_figures_of_each_step(body):
    changes = {one.field: (one.before, one.after) for one in plan_changes(body(), body(seeds="1-4", events=80))}
    assert changes["spec.seeds"] == ("1-3", "1-4")
    assert changes["steps[SIM].jobs"] == changes["steps[RECO].jobs"] == ("3", "4")
    assert "seeds" not in changes


def test_a_dataset_of_another_name_is_one_change_and_not_two(body):
    changes = [one for one in plan_changes(body(), body(tag="dimuon-P8-spdroot4172-dev")) if "[S]" in one.field]
    assert [one.field for one in changes] == ["steps[SIM].datasets[S].did", "steps[SIM].datasets[S].container"]


def test_a_part_that_came_or_went_is_said_to_be_not_there(body):
    one, other = body(bunches=1), body(bunches=2)
    assert "bunches[1].seeds: not there -> 1-2" in [str(change) for change in plan_changes(one, other)]
    assert "bunches[2].seeds: 3 -> not there" in [str(change) for change in plan_changes(other, one)]
