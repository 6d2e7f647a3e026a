"""Trials: made of the first seeds of a request, in another partition, and wanted before a large approval."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.planning.trial import start_trial
from prodsys.actions.queries.showing import show_audit, show_claims, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.errors import InvalidTransition, NotAllowed, RequestUnknown, SpecInvalid, TrialMissing
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, RequestRow
from prodsys.model.seeds import parse_seeds
from prodsys.settings import REPOSITORY

MASS = "PROD2025-016"


@pytest.fixture(autouse=True)
def _book(import_demo):
    import_demo("requests_sheet.csv")


def put(ctx, request_id, state):
    with transaction(ctx.sessions) as session:
        session.get(RequestRow, request_id).state = state


def test_a_mass_production_is_not_approved_before_a_trial_and_the_error_says_how_to_make_one(ctx):
    plan(ctx, MASS)
    with pytest.raises(TrialMissing, match=f"there is none yet. Make one: prodsys request trial {MASS}"):
        approve(ctx, MASS)
    trial = start_trial(ctx, MASS).trial
    with pytest.raises(TrialMissing, match=f"{trial} is planned"):
        approve(ctx, MASS)
    put(ctx, trial, "complete")
    with pytest.raises(TrialMissing):
        approve(ctx, MASS)  # without a certificate it has not succeeded
    assert show_request(ctx, MASS)["state"] == "planned"


def test_a_trial_takes_the_first_seeds_of_its_request_as_its_pilot(ctx):
    answer = start_trial(ctx, MASS)
    assert (answer.trial, answer.state, answer.seeds, answer.events) == (
        "TEST2025-001",
        "planned",
        "40001-40010",
        4000,
    )
    found = show_request(ctx, "TEST2025-001")
    assert (found["spec"]["partition"], found["spec"]["events_per_file"]) == ("test", 400)
    [reuse] = found["reuse"]
    assert (reuse["owner"], reuse["seeds"], reuse["kind"]) == (MASS, "40001-40010", "pilot_of")
    assert answer.plan.plan.steps[0].datasets[0].did.startswith("test:test.minbias")
    assert {one["request_id"] for one in show_claims(ctx, MASS) if one["seeds"] == "40001-50000"} == {MASS}
    assert "never add the two samples together" in answer.plan.warnings[0]
    assert [one["action"] for one in show_audit(ctx, "TEST2025-001")] == ["trial", "plan"]


def test_asked_for_again_a_trial_is_the_same_and_after_a_failure_another(ctx):
    first = start_trial(ctx, MASS)
    assert start_trial(ctx, MASS) == first
    put(ctx, first.trial, "running")
    on_its_way = start_trial(ctx, MASS)
    assert (on_its_way.trial, on_its_way.state, on_its_way.plan) == (first.trial, "running", None)
    put(ctx, first.trial, "failed")
    assert start_trial(ctx, MASS).trial == "TEST2025-002"


def test_a_trial_that_was_put_away_counts_when_it_succeeded(ctx):
    first = start_trial(ctx, MASS).trial
    put(ctx, first, "archived")
    second = start_trial(ctx, MASS).trial
    assert second == "TEST2025-002"
    approve(ctx, second)
    put(ctx, second, "archived")
    with transaction(ctx.sessions) as session:
        session.add(CertificateRow(request_id=second, certificate_revision=1, digest="d", body={}, path="c.json"))
    assert start_trial(ctx, MASS).trial == second


def test_a_trial_and_a_clone_with_the_same_id_at_once_make_one_request(ctx):
    def ask(number: int) -> str:
        try:
            if number % 2:
                return start_trial(ctx, MASS, "TEST2025-050").trial
            return clone(ctx, MASS, "TEST2025-050", CloneOrder(seed_count=2)).request_id
        except InvalidTransition as refused:
            return type(refused).__name__

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sorted(set(answers)) == ["InvalidTransition", "TEST2025-050"]


def test_a_trial_may_have_another_id_and_fewer_seeds(ctx):
    answer = start_trial(ctx, MASS, "TEST2025-077", 2)
    assert (answer.trial, answer.seeds) == ("TEST2025-077", "40001-40002")
    assert start_trial(ctx, MASS, "TEST2025-077").seeds == "40001-40002", "it stands as it was made"
    clone(ctx, MASS, "TEST2025-078", CloneOrder(seed_count=2))
    with pytest.raises(InvalidTransition, match="a trial of PROD2025-016 under this id"):
        start_trial(ctx, MASS, "TEST2025-078")


def test_a_file_with_a_request_of_the_same_id_does_not_overwrite_a_trial(ctx, import_demo):
    book = REPOSITORY / "include" / "specs" / "requests" / "spd-mc-2025" / "TEST2025-001.yaml"
    trial = start_trial(ctx, MASS)
    answer = import_demo(book)
    assert answer.revised == []
    assert any(f"is the trial of {MASS}" in fault.message for fault in answer.faults)
    assert show_request(ctx, trial.trial)["seeds"] == trial.seeds


def test_a_trial_of_a_trial_or_of_something_launched_is_refused(ctx):
    trial = start_trial(ctx, MASS).trial
    with pytest.raises(InvalidTransition):
        start_trial(ctx, trial)
    with pytest.raises(InvalidTransition):
        start_trial(ctx, "PROD2025-012")
    put(ctx, MASS, "running")
    with pytest.raises(InvalidTransition):
        start_trial(ctx, MASS)


def test_a_policy_without_trials_wants_none_and_makes_none(ctx):
    policy = ctx.catalogue.policy.model_copy(update={"trial": ()})
    free = replace(ctx, catalogue=ctx.catalogue.model_copy(update={"policy": policy}))
    plan(free, MASS)
    assert approve(free, MASS).state == "approved"
    with pytest.raises(SpecInvalid, match="no rule of trial fits"):
        start_trial(free, "PROD2025-015")


def test_a_trial_itself_needs_no_trial(ctx):
    [rule] = ctx.catalogue.policy.trial
    policy = ctx.catalogue.policy.model_copy(update={"trial": (rule.model_copy(update={"above_core_hours": 0.0}),)})
    eager = replace(ctx, catalogue=ctx.catalogue.model_copy(update={"policy": policy}))
    trial = start_trial(eager, MASS).trial
    assert approve(eager, trial).state == "approved"


def test_a_rehearsed_trial_leaves_nothing(ctx):
    assert run_dry(ctx, lambda hands: start_trial(hands, MASS)).answer.state == "planned"
    with pytest.raises(RequestUnknown):
        show_request(ctx, "TEST2025-001")


def test_who_may_only_look_makes_no_trial(ctx):
    with pytest.raises(NotAllowed):
        start_trial(ctx.acting_as("visitor", "viewer"), MASS)


def test_seeds_that_the_request_itself_reuses_are_reused_from_their_owner(ctx, import_demo):
    order = CloneOrder(seeds=parse_seeds("60001-60040"))
    clone(ctx, MASS, "DEMO2025-001", order)
    assert start_trial(ctx, "DEMO2025-001").seeds == "60001-60010"
