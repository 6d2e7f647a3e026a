"""Sessions on the ledger: one engine a process, errors of the connection translated at this border."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm import Session, sessionmaker

from prodsys.errors import LedgerUnavailable

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 60_000
SessionFactory = sessionmaker[Session]


@lru_cache(maxsize=4)
def make_engine(url: str) -> Engine:
    """Engine on the ledger's database; the same one for the same URL in a process."""
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c application_name=prodsys"
    arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "options": options}
    return create_engine(url, pool_pre_ping=True, pool_size=5, connect_args=arguments)


def make_session_factory(url: str) -> SessionFactory:
    """Sessions on the ledger at this URL (``postgresql+psycopg://...``)."""
    return sessionmaker(make_engine(url), expire_on_commit=False)


@contextmanager
def transaction(factory: SessionFactory) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any error.

    Raises
    ------
    LedgerUnavailable
        The database did not answer.
    """
    try:
        with factory.begin() as session:
            yield session
    except (OperationalError, InterfaceError) as error:
        raise LedgerUnavailable(str(error.orig or error).strip().splitlines()[0]) from error
    except NoConnectionFree as error:
        raise LedgerUnavailable("all connections of this process are in use") from error
