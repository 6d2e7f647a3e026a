"""Words that no list knows are refused at every door; a new configuration one word off a used one is a question."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from prodsys.actions.planning.checking import check
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.planning.trial import start_trial
from prodsys.actions.queries.showing import show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.drafting import draft, edit, revise
from prodsys.actions.requests.extending import extend
from prodsys.errors import InvalidTransition, RequestChanged, SpecInvalid
from prodsys.ledger.requests import get_spec
from prodsys.ledger.session import transaction
from prodsys.model.request import Configuration, RequestSpec
from tests.contract.actions.conftest import DEMO

SOURCE, REQUEST = "PROD2025-016", "DEMO2025-016"
SMALL = CloneOrder(seed_count=3, events_per_file=20)


@pytest.fixture(autouse=True)
def _draft(ctx, import_demo):
    import_demo("requests_sheet.csv")
    clone(ctx, SOURCE, REQUEST, SMALL)


def stored(ctx, request_id: str = REQUEST) -> RequestSpec:
    with transaction(ctx.sessions) as session:
        return get_spec(session, request_id)


def old_draft_with(ctx, **changes) -> None:
    """A draft as it was written before there were lists."""
    spec = RequestSpec.checked(stored(ctx).model_dump(mode="json") | changes)
    values = {
        "spec": json.dumps(spec.model_dump(mode="json")),
        "digest": spec.digest(),
        "configuration": Configuration.of(spec).digest(),
        "id": REQUEST,
    }
    change = (
        "update prodsys.request_revision set spec = cast(:spec as jsonb), digest = :digest, "
        "configuration = :configuration where request_id = :id"
    )
    with transaction(ctx.sessions) as session:
        session.execute(text(change), values)


def test_a_slip_in_a_sheet_takes_no_seeds(ctx, import_demo, tmp_path):
    book = (DEMO / "requests_sheet.csv").read_text().splitlines(keepends=True)
    sheet = tmp_path / "slip.csv"
    row = book[3].replace("PROD2025-011,Done,S2,pp", "PROD2025-500,Ready,S2,op")
    sheet.write_text("".join([*book[:2], row, book[4]]))
    answer = import_demo(sheet)
    assert answer.created == []
    [fault] = answer.faults
    assert "did you mean 'pp'?" in fault.remedy


@pytest.mark.parametrize(
    "act",
    [
        lambda ctx: plan(ctx, REQUEST),
        lambda ctx: clone(ctx, REQUEST, "DEMO2025-900", SMALL),
        lambda ctx: extend(ctx, REQUEST, "DEMO2025-900"),
        lambda ctx: start_trial(ctx, REQUEST, "TEST2025-900"),
    ],
    ids=["plan", "clone", "extend", "trial"],
)
def test_an_old_draft_with_an_unknown_word_goes_no_further(ctx, act):
    old_draft_with(ctx, collision="op")
    with pytest.raises(Exception, match="'op' is not among the known collisions"):
        act(ctx)
    finding = next(one for one in check(ctx, REQUEST).findings if one.fault)
    assert finding.place == f"{REQUEST}.collision"
    assert "physics.yaml" in finding.remedy


def test_a_draft_written_by_hand_is_checked_and_spelled_as_known(ctx):
    values = stored(ctx).model_dump(mode="json") | {"request_id": "PROD2026-901", "seeds": "1000001-1000003"}
    for change in ({"stage": "S9"}, {"collision": "pA"}, {"polarization": "XX"}, {"geometry": "DSSX"}):
        with pytest.raises(SpecInvalid, match="not among the known"):
            draft(ctx, RequestSpec.checked(values | change))
    kept = draft(ctx, RequestSpec.checked(values | {"collision": "PP", "polarization": "uu"}))
    assert (kept.collision, kept.polarization) == ("pp", "UU")
    answer = revise(ctx, "PROD2026-901", RequestSpec.checked(values | {"geometry": values["geometry"].lower()}))
    assert answer.spec.geometry == values["geometry"]
    assert any("is taken as" in note for note in answer.notes)


# --- one word away ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"collision": "dd"}, "collision", "dd"),
        ({"energy_gev": 72}, "energy", "72"),
        ({"polarization": "UL"}, "polarization", "UL"),
        ({"geometry": "DSSD, TS, TOF, ECal, RS, BBC, ZDC (sketch)"}, "geometry", "bbc, dssd"),
        ({"variant": "D0sgi"}, "variant", "d0sgi"),
        ({"tag": "minbias-FTF-spdroot4172-dev"}, "generator", "minbias-ftf"),
    ],
)
def test_a_new_configuration_one_word_away_is_a_question_at_check_and_plan(ctx, change, field, word):
    edit(ctx, REQUEST, change)
    asked = [str(one) for one in check(ctx, REQUEST).findings if "question: " in str(one)]
    planned = [one for one in plan(ctx, REQUEST).warnings if one.startswith("question: ")]
    assert len(asked) == len(planned) == 1
    assert f"is {field} '{word}" in planned[0]
    assert "PROD2025-01" in planned[0]
    assert approve(ctx, REQUEST).state == "approved"


def test_a_configuration_that_was_used_or_differs_in_two_words_is_no_question(ctx):
    assert not [one for one in plan(ctx, REQUEST).warnings if one.startswith("question: ")]
    edit(ctx, REQUEST, {"collision": "dd", "energy_gev": 72})
    assert not [one for one in plan(ctx, REQUEST).warnings if one.startswith("question: ")]


# --- edit -------------------------------------------------------------------------------------------------------------
def test_an_edit_changes_one_field_and_makes_a_revision(ctx):
    answer = edit(ctx, REQUEST, {"priority": 800})
    found = show_request(ctx, REQUEST)
    assert (found["revision"], found["spec"]["priority"], found["state"]) == (2, 800, "draft")
    assert edit(ctx, REQUEST, {"priority": 800}).spec == answer.spec
    assert show_request(ctx, REQUEST)["revision"] == 2
    assert edit(ctx, REQUEST, {"seeds": "50001-50002"}).spec.events == 40
    taken = edit(ctx, REQUEST, {"seeds": "40001-40002"})
    assert "belong to PROD2025-016" in taken.notes[0]
    with pytest.raises(SpecInvalid, match="op"):
        edit(ctx, REQUEST, {"collision": "op"})
    with pytest.raises(SpecInvalid, match="a request keeps its id"):
        edit(ctx, REQUEST, {"request_id": "DEMO2025-900"})


def test_history_and_what_is_approved_are_not_edited(ctx):
    with pytest.raises((SpecInvalid, InvalidTransition)):
        edit(ctx, "PROD2025-012", {"priority": 800})
    plan(ctx, REQUEST)
    approve(ctx, REQUEST)
    with pytest.raises(InvalidTransition):
        edit(ctx, REQUEST, {"priority": 800})


def test_an_edit_of_what_somebody_else_changed_is_refused(ctx):
    before = stored(ctx)
    edit(ctx, REQUEST, {"priority": 800})
    with pytest.raises(RequestChanged):
        revise(ctx, REQUEST, before.model_copy(update={"description": "mine"}), seen=before)
