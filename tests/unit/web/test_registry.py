"""The registry of actions: all that the table of transitions lets people do is in it, and every entry can be called."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from prodsys.model.transitions import MOVES, Action
from prodsys.web.api.command_registry import ACTS
from prodsys.web.api.command_routes import endpoint_of

BY_NAME = {entry.name: entry for entry in ACTS}
PART_OF = {Action.DELAY: "launch"}  # launch at a time


def test_every_act_of_people_has_an_entry_with_its_right():
    for one in MOVES:
        if one.right is not None:
            entry = BY_NAME[PART_OF.get(one.act, str(one.act).replace(" ", "-"))]
            assert entry.right is one.right


def test_names_and_routes_are_unique():
    assert len(BY_NAME) == len(ACTS)
    assert len({(entry.method, entry.route) for entry in ACTS}) == len(ACTS)


@pytest.mark.parametrize("entry", ACTS, ids=lambda one: one.name)
def test_a_body_refuses_what_it_does_not_know(entry):
    assert issubclass(entry.body, BaseModel)
    assert entry.body.model_config["extra"] == "forbid"
    assert entry.body.model_config["frozen"]


@pytest.mark.parametrize("entry", ACTS, ids=lambda one: one.name)
def test_endpoints_run_in_threads(entry):
    import inspect

    assert not inspect.iscoroutinefunction(endpoint_of(entry))
