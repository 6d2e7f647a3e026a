"""What Rucio says about files, datasets and rules, in our words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from prodsys.model.names import Did
from prodsys.model.outcome import JobFile
from prodsys.model.statuses import RuleState

ADLER32_DIGITS = 8


class DidType(StrEnum):
    """Kind of a Rucio data identifier."""

    FILE = "FILE"
    DATASET = "DATASET"
    CONTAINER = "CONTAINER"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls.UNKNOWN


@dataclass(frozen=True)
class FileFact:
    """Size and checksum of a file (0 and "": not reported); adler32 is put into eight lower-case hex digits.

    GUID (32 lower-case hex digits) and number of events describe it and are no part of its identity.
    """

    bytes: int
    adler32: str
    guid: str = field(default="", compare=False)  # "": none
    events: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "adler32", self.adler32.lower().zfill(ADLER32_DIGITS) if self.adler32 else "")
        object.__setattr__(self, "guid", self.guid.replace("-", "").lower())

    def __str__(self) -> str:
        return f"{self.bytes} bytes, adler32 {self.adler32 or 'unknown'}"

    def agrees(self, other: FileFact) -> bool:
        """Nothing that both know differs: a job may not have reported size (0) or checksum ("")."""
        sizes, sums = {self.bytes, other.bytes} - {0}, {self.adler32, other.adler32} - {""}
        return len(sizes) <= 1 and len(sums) <= 1

    def description(self, held: FileFact | None = None) -> dict[str, str | int]:
        """GUID and events as Rucio's columns; only those that Rucio lacks, when ``held`` is what it has."""
        columns = {"guid": self.guid, "events": self.events}
        known = {"guid": held.guid, "events": held.events} if held else {}
        return {name: value for name, value in columns.items() if value and not known.get(name)}

    @classmethod
    def of(cls, file: JobFile) -> Self:
        """What the job reported about a file."""
        return cls(file.bytes, file.adler32)


class ReplicaState(StrEnum):
    """State of one copy of a file on one storage."""

    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"
    COPYING = "COPYING"
    BEING_DELETED = "BEING_DELETED"
    BAD = "BAD"  # declared so by a person or by a check of the storage
    TEMPORARY_UNAVAILABLE = "TEMPORARY_UNAVAILABLE"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls.UNKNOWN


LOST_COPY = frozenset({ReplicaState.BAD, ReplicaState.BEING_DELETED})
MAY_BE_READ = frozenset({ReplicaState.AVAILABLE, ReplicaState.TEMPORARY_UNAVAILABLE, ReplicaState.UNKNOWN})


@dataclass(frozen=True)
class FileCopies:
    """A file and its copies, in whatever state: storage -> state, storage -> PFN."""

    fact: FileFact
    states: Mapping[str, ReplicaState]
    pfns: Mapping[str, str]

    @property
    def available(self) -> bool:
        """Whether a copy can be read now."""
        return ReplicaState.AVAILABLE in self.states.values()

    @property
    def lost(self) -> bool:
        """Whether Rucio knows that no copy is left: some were declared bad or are being deleted, none may be read."""
        states = frozenset(self.states.values())
        return bool(states & LOST_COPY) and not states & MAY_BE_READ


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset or container as Rucio holds it; a container's length and bytes are those of all files below it."""

    did: Did
    type: DidType
    open: bool
    length: int
    bytes: int


@dataclass(frozen=True)
class RuleInfo:
    """A replication rule; a lock is one file on one storage."""

    rule_id: str
    state: RuleState
    locks_ok: int = 0
    locks_replicating: int = 0
    locks_stuck: int = 0
    error: str = ""
    expires_at: datetime | None = None  # None: it is kept


@dataclass(frozen=True)
class Space:
    """Room on one storage [byte]; None: Rucio does not know."""

    rse: str
    free: int | None = None  # of the storage itself, as whoever measures it told Rucio
    quota_left: int | None = None  # of the account: its limit less what it uses
    unlimited: bool = False  # the account's limit is infinite


@dataclass(frozen=True)
class ScopeInfo:
    """A scope, and whether this account may add data to it."""

    scope: str
    ours: bool


@dataclass(frozen=True)
class SharedQuota:
    """A limit of the account over several storages together, and what is left of it [byte]."""

    rse_expression: str
    rses: frozenset[str]
    left: int


@dataclass(frozen=True)
class Detachment:
    """What became of an attempt to take files out of a dataset."""

    detached: tuple[str, ...]
    refused: str = ""  # Rucio's words; "" when it did as it was told


def differences(held: Mapping[str, FileFact], wanted: Mapping[str, FileFact]) -> list[str]:
    """Every way in which two sets of files differ, as sentences in the order of names; empty when they agree."""
    said = []
    for lfn in sorted(held.keys() | wanted.keys()):
        if lfn not in wanted:
            said.append(f"{lfn} is there ({held[lfn]}) and should not be")
        elif lfn not in held:
            said.append(f"{lfn} is not there")
        elif not held[lfn].agrees(wanted[lfn]):
            said.append(f"{lfn} is there with {held[lfn]}, not {wanted[lfn]}")
    return said
