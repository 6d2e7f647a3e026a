"""What a request reads that exists already: datasets of an earlier request, with the seeds of their files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from prodsys.model import seeds as seed_ranges
from prodsys.model.names import DataName, Did
from prodsys.model.request import digest_of
from prodsys.model.seeds import SeedRange

_SERIAL = re.compile(r"\.(\d{6,})\.[A-Za-z.]+?(?:\.\d+)?$")


class SeedSource(StrEnum):
    """How the seeds of files that are read are known."""

    LEDGER = "ledger"  # bound by the jobs that wrote them
    NAMES = "names"  # assumed: the serial number in a name is the place of its seed in the request


class ReadingPart(BaseModel):
    """Base: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedInput(ReadingPart):
    """One dataset that is read."""

    did: str
    data_type: str
    files: int = Field(description="that it holds")
    read: int = Field(description="of them, files that are read")
    bytes: int = Field(description="of the files that are read")


class PlannedReading(ReadingPart):
    """Everything the first step reads."""

    step: str = Field(description="kind of the step that wrote it")
    request_id: str | None = Field(description="request that wrote it; None: no request of this ledger")
    seed_source: SeedSource
    numbered_by: str = Field(default="", description="whose seeds the serial numbers count, where they are assumed")
    datasets: tuple[PlannedInput, ...]
    lacking: tuple[SeedRange, ...] = Field(default=(), description="seeds asked for that have no complete set of files")
    digest: str = Field(description="of names, sizes, checksums and seeds of the files that are read")


@dataclass(frozen=True)
class InputFile:
    """A file that is read."""

    lfn: str
    did: str  # dataset it is read from
    data_type: str
    seed: int
    bytes: int
    adler32: str
    parent_tid: int | None = None  # PanDA's id of the task that wrote it, when the ledger knows


def serial_of(lfn: str) -> int | None:
    """Serial number in the name of a file, ``<dataset>.<SN>.root``; None when it has none."""
    found = _SERIAL.search(lfn)
    return int(found[1]) if found else None


def seed_of_serial(serial: int, seeds: Sequence[SeedRange]) -> int | None:
    """The seed in this place, counted from 1; None beyond the last."""
    left = serial - 1
    for item in seeds if serial > 0 else ():
        if left < len(item):
            return item.first + left
        left -= len(item)
    return None


def digest_files(files: Iterable[InputFile]) -> str:
    """``sha256:...`` of the files, whatever their order."""
    rows = sorted((one.did, one.lfn, one.seed, one.bytes, one.adler32) for one in files)
    return digest_of([list(row) for row in rows])


def panda_name(did: Did) -> str:
    """How a task map names a dataset: without its scope where JEDI finds that in the name (its first part)."""
    return did.name if did.name.partition(".")[0] == did.scope else str(did)


def read_panda_name(name: str) -> Did:
    """The dataset of a name in a task map."""
    return Did.parse(name if ":" in name else f"{name.partition('.')[0]}:{name}")


def request_of(did: str) -> str | None:
    """Request in the name of a dataset; None when the name does not follow the rule."""
    try:
        return DataName.parse(Did.parse(did).name).sample.request_id
    except ValueError:
        return None


def seeds_from(reading: PlannedReading) -> str:
    """How the seeds of the files are known, in words."""
    if reading.seed_source is SeedSource.LEDGER:
        return "the jobs that wrote them"
    return f"assumed: serial numbers in the names count the seeds of {reading.numbered_by}"


def in_words(reading: PlannedReading) -> tuple[str, ...]:
    """Lines for people: each dataset, and what has to be known about its seeds."""
    whose = f" of {reading.request_id}" if reading.request_id else ""
    lines = [
        f"reads {one.data_type} of {reading.step}{whose}: {one.did}, {one.read} of {one.files} files, "
        f"{one.bytes / 1e9:.3f} GB"
        for one in reading.datasets
    ]
    return (*lines, *warnings_of(reading))


def table_of(reading: PlannedReading) -> list[tuple[str, str, int, int, str]]:
    """Type, dataset, files that are read, files it holds, size [GB]; a row for each dataset."""
    return [(one.data_type, one.did, one.read, one.files, f"{one.bytes / 1e9:.3f}") for one in reading.datasets]


def warnings_of(reading: PlannedReading) -> tuple[str, ...]:
    """What whoever approves must know about the files."""
    said = []
    if reading.seed_source is SeedSource.NAMES:
        said.append(f"seeds of the files are {seeds_from(reading)}")
    if reading.lacking:
        number = seed_ranges.count(reading.lacking)
        said.append(
            f"{number} of the seeds asked for have no complete set of files in the input and will not come: "
            f"{seed_ranges.show(reading.lacking)}"
        )
    return tuple(said)
