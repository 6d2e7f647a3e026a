"""Settings: the environment wins over the file, and what is missing is named when it is needed."""

from __future__ import annotations

import pytest

from prodsys.errors import SettingMissing
from prodsys.settings import REPOSITORY, read_settings


def test_nothing_needs_to_be_set(tmp_path):
    settings = read_settings({"PRODSYS_HOME": str(tmp_path)})
    assert (settings.profile, settings.specs) == ("sandbox", REPOSITORY / "include" / "specs")
    assert settings.home == tmp_path.resolve()


def test_the_environment_wins_over_the_file(tmp_path):
    (tmp_path / "prodsys.env").write_text(
        "# written by the stack\nPRODSYS_PROFILE=spd\nPRODSYS_PANDA_URL = http://a?x=1\n"
    )
    environment = {"PRODSYS_HOME": str(tmp_path), "PRODSYS_RUCIO_URL": "http://b", "HOME": "/elsewhere"}
    settings = read_settings(environment)
    assert (settings.profile, settings.need("PANDA_URL"), settings.need("RUCIO_URL")) == (
        "spd",
        "http://a?x=1",
        "http://b",
    )
    assert read_settings(environment | {"PRODSYS_PROFILE": "sandbox"}).profile == "sandbox"
    assert "HOME" not in settings.values


def test_a_missing_setting_is_named_with_a_remedy(tmp_path):
    settings = read_settings({"PRODSYS_HOME": str(tmp_path), "PRODSYS_DATABASE_URL": ""})
    with pytest.raises(SettingMissing, match=r"PRODSYS_DATABASE_URL is missing.*make up"):
        settings.need("DATABASE_URL")


def test_a_secret_is_read_from_its_file_without_the_newline(tmp_path):
    (tmp_path / "secret").write_text("hush\n")
    settings = read_settings({"PRODSYS_HOME": str(tmp_path), "PRODSYS_KEY_FILE": str(tmp_path / "secret")})
    assert settings.secret("KEY") == "hush"
    gone = read_settings({"PRODSYS_HOME": str(tmp_path), "PRODSYS_KEY_FILE": str(tmp_path / "none")})
    with pytest.raises(SettingMissing, match="cannot be read"):
        gone.secret("KEY")
