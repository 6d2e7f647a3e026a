"""The only reasons for which a contract test may be skipped, and at which target each can be true."""

from __future__ import annotations

from typing import NoReturn

import pytest

NOT_RECORDED = "the recordings answer only what was recorded"
NO_FAILURES = "a live server does not fail jobs on demand"
NO_SECOND_TOKEN = "no token of this kind was given for the live server"
NOT_OURS = "a live server is not killed, paused or looked into by tests"
TOO_SLOW = "the live server did not get there within the suite's 18 minutes"
TOO_QUICK = "the live server was done before the command came"
NOT_PANDAS = "what a site's web server serves beside PanDA's API is the site's own"
NAME_SPENT = "the empty name can be used once, and somebody has used it at the live server"

POSSIBLE_AT = {
    NOT_RECORDED: {"recordings"},
    NO_FAILURES: {"live"},
    NO_SECOND_TOKEN: {"live"},
    NOT_OURS: {"live"},
    TOO_SLOW: {"live"},
    TOO_QUICK: {"live"},
    NOT_PANDAS: {"live"},
    NAME_SPENT: {"live"},
}
"""A skip at another target, or for another reason, is a failure of the suite."""


def complaint(reason: str, target: str) -> str:
    """What is wrong with a skip for this reason at this target; empty when it is in order."""
    if reason not in POSSIBLE_AT:
        return f"unexpected skip, its reason is not one of the list: {reason}"
    if target not in POSSIBLE_AT[reason]:
        return f"unexpected skip, target {target} cannot have the reason: {reason}"
    return ""


def skip(reason: str) -> NoReturn:
    """Skip the test for one of the known reasons; an unknown one is an error."""
    assert reason in POSSIBLE_AT, f"no reason of the list: {reason}"
    pytest.skip(reason)
