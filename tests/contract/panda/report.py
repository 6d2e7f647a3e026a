"""The suite's table: scenario or topic x target, passed, differs, skipped with reason."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TOPICS = {
    "test_probes": "calls without tasks (unknown_ids)",
    "test_tokens": "tokens, Origin, roles (auth)",
    "test_arguments": "every task and job method",
    "test_panda_client": "panda-client 2.2",
    "test_commands": "commands, twins, chains",
    "test_maps": "odd maps, lists, sandbox only",
    "test_replay": "replay",
    "test_replayer": "the replayer itself",
    "test_scenarios": "checks over several scenarios",
    "test_messages": "messages",
    "test_plugins": "names of outputs, destination, GUID",
}
"""Rows for tests that are not of one scenario; what is not listed here runs sandboxes of its own (`row_of`)."""


def row_of(module: str) -> str:
    """Name of the row for the tests of a module."""
    return TOPICS.get(module, f"only the sandbox: {module.removeprefix('test_').replace('_', ' ')}")


@dataclass
class Row:
    """Numbers of tests of one row at one target."""

    passed: int = 0
    differs: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class Report:
    """All rows, filled while the tests run."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self._said: list[str] = []

    def say(self, sentence: str) -> None:
        """Add a line below the table."""
        self._said.append(sentence)

    def row(self, name: str, target: str) -> Row:
        """Return the row, made when it is new."""
        return self.rows.setdefault((name, target), Row())

    def leave_out(self, scenario: str, target: str, reasons: dict[str, int]) -> None:
        """Count recorded calls that were not played."""
        self.row(scenario, target).left_out.update(reasons)

    def note(self, item: pytest.Item, report: pytest.TestReport, target: str) -> None:
        """Count one test."""
        callspec = getattr(item, "callspec", None)
        scenario = callspec.params.get("scenario") if callspec else None
        row = self.row(str(scenario or row_of(item.path.stem)), target)
        if report.failed:
            row.differs += 1
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            row.skipped[reason.removeprefix("Skipped: ")] += 1
        elif report.when == "call":
            row.passed += 1

    def as_text(self) -> str:
        """Return the table as Markdown."""
        lines = [
            "| scenario | target | passed | differs | skipped | calls not played |",
            "|---|---|---|---|---|---|",
        ]
        for (name, target), row in sorted(self.rows.items()):
            cells = [name, target, row.passed, row.differs, *map(_reasons, (row.skipped, row.left_out))]
            lines.append(f"| {' | '.join(map(str, cells))} |")
        return "\n".join([*lines, "", *self._said])

    def as_json(self) -> str:
        """Return the table as JSON."""
        rows = [
            {"scenario": name, "target": target, "passed": row.passed, "differs": row.differs,
             "skipped": dict(row.skipped), "calls_not_played": dict(row.left_out)}
            for (name, target), row in sorted(self.rows.items())
        ]  # fmt: skip
        return json.dumps({"rows": rows, "said": self._said}, indent=1)

    def write(self, path: str) -> None:
        """Write the table: JSON into a file that ends so, else Markdown."""
        text = self.as_json() if path.endswith(".json") else self.as_text()
        Path(path).write_text(text + "\n", encoding="utf-8")


def _reasons(counted: Counter[str]) -> str:
    return "; ".join(f"{number}: {reason}" for reason, number in sorted(counted.items())) or "-"


REPORT = Report()
"""Of this process."""
