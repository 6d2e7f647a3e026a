"""The unmodified panda-client in a process of its own, asked over pipes (`client_process`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.contract.panda.target import Server

ANSWER_S = 120.0
"""The client's own timeout is ten minutes; nobody waits so long here [s]."""


class PandaClient:
    """Functions of ``pandaclient.Client`` by name, with a token that only the process's environment holds."""

    def __init__(self, server: Server, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(server.token, encoding="utf-8")
        base = f"{server.url}/server/panda"
        environment = {
            **{name: os.environ[name] for name in ("PATH",) if name in os.environ},
            "HOME": str(folder),
            "PANDA_CONFIG_ROOT": str(folder),
            "PANDA_URL": base,
            "PANDA_URL_SSL": base,
            "PANDACACHE_URL": base,
            "PANDA_BEHIND_REAL_LB": "1",
            "PANDA_AUTH": "oidc",
            "PANDA_AUTH_VO": server.origin,
            "OIDC_AUTH_TOKEN_FILE": str(token),
            "PANDA_AUTH_ID_TOKEN": server.token,
        }
        command = [sys.executable, str(Path(__file__).with_name("client_process.py"))]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Answer of a function of the client; what JSON does not know comes as text."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps([name, args, kwargs]) + "\n")
            self._process.stdin.flush()
            guard = threading.Timer(ANSWER_S, self._process.kill)
            guard.start()
            line = self._process.stdout.readline()
            guard.cancel()
        assert line, f"panda-client died in {name}, or did not answer within {ANSWER_S} s"
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
