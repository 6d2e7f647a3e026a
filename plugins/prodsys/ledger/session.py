"""Sessions on the ledger: one engine a process, errors of the connection translated at this border."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm import Session, sessionmaker

from prodsys.errors import LedgerUnavailable

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 60_000
IN_UTC = "-c timezone=UTC"  # of every session: what is read and printed never follows the zone of the server
NOT_MIGRATED = frozenset(  # SQLSTATE: no such schema, table, column, function, type or other object
    {"3F000", "42P01", "42703", "42883", "42704"}
)
MIGRATE = "python -m prodsys.ledger.migrate"
TOO_SILENT = "25P03"  # SQLSTATE: ended by idle_in_transaction_session_timeout
ACCOUNT = "account"  # in the info of a session
SessionFactory = sessionmaker[Session]


@lru_cache(maxsize=4)
def make_engine(url: str) -> Engine:
    """Engine on the ledger's database; the same one for the same URL in a process."""
    options = f"{IN_UTC} -c statement_timeout={STATEMENT_TIMEOUT_MS} -c application_name=prodsys"
    arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "options": options}
    return create_engine(url, pool_pre_ping=True, pool_size=5, connect_args=arguments)


def make_session_factory(url: str) -> SessionFactory:
    """Sessions on the ledger at this URL (``postgresql+psycopg://...``)."""
    return sessionmaker(make_engine(url), expire_on_commit=False)


def signed(factory: SessionFactory, account: str) -> SessionFactory:
    """The same sessions, whose audit lines name the account that acted under another name."""
    info = {**(factory.kw.get("info") or {}), ACCOUNT: account}
    return sessionmaker(class_=factory.class_, **{**factory.kw, "info": info})


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the connection, and of a ledger that is not migrated, become LedgerUnavailable."""
    try:
        yield
    except DBAPIError as error:
        reason = _why_away(error)
        if reason is None:
            raise
        raise LedgerUnavailable(reason) from error
    except NoConnectionFree as error:
        raise LedgerUnavailable("all connections of this process are in use") from error


def _why_away(error: DBAPIError) -> str | None:
    """Why the ledger cannot be used now; None when it can, and what it was asked is wrong."""
    words = str(error.orig or error).strip().splitlines()[0]
    state = getattr(error.orig, "sqlstate", None)
    if state in NOT_MIGRATED:
        return f"its tables are not those of this version, it has to be migrated: run {MIGRATE} ({words})"
    return words if isinstance(error, OperationalError | InterfaceError) or state == TOO_SILENT else None


@contextmanager
def transaction(factory: SessionFactory) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any error.

    Raises
    ------
    LedgerUnavailable
        The database did not answer.
    """
    with translated(), factory.begin() as session:
        yield session
