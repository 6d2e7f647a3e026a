"""Scenario files: what they may say, and how rules find their targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.panda.scenario import Scenario, ScenarioFile, ScenarioInvalid, read_scenario, within

SHIPPED = Path(__file__).resolve().parents[3] / "sandbox" / "panda" / "scenarios"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_is_valid_and_described(path: Path) -> None:
    assert read_scenario(path).description


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("rules: [{match: {seeed: 1}, fail: {}}]", "seeed"),
        ("rules: [{match: {task: '('}, fail: {}}]", "no regular expression"),
        ("rules: [{match: {}}]", "exactly one of"),
        ("rules: [{fail: {}, lose_reply: {}}]", "exactly one of"),
        ("rules: [{fail: {times: never}}]", "times"),
        ("rules: [{fail: {error: {transExitCode: 300}}}]", "transExitCode"),
        ("rules: {", "cannot be read"),
    ],
)
def test_a_wrong_scenario_says_where(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioInvalid, match=place):
        read_scenario(path)


def test_a_file_is_followed_while_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    follower = ScenarioFile(path)
    assert follower.current.rules == []
    path.write_text("rules: [{lose_reply: {times: 1}}]")
    assert len(follower.current.rules) == 1
    path.unlink()
    assert follower.current.rules == []


def test_rules_match_by_task_seed_and_site() -> None:
    rule = Scenario.model_validate(
        {"rules": [{"match": {"task": "SIM", "seed": [1, 2], "site": "A"}, "fail": {}}]}
    ).rules[0]
    assert rule.match.hits_job("x.SIM.1", 2, "A")
    assert not rule.match.hits_job("x.SIM.1", 3, "A")
    assert not rule.match.hits_job("x.SIM.1", 2, "B")
    assert not rule.match.hits_job("x.RECO.1", 2, "A")


def test_times() -> None:
    assert within("always", 99)
    assert within(1, 0)
    assert not within(1, 1)
