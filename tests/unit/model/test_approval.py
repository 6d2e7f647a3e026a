"""The question about a plan: its names, its words, and what counts as an answer."""

from __future__ import annotations

import pytest

from prodsys.intake.catalogue import load_catalogue
from prodsys.model.approval import LINES, Subject, code, describe_question, digest_of_words, fault_of_answer
from prodsys.model.plan import build_plan
from prodsys.model.plan_changes import Change
from tests.unit.model.test_plan import SPEC, SPECS

DIGEST = "sha256:9f2c41d0aa37e5b1"
EVIL = "`</code>**free**\n\n# heading [x](javascript:y) | <script>"


def test_a_run_is_named_by_request_digest_and_how_often_it_was_asked() -> None:
    subject = Subject("PROD2026-001", DIGEST, "w")
    assert (subject.run_id(1), subject.run_id(3)) == (
        "PROD2026-001-9f2c41d0aa37",
        "PROD2026-001-9f2c41d0aa37.3",
    )
    assert subject.line == "PROD2026-001: plan 9f2c41d0aa37"


@pytest.mark.parametrize(
    ("conf", "same"),
    [
        ({"request_id": "R", "digest": "d", "words": "w", "said": "no"}, True),
        ({"request_id": "R"}, True),
        ({"request_id": "R", "digest": "d"}, True),
        ({"request_id": "R", "digest": "d", "words": "other"}, False),
        ({"request_id": "S", "digest": "d", "words": "w"}, False),
        ({"request_id": "R", "digest": None, "words": 0}, True),
    ],
)
def test_what_a_person_left_open_fits_everything(conf, same) -> None:
    assert Subject.of_conf(conf).is_about(Subject("R", "d", "w")) is same


def test_a_subject_reads_back_from_what_its_run_is_given() -> None:
    subject = Subject("R", "d", "w")
    assert Subject.of_conf(subject.conf) == subject


def test_text_from_outside_stays_in_its_code_span() -> None:
    assert code(EVIL).count("`") == 2
    assert "\n" not in code(EVIL)
    assert code("") == "` `"
    assert len(code("x" * 9000)) < 400


def test_the_words_hold_plan_changes_warnings_and_who_approved_first() -> None:
    changes = [Change("rules.copies", "1", "2"), Change("spec.labels", None, EVIL)]
    plan = build_plan(SPEC, 1, load_catalogue(SPECS, "sandbox"))
    body = describe_question(plan, DIGEST, None, changes, [EVIL] * (LINES + 2), "deputy")
    assert body.startswith("**`deputy` has approved it")
    assert "- `rules.copies`: `1` → `2`" in body
    assert "- and 2 more: prodsys request plan" in body
    assert f"Plan `{DIGEST}`" in body
    assert not any("free" in part or "<script" in part for part in body.split("`")[::2])
    plain = describe_question(plan, DIGEST, None, [], [], "")
    assert "Warnings" not in plain
    assert "Changed" not in plain
    assert digest_of_words(plain) != digest_of_words(body)


@pytest.mark.parametrize(
    ("choice", "params", "fault"),
    [
        ("Approve", {"digest": DIGEST, "comment": ""}, ""),
        ("Approve", {"digest": f" {DIGEST}\n"}, ""),
        ("Reject", {"digest": DIGEST, "comment": "too many"}, ""),
        ("Approve", {}, "not that of the plan"),
        ("Approve", {"digest": "sha256:0"}, "not that of the plan"),
        ("Approve", {"digest": DIGEST, "comment": None}, ""),
        ("Approve", {"digest": DIGEST, "comment": ["a"]}, "no text"),
        ("Reject", {"digest": DIGEST, "comment": None}, "why"),
        ("Reject", {"digest": DIGEST, "comment": ""}, "why"),
        ("reject", {"digest": DIGEST}, "none of"),
        ("", {"digest": DIGEST}, "none of"),
    ],
)
def test_an_answer_is_looked_at_again(choice, params, fault) -> None:
    found = fault_of_answer(choice, params, DIGEST)
    assert (fault in found) if fault else (found == "")
