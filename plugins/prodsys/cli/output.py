"""What commands print: tables for people, JSON with stable keys for programs, messages on stderr; and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

CLEAN, FINDINGS, USAGE = 0, 1, 2
EXIT_CODES = "Exit code: 0 clean, 1 findings or refused, 2 wrong usage."
WIDTH = 160  # of tables that do not go to a terminal


def print_json(data: Any) -> None:
    """One JSON document on stdout, and nothing else."""
    takes_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=not takes_unicode, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table on stdout; texts from outside stay texts."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _console(sys.stdout).print(table)


def print_text(text: str) -> None:
    """A line on stdout."""
    sys.stdout.write(printable(text) + "\n")


def print_error(text: str) -> None:
    """A message on stderr."""
    sys.stderr.write(printable(text) + "\n")


def printable(value: object) -> str:
    """A value as text without control characters, so that nobody's cell moves the cursor."""
    text = "-" if value is None else str(value)
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def _console(stream: Any) -> Any:
    from rich.console import Console

    return Console(file=stream, width=None if stream.isatty() else WIDTH, highlight=False)
