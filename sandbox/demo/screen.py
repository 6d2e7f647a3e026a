"""What the demonstration prints: titles, tables, and a table that follows the runs (lines without a terminal)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

PROGRESS = ("request", "state", "SIM task", "verdict", "RECO task", "verdict", "rules OK")
QUIET_S = 10.0  # between two lines where nothing changed, without a terminal
WIDTH = 170
Rows = Sequence[Sequence[object]]


@dataclass
class Screen:
    """The terminal, or a log."""

    console: Console = field(default_factory=lambda: _console())
    started: float = field(default_factory=time.monotonic)

    def title(self, text: str) -> None:
        """Begin a part."""
        self.console.print(Text(f"\n[{time.monotonic() - self.started:5.1f} s] {text}", style="bold"))

    def say(self, text: str) -> None:
        """Print a line; texts from outside stay texts."""
        self.console.print(Text(text))

    def table(self, columns: Sequence[str], rows: Rows) -> None:
        """Print a table."""
        self.console.print(_table(columns, rows))

    @contextmanager
    def live(self) -> Iterator[Callable[[Rows], None]]:
        """Give a function that shows the progress of all requests."""
        if self.console.is_terminal:
            with Live(console=self.console, refresh_per_second=4) as live:
                yield lambda rows: live.update(_table(PROGRESS, rows))
        else:
            yield self._lines()

    def _lines(self) -> Callable[[Rows], None]:
        seen: dict[str, Sequence[object]] = {}
        last = [0.0]

        def show(rows: Rows) -> None:
            changed = [row for row in rows if seen.get(str(row[0])) != row]
            for row in changed:
                seen[str(row[0])] = row
                self.say(f"  [{time.monotonic() - self.started:5.1f} s] " + " | ".join(str(cell) for cell in row))
            if changed:
                last[0] = time.monotonic()
            elif time.monotonic() - last[0] > QUIET_S:
                last[0] = time.monotonic()
                self.say(f"  [{time.monotonic() - self.started:5.1f} s] ...")

        return show


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _table(columns: Sequence[str], rows: Rows) -> Table:
    table = Table(header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return table
