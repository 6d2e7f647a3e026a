"""What Airflow learns about this package as a provider; read without importing any hook."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGE = "prodsys"
_IAM_FIELDS: dict[str, Any] = {
    "issuer": {
        "label": "IAM issuer",
        "description": "Address of the OIDC issuer; empty: PRODSYS_IAM_ISSUER.",
        "schema": {"type": ["string", "null"]},
    },
    "audience": {
        "label": "Token audience",
        "description": "Who reads the token; empty: as the profile says.",
        "schema": {"type": ["string", "null"]},
    },
    "timeout_s": {
        "label": "Timeout [s]",
        "description": "Longest wait for one answer; empty: as the profile says.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
}
_RELABELING = {"host": "Address", "login": "Client id", "password": "Client secret"}
PANDA_CONNECTION: dict[str, Any] = {
    "connection-type": "panda",
    "hook-class-name": "prodsys.hooks.panda.PandaHook",
    "hook-name": "PanDA",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": _RELABELING,
        "placeholders": {"host": "https://panda.example.org", "login": "production"},
    },
    "conn-fields": {
        "origin": {
            "label": "Origin",
            "description": "VO and role, such as spd.production; empty: as the profile says.",
            "schema": {"type": ["string", "null"]},
        },
        **_IAM_FIELDS,
    },
}
RUCIO_CONNECTION: dict[str, Any] = {
    "connection-type": "rucio",
    "hook-class-name": "prodsys.hooks.rucio.RucioHook",
    "hook-name": "Rucio",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": _RELABELING,
        "placeholders": {"host": "https://rucio.example.org", "login": "production"},
    },
    "conn-fields": {
        "account": {
            "label": "Rucio account",
            "description": "Empty: PRODSYS_RUCIO_ACCOUNT.",
            "schema": {"type": ["string", "null"]},
        },
        **_IAM_FIELDS,
    },
}


def get_provider_info() -> dict[str, Any]:
    """Name, version, connection types and links for Airflow's list of providers."""
    return {
        "package-name": PACKAGE,
        "name": "Prodsys",
        "description": "Monte Carlo productions through PanDA and Rucio.",
        "versions": [_version()],
        "connection-types": [PANDA_CONNECTION, RUCIO_CONNECTION],
        "extra-links": ["prodsys.hooks.links.PandaTaskLink"],
    }


def _version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
