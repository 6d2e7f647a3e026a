"""Thousands of rows in one statement: COPY for new ones, arrays for changes, numbers of a sequence by the block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, ColumnElement, Connection, Table, any_, cast, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DBAPIError

Item = TypeVar("Item")

_TOO_LARGE = 2**63


def copy_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write new rows, values in the order of the columns; part of the connection's transaction.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        As from any other statement.
    """
    json_at = [number for number, name in enumerate(columns) if isinstance(table.c[name].type, JSONB)]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(table.name), names)
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(_with_json(row, json_at) if json_at else row)
    except psycopg.Error as error:
        raise DBAPIError(f"copy {table.name}", None, error) from error


def copy_maps(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write new rows that are maps by column, all of the same columns; none is fine."""
    if rows:
        copy_rows(connection, table, list(rows[0]), ([*row.values()] for row in rows))


def _with_json(row: Sequence[Any], json_at: Sequence[int]) -> list[Any]:
    values = list(row)
    for number in json_at:
        values[number] = Jsonb(values[number]) if values[number] is not None else None
    return values


def draw_numbers(connection: Connection, sequence: str, count: int) -> list[int]:
    """Draw the next `count` numbers of a sequence, ascending."""
    if not count:
        return []
    statement = text("select nextval(cast(:name as regclass)) from generate_series(1, :count)")
    return sorted(connection.execute(statement, {"name": sequence, "count": count}).scalars())


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield consecutive parts of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def one_of(column: ColumnElement[int], numbers: Sequence[int]) -> ColumnElement[bool]:
    """Condition that a column is one of many numbers; one parameter, however many they are.

    Numbers that no column can hold are left out.
    """
    possible = [number for number in numbers if -_TOO_LARGE <= number < _TOO_LARGE]
    return column == any_(cast(possible, ARRAY(BigInteger)))
