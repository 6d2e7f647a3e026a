"""Hands of a caller: his name, his roles by policy, specs read once; a faulty server is not the caller's fault."""

from __future__ import annotations

import pytest

from prodsys.errors import SettingMissing
from prodsys.settings import Settings
from prodsys.web.context_factory import HandsFromSettings
from prodsys.web.person import Person
from prodsys.web.problems import kind_of
from prodsys.web.refusals import SpecsFaulty

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"  # nothing is contacted before it is used


@pytest.fixture
def hands() -> HandsFromSettings:
    return HandsFromSettings(Settings({"PRODSYS_DATABASE_URL": NOWHERE}))


def test_roles_follow_from_those_at_airflow(hands):
    ctx = hands(Person("ann", frozenset({"Submitter", "Viewer", "Op"})))
    assert (ctx.who, ctx.roles) == ("ann", {"submitter", "viewer"})
    assert hands(Person("bob")).roles == frozenset()


def test_specs_are_read_once_and_shared(hands):
    first, second = hands(Person("ann")), hands(Person("bob"))
    assert first.catalogue is second.catalogue
    assert first.sessions is second.sessions
    assert (first.who, second.who) == ("ann", "bob")
    assert first.clients is not second.clients  # each has a journal of its own


def test_faulty_specs_are_the_servers_fault(tmp_path):
    (tmp_path / "policy.yaml").write_text("{")
    hands = HandsFromSettings(Settings({"PRODSYS_DATABASE_URL": NOWHERE, "PRODSYS_SPECS": str(tmp_path)}))
    with pytest.raises(SpecsFaulty) as caught:
        hands(Person("ann"))
    assert (kind_of(caught.value).status, kind_of(caught.value).open) == (500, False)


def test_a_missing_setting_is_told_in_the_log_alone():
    with pytest.raises(SettingMissing) as caught:
        HandsFromSettings(Settings({}))(Person("ann"))
    assert (kind_of(caught.value).status, kind_of(caught.value).open) == (500, False)
