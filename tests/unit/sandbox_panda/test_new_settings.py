"""Settings of JEDI in small: defaults as recorded, impossible values named."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from sandbox.panda.messages.messenger import Messenger
from sandbox.panda.settings import Settings, SettingsInvalid, read_settings

NEEDED = {"SANDBOX_PANDA_DATABASE_URL": "x", "SANDBOX_PANDA_RSE_ROOT": "/r", "SANDBOX_PANDA_WORK": "/w"}


def _settings(**given: str) -> Settings:
    return read_settings(NEEDED | {f"SANDBOX_PANDA_{name}": value for name, value in given.items()})


def test_by_default_jedi_is_the_recorded_one() -> None:
    settings = _settings()
    assert (settings.refiners, settings.attempt_suffix, settings.max_queued_jobs) == (1, False, 0)
    assert settings.stomp_port is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("REFINERS", "0"), ("ATTEMPT_SUFFIX", "perhaps"), ("MAX_QUEUED_JOBS", "-1"), ("STOMP_PORT", "70000")],
)
def test_an_impossible_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"SANDBOX_PANDA_{name}"):
        _settings(**{name: value})


def test_a_login_needs_a_passcode_that_can_be_read(tmp_path: Path) -> None:
    engine = create_engine("sqlite://")
    with pytest.raises(SettingsInvalid, match="SANDBOX_PANDA_STOMP_PASSCODE_FILE"):
        Messenger(_settings(STOMP_PORT="61613", STOMP_LOGIN="a"), engine)
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        Messenger(_settings(STOMP_PORT="61613", STOMP_LOGIN="a", STOMP_PASSCODE_FILE=str(tmp_path / "no")), engine)
    (tmp_path / "passcode").write_text("secret\n")
    known = _settings(STOMP_PORT="61613", STOMP_LOGIN="a", STOMP_PASSCODE_FILE=str(tmp_path / "passcode"))
    assert Messenger(known, engine).works
    assert not Messenger(_settings(), engine).works
