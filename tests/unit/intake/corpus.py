"""Sheets as people write and break them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from openpyxl import Workbook

REPOSITORY = Path(__file__).resolve().parents[3]
SPECS = REPOSITORY / "include" / "specs"
DEMO = REPOSITORY / "include" / "demo"

ID, STATUS, STAGE, COLLISION, GEOMETRY, ENERGY, POLARIZATION = range(7)
SOFTWARE, TAG, EVENTS, PER_FILE, SEEDS, STEP = range(7, 13)
TOP = ["Production name/ID", "Status", "Description", "", "", "", "", "Software type/version"]
TOP += ["Short description (for datasets naming)", "Number of events", "Events per file", "Initial seed"]
TOP += ["Processing type"]
SUB = ["", "", "Stage", "Collision type", "Geometry type", "Energy", "Polarization", "", "", "", "", "", ""]
HEADINGS = [sub or top for top, sub in zip(TOP, SUB, strict=True)]
Cells = list[str]


def request(number: int = 1, **changes: str) -> Cells:
    """The first row of a good request; ``changes`` by the names above, in lower case."""
    first = (number - 1) * 10 + 1
    cells = [f"PROD2031-{number:03d}", "Ready", "S2", "pp", "DSSD, TS, TOF", "27 GeV", "UU"]
    cells += ["spdroot-dev-4.1.7.2", "minbias-P8-spdroot4172-dev", "40 000", "4000", f"{first}-{first + 9}", "simu"]
    for name, value in changes.items():
        cells[globals()[name.upper()]] = value
    return cells


def reco() -> Cells:
    """The second row of a request."""
    return [""] * 12 + ["reco"]


def sheet(*rows: Cells) -> list[Cells]:
    """Rows of a whole sheet; each request gets its reco row."""
    body: list[Cells] = []
    for row in rows:
        body += [row, reco()]
    return [TOP, SUB, *body]


def csv_text(rows: Sequence[Cells], delimiter: str = ",") -> str:
    """The rows as a spreadsheet saves them."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def xlsx_bytes(rows: Sequence[Sequence[object]], change: Callable[[Workbook], None] | None = None) -> bytes:
    """The rows as a workbook."""
    book = Workbook()
    for row in rows:
        book.active.append(list(row))
    if change:
        change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
