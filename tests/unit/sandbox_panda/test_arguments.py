"""Arguments of endpoints: the recorded texts."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.panda.api.arguments import ArgumentFault, bind_arguments


def _endpoint(call: object, task_id: int, soft: bool = False, name: str | None = None, job_ids: list[int] = []) -> None:  # noqa: B006
    """An endpoint to bind."""


@pytest.mark.parametrize(
    ("given", "cast", "text"),
    [
        ({}, True, "Argument error: missing a required argument: 'task_id'"),
        ({"task_id": ["1"], "extra": ["1"]}, True, "Argument error: got an unexpected keyword argument 'extra'"),
        (
            {"task_id": ["abc"]},
            True,
            "Type error: 'task_id' with value 'abc' could not be casted to type int from str.",
        ),
        ({"task_id": "1"}, False, "Type error: 'task_id' must be of type int, got str."),
        ({"task_id": True}, False, "Type error: 'task_id' must be of type int, got bool."),
        ({"task_id": 1, "job_ids": ["x"]}, False, "Type error: All elements in 'job_ids' must be int."),
        (
            {"task_id": ["1"], "job_ids": ["x"]},
            True,
            "Type error: 'job_ids' with value '['x']' could not be casted to type List from list.",
        ),
    ],
)
def test_faults_are_worded_as_recorded(given: dict[str, Any], cast: bool, text: str) -> None:
    with pytest.raises(ArgumentFault) as caught:
        bind_arguments(_endpoint, given, cast)
    assert str(caught.value) == text


def test_texts_of_a_query_get_their_types() -> None:
    given = {"task_id": ["7"], "soft": ["True"], "name": ["None"], "job_ids": ["1", "2"]}
    found = bind_arguments(_endpoint, given, True)
    assert found == {"task_id": 7, "soft": True, "name": None, "job_ids": [1, 2]}
