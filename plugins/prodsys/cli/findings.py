"""Faults and notes of reading files, as commands show them."""

from __future__ import annotations

from collections.abc import Iterable

from prodsys.cli.output import print_table
from prodsys.intake.result import Fault, Note


def print_faults(faults: Iterable[Fault]) -> None:
    """A table of faults; nothing when there are none."""
    rows = [(one.file, one.row, one.column, one.value, one.message, one.remedy) for one in faults]
    if rows:
        print_table(("file", "row", "column", "value", "fault", "remedy"), rows, title="Faults")


def print_notes(notes: Iterable[Note]) -> None:
    """A table of notes; nothing when there are none."""
    rows = [(one.file, one.row, one.column, one.value, one.message) for one in notes]
    if rows:
        print_table(("file", "row", "column", "value", "understood"), rows, title="Notes")
