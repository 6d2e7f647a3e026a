"""Who acts on the command line."""

from __future__ import annotations

import getpass
import os
import pwd

from prodsys.settings import Settings

DEFAULT_ROLES = "manager"  # whoever can read the ledger's password on this machine


def current_actor(settings: Settings, who: str | None = None) -> tuple[str, frozenset[str]]:
    """Name and roles: the option, else ``PRODSYS_USER`` and ``PRODSYS_ROLES``, else the login name."""
    name = who or settings.get("USER") or _login_name()
    roles = settings.get("ROLES", DEFAULT_ROLES) or DEFAULT_ROLES
    return name, frozenset(role.strip() for role in roles.split(",") if role.strip())


def account_name() -> str:
    """The account that runs this process, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid{os.getuid()}"


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid{os.getuid()}"
