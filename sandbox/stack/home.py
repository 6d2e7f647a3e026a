"""Where one stack keeps what: the folders of ``PRODSYS_HOME`` and its generated secrets."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prodsys.settings import REPOSITORY, read_settings
from prodsys.whole_files import write_whole

__all__ = ["REPOSITORY", "Credentials", "Home", "current_home"]

PRIVATE_FOLDERS = ("run", "secrets", "rucio", "pg")
OPEN_FOLDERS = ("log", "airflow", "rse", "panda", "intake/done", "intake/faulty", "certificates", "demo")


@dataclass(frozen=True)
class Home:
    """The folders of one stack."""

    root: Path

    @property
    def run(self) -> Path:
        """What holds only while programs run: configuration, ports, process ids."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """One log file a program."""
        return self.root / "log"

    @property
    def secrets(self) -> Path:
        """Generated passwords, keys and tokens, each a file of mode 0600."""
        return self.root / "secrets"

    @property
    def ports(self) -> Path:
        """Ports of the programs."""
        return self.run / "ports.json"

    @property
    def environment_file(self) -> Path:
        """``PRODSYS_*`` settings for programs that the stack did not start."""
        return self.root / "prodsys.env"

    def folder(self, name: str) -> Path:
        """Return one of the other folders: ``airflow``, ``rse``, ``panda``, ``rucio``, ``pg``."""
        return self.root / name

    def log_of(self, program: str) -> Path:
        """Log file of a program or of a step of the start."""
        return self.log / f"{program}.log"

    def create(self) -> None:
        """Make the folders; what holds secrets is closed to others."""
        self.root.mkdir(parents=True, exist_ok=True)
        for name in OPEN_FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for name in PRIVATE_FOLDERS:
            (self.root / name).mkdir(mode=0o700, exist_ok=True)


def current_home() -> Home:
    """Home of ``$PRODSYS_HOME``, else ``.prodsys`` in the repository."""
    return Home(read_settings().home)


def random_secret() -> str:
    """Return a password that needs no quoting anywhere."""
    return secrets.token_urlsafe(24)


def random_fernet_key() -> str:
    """Return a key as Fernet wants it: 32 bytes, base64 for addresses."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@dataclass(frozen=True)
class Credentials:
    """Secrets of one stack; what is asked for first time is generated and kept."""

    folder: Path

    def path(self, name: str) -> Path:
        """File of a secret."""
        return self.folder / name

    def get(self, name: str, generate: Callable[[], str] = random_secret) -> str:
        """Value of a secret, without the newline at its end."""
        path = self.path(name)
        if not path.exists():
            write_whole(path, generate() + "\n")
        return path.read_text(encoding="utf-8").strip()
