"""What may be asked of Rucio about single files: their copies, in which dataset they were, where they would lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prodsys.ddm.batches import FILES_PER_CALL, cut
from prodsys.ddm.connection import RucioConnection
from prodsys.ddm.facts import FileCopies, FileFact, ReplicaState
from prodsys.ddm.translation import Refusal
from prodsys.model.names import Did


class FileQuestions:
    """The part of ``RucioQuestions`` that asks about files."""

    _rucio: RucioConnection

    def copies_in(self, did: Did) -> dict[str, FileCopies]:
        """LFN -> copies, in whatever state, of all files of a dataset."""
        return self._copies(str(did), [did])

    def copies_of(self, scope: str, lfns: Sequence[str]) -> dict[str, FileCopies]:
        """LFN -> copies, in whatever state; a file that Rucio has no copy of is left out."""
        found: dict[str, FileCopies] = {}
        for part in cut(sorted(lfns), FILES_PER_CALL):
            found |= self._copies(f"{scope}:{part[0]} and {len(part) - 1} more", [Did(scope, lfn) for lfn in part])
        return found

    def _copies(self, target: str, dids: Sequence[Did]) -> dict[str, FileCopies]:
        wanted = [{"scope": did.scope, "name": did.name} for did in dids]

        def ask(rucio: Any) -> dict[str, FileCopies]:
            rows = rucio.list_replicas(wanted, all_states=True, sort="random", resolve_archives=False)
            return {row["name"]: _file_copies(row) for row in rows}

        return self._rucio.call("list_replicas", target, ask)

    def taken_out(self, did: Did) -> dict[str, str]:
        """LFN -> when (ISO, UTC) of every file that was in a dataset and was taken out of it or deleted with it."""

        def ask(rucio: Any) -> dict[str, str]:
            rows = rucio.list_content_history(did.scope, did.name)
            return {row["name"]: f"{row['deleted_at']:%Y-%m-%d %H:%M}" for row in rows if row.get("deleted_at")}

        return self._rucio.call("list_content_history", str(did), ask)

    def availability(self, did: Did) -> str:
        """What Rucio says of a file as a whole: AVAILABLE, LOST, DELETED; "" when it does not know the file."""
        try:
            return self._rucio.call(
                "get_metadata", str(did), lambda rucio: str(rucio.get_metadata(did.scope, did.name)["availability"])
            )
        except Refusal as refusal:
            if refusal.kind == "DataIdentifierNotFound":
                return ""
            raise

    def expected_pfn(self, did: Did, rse: str) -> str | None:
        """Where a file of this name would lie on a storage by the storage's own rule of names; None: no such rule."""
        key = f"{did.scope}:{did.name}"
        try:
            found = self._rucio.call(
                "lfns2pfns", f"{key} at {rse}", lambda rucio: dict(rucio.lfns2pfns(rse, [key], operation="read"))
            )
        except Refusal:  # names of this storage follow no rule, or it may not be read by this account
            return None
        return found.get(key)


def _file_copies(row: Mapping[str, Any]) -> FileCopies:
    states = {str(rse): ReplicaState(state) for rse, state in (row.get("states") or {}).items()}
    pfns = {str(rse): str(found[0]) for rse, found in row["rses"].items() if found}
    return FileCopies(FileFact(int(row["bytes"] or 0), row["adler32"] or ""), states, pfns)
