"""What was stored by an earlier release loads, keeps its digest, and is described and compared as before."""

from __future__ import annotations

import copy

import pytest
from pydantic import ValidationError

from prodsys.intake.catalogue import load_catalogue
from prodsys.model.certificate import Certificate
from prodsys.model.names import Did
from prodsys.model.plan import Plan, build_plan, describe
from prodsys.model.plan_changes import plan_changes
from prodsys.model.request import digest_of
from tests.stored_before import CERTIFICATES, PLANS, stored
from tests.unit.intake.corpus import SPECS


@pytest.mark.parametrize("name", [*PLANS, *CERTIFICATES])
def test_the_files_are_what_was_stored(name: str) -> None:
    body, digest = stored(name)
    assert digest_of(body) == digest


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_of_before_loads_and_keeps_its_digest(name: str) -> None:
    """A field that a model gets later has a default and is left out of the body while it is that (`exclude_if`)."""
    body, digest = stored(name)
    plan = Plan.model_validate(body)
    assert plan.model_dump(mode="json") == body
    assert plan.digest() == digest
    assert plan.spec.digest() == body["spec_digest"]
    assert plan.configuration.digest() == body["configuration_digest"]


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_of_before_loads_and_keeps_its_digest(name: str) -> None:
    body, digest = stored(name)
    certificate = Certificate.model_validate(body)
    again = certificate.model_dump(mode="json")
    assert again == body
    assert digest_of(again) == digest


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_of_before_is_described_with_its_own_digest(name: str) -> None:
    body, digest = stored(name)
    text = describe(Plan.model_validate(body), digest)
    assert f"Plan `{digest}`" in text
    assert f"{body['events']} events" in text
    assert all(step["task_name"] in text for step in body["steps"])


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_of_before_is_compared_with_one_of_today_field_by_field(name: str) -> None:
    body, _ = stored(name)
    shown = Plan.model_validate(body)
    today = build_plan(shown.spec, shown.revision, load_catalogue(SPECS, "sandbox"), shown.reading)
    other = copy.deepcopy(today.model_dump(mode="json"))
    other["priority"] = other["spec"]["priority"] = shown.priority + 1
    assert "spec.priority" in {change.field for change in plan_changes(body, other)}
    assert plan_changes(body, body) == ()


@pytest.mark.parametrize("name", PLANS)
def test_the_names_of_a_plan_of_before_still_parse(name: str) -> None:
    plan = Plan.model_validate(stored(name)[0])
    assert all(Did.parse(str(did)) == did for did in plan.dataset_dids())
    assert plan.sample.step_container(plan.steps[0].kind, plan.steps[0].outputs[0])


def test_what_nobody_knows_is_still_refused() -> None:
    body, _ = stored("plan")
    with pytest.raises(ValidationError, match="alien"):
        Plan.model_validate(body | {"alien": 1})
