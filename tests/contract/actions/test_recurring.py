"""Recurring templates: one request an interval, and nobody else gets its seeds or id."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.approving import reject
from prodsys.actions.planning.planning import plan
from prodsys.actions.queries.showing import show_audit, show_claims, show_list, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.drop_folder import import_versioned
from prodsys.actions.requests.extending import extend
from prodsys.actions.requests.importing import import_intake
from prodsys.actions.requests.template_reservations import register, release
from prodsys.actions.runs.aborting import abort
from prodsys.actions.runs.controlling import withdraw
from prodsys.actions.runs.recurring import catch_up, recur, show_template
from prodsys.errors import IdTaken, NotAllowed, RequestUnknown, SeedsTaken, SpecInvalid, TemplateChanged
from prodsys.intake.result import Accepted, Intake
from prodsys.ledger.requests import get_spec
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow
from prodsys.model.policy import LimitSpec
from prodsys.model.recurring import RecurringSpec
from prodsys.model.seeds import parse_seeds
from prodsys.model.statuses import RecordedStatus
from prodsys.orchestrator.client import AirflowClient

WEEK = timedelta(days=7)
START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = START + 3 * WEEK + timedelta(hours=1)  # three intervals have ended
BASE: dict[str, Any] = {
    "name": "weekly",
    "schedule": "weekly",
    "start": START,
    "intervals": 10,
    "id_prefix": "DEMO",
    "first_number": 501,
    "first_seed": 60_001,
    "seeds_per_interval": 5,
    "requester": "prodmgr",
    "request": {
        "stage": "S2",
        "collision": "pp",
        "energy_gev": 27,
        "polarization": "UU",
        "geometry": "DSSD, TS, TOF, ECal, FARICH, RS, BBC, ZDC (sketch)",
        "software": "spdroot-dev",
        "version": "4.1.7.2",
        "tag": "minbias-P8-spdroot4172-dev",
        "events_per_file": 20,
    },
}
ONE = CloneOrder(seed_count=1, events_per_file=20)


def make(**changes: Any) -> RecurringSpec:
    return RecurringSpec.model_validate(BASE | changes)


@pytest.fixture(autouse=True)
def _book(import_demo):
    import_demo("requests_sheet.csv")


@pytest.fixture
def site(ctx, url, airflow):
    """Hands with an Airflow that shows every DAG."""
    clients = replace(ctx.clients, airflow=lambda: AirflowClient(url, "prodsys", "p", 5))
    return replace(ctx, clients=clients)


def children(ctx) -> dict[str, str]:
    return {one.request_id: one.seeds for one in show_list(ctx, like="DEMO")}


def test_every_interval_has_one_request_with_an_id_and_seeds_of_its_own(ctx):
    made = catch_up(ctx, make(), now=NOW)
    assert [one.created for one in made] == [True, True, True]
    assert [one.begin for one in made] == [START, START + WEEK, START + 2 * WEEK]
    assert children(ctx) == {
        "DEMO2026-501": "60001-60005",
        "DEMO2026-502": "60006-60010",
        "DEMO2026-503": "60011-60015",
    }
    assert catch_up(ctx, make(), now=NOW) == []
    again = recur(ctx, make(), START, now=NOW)
    assert (again.request_id, again.created, again.state) == ("DEMO2026-501", False, "planned")
    shown = show_request(ctx, "DEMO2026-502")
    assert (shown["requester"], shown["source"]["template"], shown["source"]["ordinal"]) == ("prodmgr", "weekly", 1)
    assert [one["action"] for one in show_audit(ctx, "DEMO2026-502")] == ["recur", "plan"]


def test_what_follows_does_not_depend_on_the_order_in_which_intervals_are_made(ctx):
    recur(ctx, make(), START + 2 * WEEK, now=NOW)
    recur(ctx, make(), START, now=NOW)
    assert [one.request_id for one in catch_up(ctx, make(), now=NOW)] == ["DEMO2026-502"]
    assert children(ctx)["DEMO2026-502"] == "60006-60010"


def test_an_interval_asked_for_by_many_at_once_is_made_once(ctx):
    answers, errors = [], []

    def ask() -> None:
        try:
            answers.append(recur(ctx, make(), START, now=NOW))
        except Exception as error:  # noqa: BLE001 - a thread must hand over whatever went wrong
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    assert [one.created for one in answers].count(True) == 1
    assert {one.request_id for one in answers} == {"DEMO2026-501"}
    assert len(children(ctx)) == 1


def test_nobody_else_gets_the_seeds_of_intervals_to_come(ctx):
    assert register(ctx, make())
    assert not register(ctx, make())
    [kept] = [one for one in show_claims(ctx, "PROD2025-016") if one["state"] == "reserved"]
    assert (kept["request_id"], kept["seeds"]) == ("template weekly", "60001-60050")
    assert [str(one) for one in clone(ctx, "PROD2025-016", None, ONE).seeds] == ["50001"]
    assert [str(one) for one in extend(ctx, "PROD2025-016", seed_count=9998).seeds] == ["50002-59999"]
    assert [str(one) for one in extend(ctx, "PROD2025-016", seed_count=1).seeds] == ["60000"]
    catch_up(ctx, make(), now=NOW)  # what it has used is passed over like what it keeps
    assert [str(one) for one in extend(ctx, "PROD2025-016", seed_count=2).seeds] == ["60051-60052"]
    with pytest.raises(SeedsTaken, match="60031-60032 belong to template weekly") as caught:
        clone(ctx, "PROD2025-016", None, replace(ONE, seed_count=None, seeds=parse_seeds("60031-60032")))
    assert caught.value.next_free == 60_053


def test_seeds_behind_the_highest_one_are_refused_in_words(ctx):
    limits = LimitSpec(seeds=2**31, jobs_of_task=2**31, jobs_of_request=2**33)
    policy = ctx.catalogue.policy.model_copy(update={"limits": limits})
    ctx = replace(ctx, catalogue=ctx.catalogue.model_copy(update={"policy": policy}))
    register(ctx, make(first_seed=2**31 - 51))
    order = CloneOrder(seed_count=2**31 - 52 - 50_000, events_per_file=20)
    assert [str(one) for one in clone(ctx, "PROD2025-016", None, order).seeds] == ["50001-2147483596"]
    with pytest.raises(SpecInvalid, match="behind the highest seed"):
        extend(ctx, "PROD2025-016", seed_count=2)


def test_a_draft_that_wants_kept_seeds_cannot_be_planned_and_history_cannot_claim_them(ctx):
    register(ctx, make())
    with transaction(ctx.sessions) as session:
        spec = get_spec(session, "PROD2025-016")
    for status, number in ((RecordedStatus.READY, 901), (RecordedStatus.DONE, 902)):
        changes = {"request_id": f"PROD2026-{number}", "seeds": "60001-70000", "recorded_status": status}
        wanted = type(spec).checked(spec.model_dump(mode="json") | changes)
        [fault] = import_intake(ctx, Intake((Accepted(wanted, "by.csv", 7),))).faults
        assert "60001-60050 belong to template weekly" in fault.message
    with pytest.raises(SeedsTaken):
        plan(ctx, "PROD2026-901")


def test_seeds_of_an_interval_that_never_ran_go_back_to_their_template(ctx):
    template = make()
    made = recur(ctx, template, START, now=NOW)
    assert show_template(ctx, template, now=NOW).kept_seeds == "60006-60050"
    abort(ctx, made.request_id, "not needed")
    assert show_template(ctx, template, now=NOW).kept_seeds == "60001-60050"
    with pytest.raises(SeedsTaken, match="template weekly"):
        clone(ctx, "PROD2025-016", None, CloneOrder(seeds=parse_seeds("60001-60002"), events_per_file=20))
    assert recur(ctx, template, START, now=NOW).state == "aborted"


def test_a_template_with_an_unknown_word_keeps_no_seeds(ctx):
    template = make(request=BASE["request"] | {"collision": "op"})
    with pytest.raises(SpecInvalid, match="'op' is not among the known collisions"):
        register(ctx, template)
    assert not [one for one in show_claims(ctx) if one["state"] == "reserved"]


def test_a_new_configuration_one_word_off_waits_for_a_person(ctx):
    request = BASE["request"] | {"energy_gev": 72}
    template = make(approve="automatically", launch=False, request=request, first_seed=1)
    answer = recur(ctx, template, START, now=NOW)
    assert answer.state == "planned"
    assert "waits for approval: question: is energy '72' meant?" in answer.message
    assert recur(ctx, template, START, now=NOW).state == "planned"


def test_nobody_else_gets_the_ids_of_intervals_to_come(ctx):
    clone(ctx, "PROD2025-016", "DEMO2026-500", ONE)
    register(ctx, make())
    assert clone(ctx, "DEMO2026-500", None, ONE).request_id == "DEMO2026-511"
    with pytest.raises(IdTaken, match="kept for requests of the recurring template weekly"):
        clone(ctx, "PROD2025-016", "DEMO2026-505", ONE)
    with pytest.raises(RequestUnknown):
        show_request(ctx, "DEMO2026-505")
    with pytest.raises(IdTaken, match="another template keeps some of numbers 508-510"):
        register(ctx, make(name="other", first_number=508, intervals=3, first_seed=80_001))
    with pytest.raises(IdTaken, match=r"DEMO2026-500 .*it is a request already"):
        register(ctx, make(name="other", first_number=491, first_seed=80_001))


def test_a_template_whose_seeds_have_an_owner_keeps_nothing(ctx):
    with pytest.raises(SeedsTaken, match="40001-40050 belong to PROD2025-016"):
        register(ctx, make(first_seed=40_001))
    register(ctx, make())
    with pytest.raises(SeedsTaken, match="60046-60050 belong to template weekly"):
        register(ctx, make(name="other", first_number=601, first_seed=60_046))
    assert not show_template(ctx, make(name="other"), now=NOW).registered


def test_a_template_may_grow_but_not_take_back_what_it_promised(ctx):
    register(ctx, make(first_seed=70_001))
    assert register(ctx, make())  # nothing was made of it yet
    catch_up(ctx, make(), now=NOW)
    for changes in ({"first_seed": 60_002}, {"start": START + WEEK}, {"intervals": 2}, {"seeds_per_interval": 6}):
        with pytest.raises(TemplateChanged, match=next(iter(changes))):
            recur(ctx, make(**changes), START + WEEK, now=NOW)
    longer = make(intervals=12)
    assert recur(ctx, longer, START, now=NOW).created is False
    assert show_template(ctx, longer, now=NOW).kept_seeds == "60016-60060"


def test_what_is_given_back_is_free_and_may_be_kept_again(ctx):
    catch_up(ctx, make(), now=NOW)
    assert [str(one) for one in release(ctx, "weekly")] == ["60016-60050"]
    with pytest.raises(SpecInvalid, match="nothing is kept"):
        release(ctx, "never-there")
    clone(ctx, "PROD2025-016", None, replace(ONE, seed_count=None, seeds=parse_seeds("60016")))
    with pytest.raises(SeedsTaken, match="60016 belong"):
        recur(ctx, make(), START + 3 * WEEK, now=NOW + WEEK)
    with pytest.raises(SpecInvalid, match="nothing is kept for 'unknown'"):
        release(ctx, "unknown")


def test_an_interval_that_is_not_there_or_not_over_is_refused(ctx):
    with pytest.raises(SpecInvalid, match="has not ended"):
        recur(ctx, make(), START + 3 * WEEK, now=NOW)
    with pytest.raises(SpecInvalid, match="no interval begins at"):
        recur(ctx, make(), START + timedelta(days=1), now=NOW)
    with pytest.raises(SpecInvalid, match="the template rests"):
        recur(ctx, make(active=False), START, now=NOW)
    assert children(ctx) == {}


def test_approved_by_hand_it_waits_with_its_plan(ctx):
    answer = recur(ctx, make(), START, now=NOW)
    assert (answer.state, "prodsys request approve DEMO2026-501" in answer.message) == ("planned", True)


def test_approved_automatically_within_the_policy_and_launched(site, airflow):
    template = make(approve="automatically", launch=True)
    acting = site.acting_as("template weekly", "service")
    answer = recur(acting, template, START, now=NOW)
    assert (answer.state, answer.message) == ("ready", "Airflow does not show its DAG yet: it waits as ready")
    assert show_request(site, "DEMO2026-501")["approved_by"] == "template weekly"
    assert recur(acting, template, START, now=NOW).created is False
    assert [one["action"] for one in show_audit(site, "DEMO2026-501")] == ["recur", "plan", "approve", "launch"]


def test_a_request_larger_than_the_policy_allows_waits_for_a_person(site):
    policy = site.catalogue.policy.model_copy(update={"recurring_jobs": 4})
    small = replace(site, catalogue=site.catalogue.model_copy(update={"policy": policy}))
    answer = recur(small, make(approve="automatically"), START, now=NOW)
    assert (answer.state, answer.message) == ("planned", "waits for approval: 5 jobs, automatically at most 4")


def test_what_a_person_took_back_is_not_approved_again_by_a_second_run(ctx):
    template = make(approve="automatically")
    recur(ctx, template, START, now=NOW)
    withdraw(ctx, "DEMO2026-501", "the field map is wrong")
    answer = recur(ctx, template, START, now=NOW)
    assert (answer.state, answer.message) == (
        "planned",
        "a person took its approval back: whoever approves it decides",
    )
    recur(ctx, template, START + WEEK, now=NOW)
    withdraw(ctx, "DEMO2026-502", "not needed")
    abort(ctx, "DEMO2026-502", "not needed")
    assert recur(ctx, template, START + WEEK, now=NOW).state == "aborted"


def test_a_plan_that_a_person_rejected_is_not_made_again_by_a_second_run(ctx):
    template = make(approve="automatically")
    recur(ctx, make(), START, now=NOW)
    reject(ctx, "DEMO2026-501", "the field map is wrong")
    answer = recur(ctx, template, START, now=NOW)
    assert (answer.state, answer.message) == ("checked", "a person rejected its plan: whoever approves it decides")


def test_an_import_does_not_change_what_a_template_made(ctx):
    recur(ctx, make(), START, now=NOW)
    with transaction(ctx.sessions) as session:
        changed = get_spec(session, "DEMO2026-501").model_copy(update={"priority": 1})
    [fault] = import_intake(ctx, Intake((Accepted(changed, "by.csv", 7),))).faults
    assert (fault.row, "recurring template weekly" in fault.message) == (7, True)


def test_a_rehearsal_makes_nothing(ctx):
    assert len(run_dry(ctx, lambda hands: catch_up(hands, make(), now=NOW)).answer) == 3
    assert children(ctx) == {}
    assert not show_template(ctx, make(), now=NOW).registered


def test_who_may_only_look_makes_nothing(ctx):
    visitor = ctx.acting_as("visitor", "viewer")
    for act in (
        lambda: register(visitor, make()),
        lambda: recur(visitor, make(), START),
        lambda: release(visitor, "x"),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_a_template_is_shown_with_what_is_missed_and_what_comes(ctx):
    recur(ctx, make(), START + WEEK, now=NOW)
    shown = show_template(ctx, make(), now=NOW)
    assert [(one.request_id, one.state) for one in shown.intervals] == [
        ("DEMO2026-501", ""),
        ("DEMO2026-502", "planned"),
        ("DEMO2026-503", ""),
        ("DEMO2026-504", ""),
    ]
    assert shown.kept_seeds == "60001-60005, 60011-60050"


def test_the_database_keeps_two_requests_of_one_interval_apart(ctx):
    recur(ctx, make(), START, now=NOW)
    with pytest.raises(Exception, match="uq_request_template_interval_start"), transaction(ctx.sessions) as session:
        session.add(
            RequestRow(
                request_id="DEMO2026-999",
                state="draft",
                recorded_status="draft",
                campaign="x",
                requester="x",
                template="weekly",
                interval_start=START,
            )
        )


def test_the_intake_keeps_seeds_for_templates_and_names_what_hinders_it(ctx, tmp_path):
    folder = tmp_path / "recurring"
    folder.mkdir()
    body = make().model_dump_json()
    (folder / "weekly.yaml").write_text(body)
    (folder / "other.yaml").write_text(body.replace('"weekly"', '"other"', 1).replace("501", "601"))
    (folder / "faulty.yaml").write_text("name: faulty")
    (folder / "resting.yaml").write_text(make(name="resting", active=False).model_dump_json())
    faults = import_versioned(ctx, tmp_path / "requests").faults
    assert {fault.file.rpartition("/")[2] for fault in faults} == {"faulty.yaml", "weekly.yaml"}
    assert any("belong to template other" in fault.message for fault in faults)
    assert not show_template(ctx, make(name="resting"), now=NOW).registered
