"""Keeps token files of the robot valid: ``python -m sandbox.stack.tokens FOLDER/panda.token FOLDER/rucio.token``.

The name of a file is the audience its token is for. Whoever looks at the sandbox from outside (the demo's report, curl)
reads these files; the package itself asks the issuer for tokens of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from prodsys.settings import Settings, read_settings
from prodsys.whole_files import write_whole
from sandbox.stack.health import expires_at

LOOK_S = 5
RENEW_BEFORE_S = 1800  # half of what the issuer gives
REQUEST_TIMEOUT_S = 10


def ask(settings: Settings, audience: str) -> str:
    """Token of the robot for an audience.

    Raises
    ------
    httpx.HTTPError
        The issuer is away or refuses.
    """
    login = (settings.need("IAM_CLIENT_ID"), settings.secret("IAM_CLIENT_SECRET"))
    form = {"grant_type": "client_credentials", "audience": audience}
    endpoint = settings.need("IAM_ISSUER").rstrip("/") + "/token"
    answer = httpx.post(endpoint, data=form, auth=login, timeout=REQUEST_TIMEOUT_S, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def renew(settings: Settings, files: Sequence[Path], *, also_valid: bool = False) -> None:
    """Renew the tokens that expire soon, or all."""
    for path in files:
        if also_valid or _left_s(path) < RENEW_BEFORE_S:
            write_whole(path, ask(settings, path.stem) + "\n")


def _left_s(path: Path) -> float:
    try:
        return expires_at(path.read_text(encoding="utf-8")) - time.time()
    except (OSError, ValueError, KeyError, IndexError):
        return 0.0


def main() -> None:
    """Renew until told to stop; the first round renews all, since the issuer may have moved."""
    settings, files = read_settings(), [Path(word) for word in sys.argv[1:]]
    first = True
    while True:
        try:
            renew(settings, files, also_valid=first)
            first = False
        except httpx.HTTPError as error:
            print(f"no token yet: {type(error).__name__} {error}", flush=True)
        time.sleep(0.3 if first else LOOK_S)


if __name__ == "__main__":
    main()
