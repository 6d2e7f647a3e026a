"""What policy.yaml may say about trials, second persons and prefixes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from prodsys.errors import SpecInvalid
from prodsys.intake.catalogue import load_catalogue
from prodsys.model.policy import PolicySpec, SecondPerson
from tests.unit.intake.corpus import SPECS


@pytest.fixture(scope="module")
def policy():
    return load_catalogue(SPECS, "sandbox").policy


def changed(policy: PolicySpec, **values: object) -> PolicySpec:
    return PolicySpec.model_validate(policy.model_dump() | values)


@pytest.mark.parametrize("name", ["PROD2031-001", "TEST2031-001", "DEMO2031-001"])
def test_a_known_prefix_is_taken(policy, name):
    policy.check_prefix(name)


@pytest.mark.parametrize("name", ["MASS2031-001", "2031-001", "prod2031-001"])
def test_an_unknown_prefix_is_refused_with_the_known_ones(policy, name):
    with pytest.raises(SpecInvalid) as caught:
        policy.check_prefix(name)
    assert "PROD" in str(caught.value)


def test_a_trial_gets_an_id_that_may_be_given_out(policy):
    with pytest.raises(ValidationError, match="the prefix TRY is not among the prefixes PROD, TEST, DEMO"):
        changed(policy, trial=[{"above_core_hours": 1, "seeds": 3, "prefix": "TRY"}])


def test_the_first_rule_of_trials_that_fits_counts_and_none_is_none(policy):
    rules = [
        {"requests": "DEMO.*", "above_core_hours": 1, "seeds": 1},
        {"partitions": "MC.*", "above_core_hours": 2, "seeds": 2},
    ]
    several = changed(policy, trial=rules)
    assert several.trial_rule("DEMO2031-001", "SIM-RECO", "MC2031_S1").seeds == 1
    assert several.trial_rule("PROD2031-001", "SIM-RECO", "MC2031_S1").seeds == 2
    assert several.trial_rule("PROD2031-001", "SIM-RECO", "test") is None


@pytest.mark.parametrize(
    ("core_hours", "volume", "needed"), [(10, 100, False), (11, 100, True), (10, 101, True), (0, 0, False)]
)
def test_a_second_person_is_needed_above_either_size(core_hours, volume, needed):
    assert SecondPerson(above_core_hours=10, above_bytes=100).is_needed(core_hours, volume) is needed


def test_the_book_s_largest_request_needs_a_trial_and_one_approval(policy):
    """The numbers of policy.yaml against 40 million events: 70 000 core hours, 74 TB with both copies."""
    assert not policy.second_person.is_needed(70_000, 74 * 10**12)
    assert policy.trial_rule("PROD2025-016", "SIM-RECO", "MC2025_S2").above_core_hours < 70_000
