"""Steps run side by side, and a failure holds up only what needs it."""

from __future__ import annotations

import threading

import pytest

from sandbox.stack.errors import StackError
from sandbox.stack.steps import NotTried, Result, Step, run_steps


def quiet(_: Result) -> None:
    """Report nothing."""


def fail() -> None:
    raise ValueError("broken")


def test_a_step_runs_after_what_it_waits_for() -> None:
    seen: list[str] = []
    steps = [Step("b", lambda: seen.append("b"), ("a",)), Step("a", lambda: seen.append("a"))]
    run_steps(steps, quiet)
    assert seen == ["a", "b"]


def test_steps_that_need_nothing_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    results = run_steps([Step("a", lambda: both.wait() and None), Step("b", lambda: both.wait() and None)], quiet)
    assert all(result.error is None for result in results.values())


def test_what_needs_a_failed_step_is_left_out_and_the_rest_goes_on() -> None:
    told: list[str] = []
    steps = [
        Step("bad", fail),
        Step("child", fail, ("bad",)),
        Step("grandchild", fail, ("child",)),
        Step("other", lambda: None),
    ]
    results = run_steps(steps, lambda result: told.append(result.name))
    assert isinstance(results["bad"].error, ValueError)
    assert isinstance(results["child"].error, NotTried)
    assert str(results["grandchild"].error) == "grandchild was not tried: it needs child"
    assert results["other"].error is None
    assert sorted(told) == ["bad", "child", "grandchild", "other"]


def test_a_circle_is_told_instead_of_waiting_for_ever() -> None:
    with pytest.raises(StackError, match="wait for each other: a, b"):
        run_steps([Step("a", fail, ("b",)), Step("b", fail, ("a",))], quiet)
