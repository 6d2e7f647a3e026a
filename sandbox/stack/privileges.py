"""Command prefix that runs a program as an ordinary user when we are root: PostgreSQL refuses to be root."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from sandbox.stack.errors import StackError

UNPRIVILEGED_USERS = ("nobody", "daemon")  # initdb wants an id that has a name
TRAVERSAL = {"dac_read_search": 2, "dac_override": 1}  # capability: bit; the narrower one first


@dataclass(frozen=True)
class Runner:
    """How a program is run: the words before its command, and who must own its data."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def own(self, folder: Path) -> None:
        """Give a folder that we just made to the runner."""
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)


def choose_runner(*, die_with_parent: bool = False) -> Runner:
    """Runner for a program that refuses to be root.

    As root the program gets an unprivileged id and one capability: to read and pass folders that are closed to others,
    since the environment and ``PRODSYS_HOME`` may lie in ``/root`` or another folder of mode 0700.

    Raises
    ------
    StackError
        We are root and cannot change to an unprivileged user.
    """
    death = ("--pdeathsig", "TERM") if die_with_parent else ()
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0:
        return Runner((setpriv, *death) if death and setpriv else ())
    if setpriv is None:
        raise StackError(
            "PostgreSQL refuses to run as root and setpriv (package util-linux) is not installed: install it"
        )
    user = _unprivileged_user()
    keep = f"-all,+{_traversal_capability()}"
    ids = ("--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups")
    caps = ("--inh-caps", keep, "--ambient-caps", keep)
    return Runner((setpriv, *ids, *caps, *death), user.pw_uid, user.pw_gid)


def _unprivileged_user() -> pwd.struct_passwd:
    for name in UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError(f"PostgreSQL refuses to run as root and none of the users {', '.join(UNPRIVILEGED_USERS)} exists")


def _traversal_capability() -> str:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    held = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:")), 16)
    for name, bit in TRAVERSAL.items():
        if held >> bit & 1:
            return name
    raise StackError(
        "this root may not pass closed folders (neither dac_read_search nor dac_override): use an ordinary user"
    )
