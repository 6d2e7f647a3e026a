"""Scenario files: what they may say, and how rules find their targets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.panda.trouble.deeds import Fail
from sandbox.panda.trouble.scenario import Scenario, ScenarioFile, ScenarioInvalid, read_scenario, within

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
        ("rules: [{name: a, fail: {error: lost_hart}}]", r"rule 1 \(a\): fail.error: .* did you mean lost_heartbeat"),
        ("rules: [{fail: {}}, {match: {site: A}, slow: {}}]", "rule 2: slow: slow has either wall_s or factor"),
        ("rules: [{offline: {}}]", "offline needs the site"),
        ("rules: [{match: {task: SIM, site: A}, offline: {}}]", "offline cannot be matched by task; only site"),
        ("rules: [{match: {seed: 1}, answer: {how: html}}]", "answer cannot be matched by seed; only endpoint, task"),
        ("rules: [{match: {share: 0.1, count: 3}, fail: {}}]", "exclude each other"),
        ("rules: [{match: {share: 1.5}, fail: {}}]", "match.share"),
        ("rules: [{during: {from_s: 9, to_s: 8}, fail: {}}]", "to_s 8.0 is not after from_s 9.0"),
        ("rules: [{act: {command: retry, when: done}}]", "PanDA refuses retry at status done; accepted at exhausted"),
        ("rules: [{act: {command: change_priority}}]", "priority belongs to"),
        ("rules: [{name: a, fail: {}}, {name: a, slow: {wall_s: 1}}]", "two rules are named 'a'"),
        ("rules: [{answer: {how: error, status: 404}}]", "answer.status"),
        ("rules: [{answer: {how: eror}}]", "answer.how"),
        ("rulez: []", "unknown key 'rulez', did you mean rules"),
        ("[1]", "valid dictionary"),
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


def test_a_file_that_breaks_leaves_the_last_good_one_in_force(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("rules: [{lose_reply: {times: 1}}]")
    follower = ScenarioFile(path)
    identity = follower.identity
    path.write_text("rules: [{lose_reply: {tymes: 1}}]")
    assert len(follower.current.rules) == 1
    assert follower.identity == identity
    assert "rule 1: lose_reply.tymes: unknown key 'tymes', did you mean times?" in follower.trouble
    path.write_text("rules: []  # mended")
    assert (follower.current.rules, follower.trouble) == ([], "")


def test_the_same_file_written_again_is_put_in_force_anew(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("rules: [{lose_reply: {times: 1}}]")
    follower = ScenarioFile(path)
    before = follower.identity
    os.utime(path, ns=(1, 1))
    assert follower.identity != before


def test_rules_match_by_task_seed_and_site() -> None:
    rule = Scenario.model_validate(
        {"rules": [{"match": {"task": "SIM", "seed": [1, 2], "site": "A"}, "fail": {}}]}
    ).rules[0]
    assert rule.match.hits_job("x.SIM.1", 2, "A")
    assert not rule.match.hits_job("x.SIM.1", 3, "A")
    assert not rule.match.hits_job("x.SIM.1", 2, "B")
    assert not rule.match.hits_job("x.RECO.1", 2, "A")


def test_times() -> None:
    assert within(Fail.model_validate({"times": "always"}).times, 99)
    assert within(1, 0)
    assert not within(1, 1)
