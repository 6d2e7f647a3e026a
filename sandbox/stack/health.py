"""Ways to see that a program works: a request that it must answer, or a sign of life that it must give.

Each returns None when all is well, else what is wrong.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from sandbox.stack.postgres import Cluster

REQUEST_TIMEOUT_S = 10
SIGN_OF_LIFE_MAX_S = 60  # a daemon may work on one thing for a while
Check = Callable[[], str | None]


def ask(url: str) -> tuple[int, str]:
    """Status and text of a GET on this machine; the plainest client there is, since it is asked many times.

    Raises
    ------
    OSError, HTTPException
        Nobody answers, or not in HTTP.
    """
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=REQUEST_TIMEOUT_S)
    try:
        connection.request("GET", parts.path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def http(url: str) -> Check:
    """Healthy when the address answers 200."""

    def check() -> str | None:
        try:
            status, text = ask(url)
        except (OSError, HTTPException) as error:
            return f"{url}: {type(error).__name__} {error}".strip()
        return None if status == HTTPStatus.OK else f"{url} answers {status}: {text[:200]}"

    return check


def airflow_job(monitor: str, job: str) -> Check:
    """Healthy when the api-server says that the heartbeat of this job is fresh."""

    def check() -> str | None:
        try:
            row = json.loads(ask(monitor)[1])[job]
        except (OSError, HTTPException, ValueError, KeyError) as error:
            return f"cannot be told while the api-server does not answer ({type(error).__name__})"
        return None if row.get("status") == "healthy" else f"its heartbeat is {row.get('status') or 'missing'}"

    return check


def holds_lock(cluster: Cluster, database: str) -> str | None:
    """Healthy when somebody holds an advisory lock of the database: JEDI keeps one as long as it works."""
    question = """select 1 from pg_locks join pg_database on pg_database.oid = pg_locks.database
                  where locktype = 'advisory' and granted and datname = %s"""
    try:
        with cluster.connect() as connection:
            held = connection.execute(question, (database,)).fetchone()
    except psycopg.Error as error:
        return f"cannot be told while the database does not answer ({type(error).__name__})"
    return None if held else "does not hold its lock in the database"


def touched_lately(path: Path, limit_s: float = SIGN_OF_LIFE_MAX_S) -> str | None:
    """Healthy when the file was touched not long ago."""
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return "gave no sign of life yet"
    return None if age < limit_s else f"gave its last sign of life {age:.0f} s ago"


def tokens_valid(paths: Sequence[Path]) -> str | None:
    """Healthy when every file holds a token that has not expired."""
    for path in paths:
        try:
            left = expires_at(path.read_text(encoding="utf-8")) - time.time()
        except (OSError, ValueError, KeyError, IndexError):
            return f"{path} holds no token"
        if left <= 0:
            return f"the token in {path} expired {-left:.0f} s ago"
    return None


def expires_at(token: str) -> float:
    """Time at which a JWT expires [s since 1970]; its signature is not looked at."""
    body = token.strip().split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return float(claims["exp"])
