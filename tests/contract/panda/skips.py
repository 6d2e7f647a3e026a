"""The only reasons for which a contract test may be skipped."""

from __future__ import annotations

from typing import NoReturn

import pytest

NOT_RECORDED = "the recordings answer only what was recorded"
NO_FAILURES = "a live server does not fail jobs on demand"
NO_SECOND_TOKEN = "no token of this kind was given for the live server"
NOT_OURS = "a live server is not killed, paused or looked into by tests"
TOO_SLOW = "takes longer on a live server than its suite may"

REASONS = frozenset({NOT_RECORDED, NO_FAILURES, NO_SECOND_TOKEN, NOT_OURS, TOO_SLOW})


def skip(reason: str) -> NoReturn:
    """Skip the test for one of the known reasons; an unknown one is an error."""
    assert reason in REASONS, f"no reason of the list: {reason}"
    pytest.skip(reason)
