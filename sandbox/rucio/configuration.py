"""What the Rucio server is told: its configuration file, its issuer, its first content."""

from __future__ import annotations

import configparser
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prodsys.intake.yaml_file import load_yaml

SCHEMA = "rucio"
ROOT_LOGIN = "root"
POLICY_PACKAGE = "sandbox.rucio.server.policy"
# The specs give patterns of partitions, a catalogue needs names. The robot may add more: the policy package lets it.
SCOPES = ("MC2025_S1", "MC2025_S2", "test")
QUOTA_BYTES = 10**15
ISSUER_NAME = "spd"


@dataclass(frozen=True)
class RucioSettings:
    """Where the parts of the server are; ``environment`` is its virtual environment."""

    folder: Path
    environment: Path
    database_url: str = field(repr=False)
    root_password: str = field(repr=False)
    issuer: str
    client_secrets: Mapping[str, str] = field(repr=False)  # of the issuer's clients `rucio` and `rucio-admin`

    @property
    def file(self) -> Path:
        """The configuration file."""
        return self.folder / "rucio.cfg"

    @property
    def layout(self) -> Path:
        """Accounts, scopes and storage the catalogue must have."""
        return self.folder / "layout.json"


def write_configuration(settings: RucioSettings) -> None:
    """Write ``rucio.cfg``, ``alembic.ini`` and ``idpsecrets.json``, readable by their owner alone."""
    (settings.folder / "log").mkdir(parents=True, exist_ok=True)
    _write(settings.file, _ini(_rucio_sections(settings)))
    _write(settings.folder / "alembic.ini", _ini(_alembic_sections(settings)))
    _write(settings.folder / "idpsecrets.json", json.dumps(_issuer(settings), indent=1))


def _rucio_sections(settings: RucioSettings) -> dict[str, dict[str, str]]:
    folder = settings.folder
    return {
        "common": {
            "logdir": str(folder / "log"),
            "loglevel": "WARNING",
            "mailtemplatedir": str(settings.environment / "rucio" / "etc" / "mail_templates"),
        },
        "database": {
            "default": settings.database_url,
            "schema": SCHEMA,
            "pool_size": "10",
            "max_overflow": "20",
            "pool_recycle": "3600",
            "pool_reset_on_return": "rollback",
            "echo": "0",
        },
        "bootstrap": {
            "userpass_identity": ROOT_LOGIN,
            "userpass_pwd": settings.root_password,
            "userpass_email": "root@localhost",
            "x509_identity": "",
            "gss_identity": "",
            "ssh_identity": "",
        },
        "alembic": {"cfg": str(folder / "alembic.ini")},
        "policy": {
            "package": POLICY_PACKAGE,
            "permission": "generic",
            "schema": "generic",
            "lfn2pfn_algorithm_default": "hash",
        },
        "conveyor": {"scheme": "file", "transfertool": "localcopy"},
        "oidc": {
            "idpsecrets": str(folder / "idpsecrets.json"),
            "admin_issuer": ISSUER_NAME,
            "expected_audience": "rucio",
            "expected_scope": "openid",
        },
    }


def _alembic_sections(settings: RucioSettings) -> dict[str, dict[str, str]]:
    library = next((settings.environment / "lib").glob("python3*/site-packages"))
    return {
        "alembic": {
            "script_location": str(library / "rucio" / "db" / "sqla" / "migrate_repo"),
            "sqlalchemy.url": settings.database_url,
            "version_table_schema": SCHEMA,
        },
        "loggers": {"keys": "root"},
        "handlers": {"keys": "console"},
        "formatters": {"keys": "plain"},
        "logger_root": {"level": "WARNING", "handlers": "console", "qualname": ""},
        "handler_console": {"class": "StreamHandler", "args": "(sys.stderr,)", "level": "NOTSET", "formatter": "plain"},
        "formatter_plain": {"format": "%(levelname)s %(name)s %(message)s"},
    }


def _issuer(settings: RucioSettings) -> dict[str, object]:
    secrets = settings.client_secrets
    admin = {"client_id": "rucio-admin", "client_secret": secrets["rucio-admin"], "grant_type": "client_credentials"}
    return {
        ISSUER_NAME: {
            "issuer": settings.issuer,
            "client_id": "rucio",
            "client_secret": secrets["rucio"],
            "redirect_uris": [f"{settings.issuer}auth/oidc_code", f"{settings.issuer}auth/oidc_token"],
            "SCIM": admin,
        }
    }


def write_layout(settings: RucioSettings, sites: Path, rse_root: Path, subjects: tuple[str, ...]) -> None:
    """Write what the catalogue must hold: the storages of ``sites.yaml``, the account of the robots and its scopes.

    Parameters
    ----------
    settings : RucioSettings
        Tells the issuer and where the file goes.
    sites : Path
        ``include/specs/sites.yaml``.
    rse_root : Path
        One folder per storage is made in it.
    subjects : tuple of str
        Subjects of tokens that act as the account ``production``.
    """
    rses = {}
    for name, site in storages(sites).items():
        folder = rse_root / name
        folder.mkdir(parents=True, exist_ok=True)
        rses[name] = {"folder": str(folder), "attributes": {"site": site, "type": "DATADISK", "greedyDeletion": True}}
    production = {
        "type": "SERVICE",
        "email": "production@localhost",
        "limit_bytes": QUOTA_BYTES,
        "oidc": [f"SUB={subject}, ISS={settings.issuer}" for subject in subjects],
    }
    layout = {"rses": rses, "accounts": {"production": production}, "scopes": dict.fromkeys(SCOPES, "production")}
    _write(settings.layout, json.dumps(layout, indent=1))


def storages(sites: Path) -> dict[str, str]:
    """Site of every storage named in ``sites.yaml``."""
    table = load_yaml(sites)
    known = {row["rse"]: row["site"] for row in table["queues"]}
    return {name: known.get(name, name.partition("_")[0]) for name in table["rses"]}


def server_environment(settings: RucioSettings, repository: Path) -> dict[str, str]:
    """Environment of the server's processes."""
    return {
        "PYTHONPATH": str(repository),
        "RUCIO_HOME": str(settings.folder),
        "RUCIO_CONFIG": str(settings.file),
        "SANDBOX_RUCIO_LAYOUT": str(settings.layout),
        "SANDBOX_RUCIO_TRANSFERS": str(settings.folder / "transfers"),
        "SANDBOX_RUCIO_HEARTBEAT": str(settings.folder / "pump.heartbeat"),
        "SANDBOX_RUCIO_COPIES": "simulated" if os.environ.get("SANDBOX_PANDA_JOBS") == "simulated" else "bytes",
    }


def _ini(sections: Mapping[str, Mapping[str, str]]) -> str:
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_dict(sections)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
