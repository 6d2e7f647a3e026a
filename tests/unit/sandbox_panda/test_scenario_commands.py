"""``prodsys sandbox scenario`` at a shell: lists, refuses, puts in force, generates its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from sandbox.panda.commands import app
from sandbox.panda.trouble.scenario_commands import SCENARIOS, SCHEMA, schema_text

SHIPPED = sorted(SCENARIOS.glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """Return a validator of the schema, which itself is valid."""
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file a sandbox of this test would read."""
    monkeypatch.setenv("PRODSYS_HOME", str(tmp_path))
    monkeypatch.delenv("PRODSYS_PANDA_URL", raising=False)
    monkeypatch.setenv("SANDBOX_PANDA_SCENARIO", str(tmp_path / "scenario.yaml"))
    return tmp_path / "scenario.yaml"


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["scenario", *words])
    return result.exit_code, result.output


def test_the_schema_in_the_repository_is_current() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "run make docs"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_schema_knows_every_shipped_scenario(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "wrong",
    [{"rulez": []}, {"rules": [{"fail": {"error": "lost_hart"}}]}, {"rules": [{"fail": {"times": 0}}]}],
    ids=["key", "word", "number"],
)
def test_the_schema_refuses_what_the_loader_refuses(
    wrong: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(wrong)


def test_list_names_every_scenario_and_marks_the_one_in_force(in_force: Path) -> None:
    assert run("use", "fail-once")[0] == 0
    assert in_force.read_bytes() == (SCENARIOS / "fail-once.yaml").read_bytes()
    _, text = run("list", "--json")
    rows = json.loads(text)
    assert [row["name"] for row in rows] == [path.stem for path in SHIPPED]
    assert [row["name"] for row in rows if row["in_force"]] == ["fail-once"]


def test_a_broken_file_is_refused_with_place_and_remedy_and_the_old_one_stays(in_force: Path, tmp_path: Path) -> None:
    run("use", "fail-once")
    mine = tmp_path / "mine.yaml"
    mine.write_text("rules:\n  - name: typo\n    match: {seeed: 3}\n    fail: {}\n")
    code, text = run("use", str(mine))
    assert code == 1
    assert f"scenario {mine}: rule 1 (typo): match.seeed: unknown key 'seeed', did you mean seed?" in text
    assert in_force.read_bytes() == (SCENARIOS / "fail-once.yaml").read_bytes()
    assert run("check", str(mine)) == (code, text)


def test_check_accepts_what_can_be_used(in_force: Path) -> None:
    code, text = run("check", str(SCENARIOS / "bad-slot.yaml"))
    assert (code, text.strip().rsplit(": ", 1)[-1]) == (0, "1 rules")
    assert not in_force.exists()


def test_show_tells_the_rules_of_a_scenario_and_of_the_one_in_force(in_force: Path) -> None:
    assert "1. the third slot fails twice: " in run("show", "bad-slot")[1]
    assert run("show")[1].strip() == "(no description)"
    run("use", "bad-slot")
    shown = json.loads(run("show", "--json")[1])
    assert shown["file"] == str(in_force)
    assert shown["rules"][0]["match"] == {"slot": 2}


def test_an_unknown_name_is_answered_with_the_known_ones(in_force: Path) -> None:
    code, text = run("use", "nothing")
    assert (code, in_force.exists()) == (1, False)
    assert "there is no scenario 'nothing'; known: bad-node, " in text


def test_the_journal_needs_a_sandbox(in_force: Path) -> None:
    code, text = run("journal")
    assert code == 1
    assert "start it with `prodsys stack up`" in text
    assert not in_force.exists()


def test_errors_are_listed_by_their_words(in_force: Path) -> None:
    rows = {row["word"]: row for row in json.loads(run("errors", "--json")[1])}
    assert rows["stage_out_failed"]["code"] == 1137
    assert rows["lost_heartbeat"]["field"] == "jobDispatcherErrorCode"
    assert not in_force.exists()
