"""One dataset made to hold what it should, whoever registered what: PanDA's adder, a run before us, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prodsys.ddm.client import RucioClient
from prodsys.ddm.facts import FileFact, differences
from prodsys.errors import DatasetConflict
from prodsys.model.names import Did


@dataclass(frozen=True)
class Held:
    """A dataset as Rucio holds it in the end."""

    files: Mapping[str, FileFact]
    lost: tuple[str, ...] = ()  # wanted, but it is closed without them
    strays: tuple[str, ...] = ()  # not wanted, and Rucio will not let them go


def ensure_held(rucio: RucioClient, did: Did, wanted: Mapping[str, FileFact], rse_of: Mapping[str, str]) -> Held:
    """Have the dataset hold the wanted files and no others, closed, read back.

    What lacks is added while the dataset is open; what does not belong is detached.

    Raises
    ------
    DatasetConflict
        Rucio holds a wanted file with another size or checksum, or reads back something else than was written.
    """
    info = rucio.ensure_dataset(did)
    held = rucio.list_files(did)
    known = {lfn: fact for lfn, fact in wanted.items() if lfn in held}
    if wrong := differences({lfn: held[lfn] for lfn in known}, known):
        raise DatasetConflict(str(did), wrong)
    lacking = {lfn: fact for lfn, fact in wanted.items() if lfn not in held}
    if lacking and info.open:
        rucio.ensure_files(did, lacking, rse_of)
    if strays := held.keys() - wanted.keys():
        rucio.detach_files(did, strays)
    rucio.ensure_closed(did)
    return _read_back(rucio, did, wanted, may_lack=not info.open)


def _read_back(rucio: RucioClient, did: Did, wanted: Mapping[str, FileFact], *, may_lack: bool) -> Held:
    held = rucio.list_files(did)
    common = {lfn: fact for lfn, fact in wanted.items() if lfn in held}
    lost = tuple(sorted(wanted.keys() - held.keys()))
    wrong = differences({lfn: held[lfn] for lfn in common}, common)
    if wrong or (lost and not may_lack):
        raise DatasetConflict(str(did), wrong or [f"{lfn} was added and is not there" for lfn in lost])
    return Held(held, lost, tuple(sorted(held.keys() - wanted.keys())))
