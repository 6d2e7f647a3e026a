"""Hands of a caller: his name, his roles by policy, specs read once; a faulty server is not the caller's fault."""

from __future__ import annotations

import pytest

from prodsys.errors import SettingMissing
from prodsys.settings import Settings
from prodsys.web.context_factory import SettingsContextFactory
from prodsys.web.person import Person
from prodsys.web.problems import kind_of
from prodsys.web.refusals import SpecsFaulty

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"  # nothing is contacted before it is used


@pytest.fixture
def make_context() -> SettingsContextFactory:
    return SettingsContextFactory(Settings({"PRODSYS_DATABASE_URL": NOWHERE}))


def test_roles_follow_from_those_at_airflow(make_context):
    ctx = make_context(Person("ann", frozenset({"Submitter", "Viewer", "Op"})))
    assert (ctx.who, ctx.roles) == ("ann", {"submitter", "viewer"})
    assert make_context(Person("bob")).roles == frozenset()


def test_specs_are_read_once_and_shared(make_context):
    first, second = make_context(Person("ann")), make_context(Person("bob"))
    assert first.catalogue is second.catalogue
    assert first.sessions is second.sessions
    assert (first.who, second.who) == ("ann", "bob")
    assert first.clients is not second.clients  # each has a journal of its own


def test_faulty_specs_are_the_servers_fault(tmp_path):
    (tmp_path / "policy.yaml").write_text("{")
    make_context = SettingsContextFactory(Settings({"PRODSYS_DATABASE_URL": NOWHERE, "PRODSYS_SPECS": str(tmp_path)}))
    with pytest.raises(SpecsFaulty) as caught:
        make_context(Person("ann"))
    assert (kind_of(caught.value).status, kind_of(caught.value).open) == (500, False)


def test_a_missing_setting_is_told_in_the_log_alone():
    with pytest.raises(SettingMissing) as caught:
        SettingsContextFactory(Settings({}))(Person("ann"))
    assert (kind_of(caught.value).status, kind_of(caught.value).open) == (500, False)
