"""The embedded PostgreSQL: starts anywhere, keeps its data, gives a fresh database a test."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest

from sandbox.stack.postgres import PostgresHandle, start_postgres
from tests.postgres_fixture import FreshDatabase


def rows(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_a_fresh_database_is_a_copy_of_its_template(template_database, fresh_database: FreshDatabase) -> None:
    template = template_database("with_table", lambda url: rows(url, "create table t as select 7 as n"))
    first, second = fresh_database(template), fresh_database(template)
    rows(first, "insert into t values (8)")
    assert rows(first, "select n from t order by n") == [(7,), (8,)]
    assert rows(second, "select n from t") == [(7,)]


def test_extensions_for_exclusion_constraints_are_there(fresh_database: FreshDatabase) -> None:
    url = fresh_database()
    rows(url, "create extension btree_gist")
    rows(url, "create table claim (c text, r int8range, exclude using gist (c with =, r with &&))")
    rows(url, "insert into claim values ('a', '[1,5)')")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        rows(url, "insert into claim values ('a', '[4,6)')")


def test_it_runs_in_a_closed_folder_and_keeps_its_data(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with start_postgres(closed / "pg") as server:
        rows(server.create_database("kept"), "create table t as select 1 as n")
    with start_postgres(closed / "pg") as server:
        assert rows(server.url("kept"), "select n from t") == [(1,)]


def _swallow(connection: psycopg.Connection) -> None:
    with contextlib.suppress(psycopg.OperationalError):
        connection.execute("select count(*) from generate_series(1, 20000000)")


def _wait_for_two_backends(server: PostgresHandle) -> None:
    query = "select count(*) from pg_stat_activity where query like '%generate_series%' and state = 'active'"
    while rows(server.url(), query) != [(2,)]:  # this question itself is one of them
        time.sleep(0.01)


def test_what_was_committed_survives_kill(tmp_path: Path) -> None:
    server = start_postgres(tmp_path, durable=True)
    rows(server.create_database("kept"), "create table t as select 1 as n")
    busy = psycopg.connect(server.url().replace("+psycopg", ""))
    slow = threading.Thread(target=_swallow, args=(busy,), daemon=True)  # its backend outlives the postmaster a while
    slow.start()
    _wait_for_two_backends(server)
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    with start_postgres(tmp_path, durable=True) as again:
        assert rows(again.url("kept"), "select n from t") == [(1,)]


def test_a_wrong_password_is_refused(postgres: PostgresHandle) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.cluster.url("postgres", password="wrong", driver="postgresql"))
