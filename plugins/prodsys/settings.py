"""Where this deployment's services are: read from the environment, else from ``$PRODSYS_HOME/prodsys.env``.

Nothing is read at import. The file is written by whoever runs the services (in the sandbox: the stack), mode 0600.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prodsys.errors import SettingMissing

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """The settings of one process; a missing one is complained about when it is needed, not before."""

    values: Mapping[str, str]

    def get(self, name: str, default: str | None = None) -> str | None:
        """Value of ``PRODSYS_<name>``, or the default."""
        return self.values.get(f"PRODSYS_{name}") or default

    def need(self, name: str) -> str:
        """Value of ``PRODSYS_<name>``.

        Raises
        ------
        SettingMissing
            It is neither in the environment nor in ``prodsys.env``.
        """
        value = self.get(name)
        if value is None:
            raise SettingMissing(
                f"PRODSYS_{name}",
                f"set it in the environment, or start the sandbox (make up), which writes {self.home / 'prodsys.env'}",
            )
        return value

    def secret(self, name: str) -> str:
        """Content of the file named by ``PRODSYS_<name>_FILE``, without the newline at its end."""
        path = Path(self.need(f"{name}_FILE"))
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingMissing(f"PRODSYS_{name}_FILE", f"{path} cannot be read: {error.strerror}") from error

    @property
    def home(self) -> Path:
        """Folder of all state, ``$PRODSYS_HOME`` or ``.prodsys`` in the repository."""
        return Path(self.get("HOME") or REPOSITORY / ".prodsys").resolve()

    @property
    def specs(self) -> Path:
        """Folder of the specs, ``$PRODSYS_SPECS`` or ``include/specs`` of the repository."""
        return Path(self.get("SPECS") or REPOSITORY / "include" / "specs")

    @property
    def profile(self) -> str:
        """Name of the profile (``include/specs/profiles/<name>.yaml``)."""
        return self.get("PROFILE") or "sandbox"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings of this process: the environment wins over ``prodsys.env``."""
    own = dict(os.environ if environment is None else environment)
    file = Settings(own).home / "prodsys.env"
    stored = _parse(file.read_text(encoding="utf-8")) if os.access(file, os.R_OK) else {}
    return Settings(stored | {k: v for k, v in own.items() if k.startswith("PRODSYS_")})


def _parse(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}
