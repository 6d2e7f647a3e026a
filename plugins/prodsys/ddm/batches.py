"""How much goes into one call: Rucio takes at most 1000 entries of a list; long calls outlast their timeout. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from prodsys.ddm.facts import FileFact
from prodsys.errors import SpecInvalid
from prodsys.model.names import Did

T = TypeVar("T")
FILES_PER_ATTACHMENT = 500
FILES_PER_CALL = 500  # some 4 s on a slow server, all in one transaction: GUID and events take more than the file


def cut(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most ``size``."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def attachments(did: Did, files: Mapping[str, FileFact], rse_of: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rucio's attachments that put the files into the dataset, each file with a replica on its storage.

    Raises
    ------
    SpecInvalid
        A file has no storage, no size or no checksum.
    """
    by_rse: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for lfn, fact in sorted(files.items()):
        if not rse_of.get(lfn):
            raise SpecInvalid(str(did), f"nobody knows on which storage {lfn} lies", "name its queue in sites.yaml")
        if fact.bytes <= 0 or not fact.adler32:
            raise SpecInvalid(
                str(did), f"{lfn} was reported with {fact}", "look at its job: a file without both is lost"
            )
        entry = {"scope": did.scope, "name": lfn, "bytes": fact.bytes, "adler32": fact.adler32}
        by_rse[rse_of[lfn]].append(entry | ({"meta": about} if (about := fact.description()) else {}))
    return [
        {"scope": did.scope, "name": did.name, "rse": rse, "dids": part}
        for rse, entries in sorted(by_rse.items())
        for part in cut(entries, FILES_PER_ATTACHMENT)
    ]


def calls(prepared: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The attachments in lists that one call carries."""
    call: list[dict[str, Any]] = []
    held = 0
    for attachment in prepared:
        size = len(attachment["dids"])
        if call and held + size > FILES_PER_CALL:
            yield call
            call, held = [], 0
        call.append(attachment)
        held += size
    if call:
        yield call
