"""What reading people's files gives: good requests, faults, notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from prodsys.model.request import RequestSpec

SHOWN = 200  # characters of a value that are repeated in a message


@dataclass(frozen=True)
class Fault:
    """Something that cannot be understood, cell by cell."""

    file: str
    row: int | None  # line of the file (or row of the worksheet) from 1, headers counted; None: the file as a whole
    column: str  # heading of the column, or path of the key; "" for the whole row
    value: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.file, self.row and f"row {self.row}", self.column) if part)
        value = f" {self.value!r}" if self.value else ""
        return f"{place}:{value} {self.message}" + (f" ({self.remedy})" if self.remedy else "")


@dataclass(frozen=True)
class Note:
    """Something that was understood, though it was not written as it should be."""

    file: str
    row: int | None
    column: str
    value: str
    message: str

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.file, self.row and f"row {self.row}", self.column) if part)
        return f"{place}: {self.value!r} {self.message}"


@dataclass(frozen=True)
class Accepted:
    """One request that was understood, and where it stands."""

    spec: RequestSpec
    file: str
    row: int | None
    notes: tuple[Note, ...] = ()
    column: str = "request_id"  # heading or key of the id


@dataclass(frozen=True)
class Intake:
    """Everything that one or several files gave."""

    accepted: tuple[Accepted, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()

    @classmethod
    def join(cls, parts: Iterable[Intake]) -> Intake:
        """All parts in one, in their order."""
        found = tuple(parts)
        return cls(
            tuple(one for part in found for one in part.accepted),
            tuple(one for part in found for one in part.faults),
            tuple(one for part in found for one in part.notes),
        )


def as_json(item: Fault | Note) -> dict[str, object]:
    """The fields of a fault or note, for ``--json``."""
    return asdict(item)


def shown(value: object) -> str:
    """A value as messages repeat it: one line, no control characters, at most 200 characters."""
    text = "" if value is None else str(value)
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "\u2026"
