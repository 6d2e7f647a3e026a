"""The border to Rucio: verbs that may be repeated at any time, and questions.

Killed between any two calls and run again, the same verbs leave the same DIDs, lengths and rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prodsys.ddm.batches import FILES_PER_ATTACHMENT, attachments, calls, cut
from prodsys.ddm.facts import DatasetInfo, Detachment, DidType, FileFact, differences
from prodsys.ddm.metadata import check_keys, unlike
from prodsys.ddm.questions import RucioQuestions
from prodsys.ddm.translation import Refusal
from prodsys.errors import DatasetConflict, RucioRefused, RucioUnavailable
from prodsys.model.names import Did

RACES = 3  # times another writer may be faster before we give up for now
LOCKS_AT_ONCE = 1000  # a rule with more locks is left to Rucio's injector: 2-3 ms each would outlast the call


class RucioClient(RucioQuestions):
    """Rucio as one account sees it.

    Every method may raise RucioUnavailable (try again later) and RucioRefused (do not).

    Parameters
    ----------
    url
        Scheme, host and port of the server.
    account
        Rucio account, the owner of what is made.
    token
        Gives a valid access token; asked before every call.
    timeout_s
        Longest wait for one answer [s].
    journal
        Takes a line for every call, or None.
    limits
        ``stream_max_s`` and ``max_bytes`` of a whole answer, as `RucioConnection` takes them.
    """

    def ensure_scope(self, scope: str) -> None:
        """Have the scope; making one needs a privileged account.

        Raises
        ------
        RucioRefused
            It does not exist and this account may not make it.
        """
        if scope in self._rucio.call("list_scopes", scope, lambda rucio: list(rucio.list_scopes())):
            return
        try:
            self._rucio.call("add_scope", scope, lambda rucio: rucio.add_scope(self.account, scope))
        except Refusal as refusal:
            if refusal.kind == "Duplicate":
                return
            remedy = f"ask Rucio's administrators for the scope {scope} with the owner {self.account}"
            raise RucioRefused(f"add_scope {scope}", f"{refusal.words} ({remedy})") from refusal

    def ensure_dataset(self, did: Did) -> DatasetInfo:
        """Have the dataset, open if it is new.

        Raises
        ------
        DatasetConflict
            The name is a container's or file's.
        """
        return self._ensure_did("add_dataset", did, DidType.DATASET)

    def ensure_files(self, did: Did, files: Mapping[str, FileFact], rse_of: Mapping[str, str]) -> None:
        """Have these files in the dataset, each with a replica on its storage; files that are in it already stay.

        Parameters
        ----------
        did
            A dataset that exists.
        files
            LFN -> size and checksum.
        rse_of
            LFN -> storage it was written to, for every file.

        Raises
        ------
        DatasetConflict
            A file is known with another size or checksum, or the dataset is closed and lacks some.
        """
        held = self.list_files(did)
        known = {lfn: held[lfn] for lfn in files if lfn in held}
        if contradicting := differences(known, {lfn: files[lfn] for lfn in known}):
            raise DatasetConflict(str(did), contradicting)
        lacking = {lfn: fact for lfn, fact in files.items() if lfn not in held}
        try:
            for batch in calls(attachments(did, lacking, rse_of)):
                self._attach_files(did, batch)
        except Refusal as refusal:
            if refusal.kind == "FileConsistencyMismatch":
                raise DatasetConflict(str(did), [refusal.words]) from refusal
            if refusal.kind != "UnsupportedOperation":
                raise
            if lost := files.keys() - self.list_files(did).keys():  # else another writer completed and closed it
                raise DatasetConflict(str(did), [f"it is closed and lacks {lfn}" for lfn in sorted(lost)]) from refusal

    def ensure_closed(self, did: Did) -> None:
        """Close the dataset; nothing can be added to it afterwards."""
        if self._info(did).open:
            self._unless("UnsupportedOperation", "close", did, lambda rucio: rucio.close(*_pair(did)))
        if self._info(did).open:
            raise RucioUnavailable(f"{did} was closed and is open: somebody opens it again")

    def ensure_container(self, did: Did, children: Sequence[Did]) -> None:
        """Have the container with at least these children.

        Raises
        ------
        DatasetConflict
            The name is a dataset's or file's.
        """
        self._ensure_did("add_container", did, DidType.CONTAINER)
        self._ensure_children(did, children)

    def ensure_attached(self, did: Did, files: Sequence[Did]) -> None:
        """Have files that Rucio knows in an open dataset, of whatever scope they are.

        Raises
        ------
        RucioRefused
            The dataset is closed, or there is no such file.
        """
        self._ensure_children(did, files)

    def _ensure_children(self, did: Did, children: Sequence[Did]) -> None:
        for _ in range(RACES):
            held = self.list_children(did)
            lacking = [child for child in children if child not in held]
            try:
                entries = [{"scope": child.scope, "name": child.name} for child in lacking]
                for batch in cut(entries, FILES_PER_ATTACHMENT):
                    self._attach_children(did, batch)
            except Refusal as refusal:
                if refusal.kind != "DuplicateContent":
                    raise
            else:
                return
        raise RucioUnavailable(f"{did}: other writers attached children {RACES} times while we did")

    def ensure_metadata(self, did: Did, mapping: Mapping[str, Any]) -> None:
        """Have these keys with these values in the JSON metadata of the DID; other keys stay as they are.

        Raises
        ------
        SpecInvalid
            A key is one of Rucio's own columns, or a value is no JSON.
        DatasetConflict
            Rucio reads back something else than was written.
        """
        check_keys(did, mapping)
        if not unlike(self.metadata(did), mapping):
            return
        self._rucio.call(
            "set_metadata_bulk",
            str(did),
            lambda rucio: rucio.set_metadata_bulk(*_pair(did), dict(mapping)),
        )
        if wrong := unlike(self.metadata(did), mapping):
            raise DatasetConflict(str(did), [f"metadata {said}" for said in wrong])

    def describe_files(self, columns: Mapping[Did, Mapping[str, str | int]]) -> None:
        """Set columns of Rucio's own, such as ``guid`` and ``events``, of files that it knows; in few calls.

        Raises
        ------
        RucioRefused
            There is no such file, or its scope is not this account's.
        """
        entries = [
            {"scope": file.scope, "name": file.name, "meta": dict(values)} for file, values in columns.items() if values
        ]
        for batch in cut(entries, FILES_PER_ATTACHMENT):
            self._describe(batch)

    def _describe(self, batch: Sequence[Mapping[str, Any]]) -> None:
        target = f"{batch[0]['scope']}:{batch[0]['name']} and {len(batch) - 1} more"
        self._rucio.call("set_dids_metadata_bulk", target, lambda rucio: rucio.set_dids_metadata_bulk(batch))

    def ensure_rule(self, did: Did, copies: int, rse_expression: str, lifetime_s: int | None, activity: str) -> str:
        """Id of this account's rule for the DID; one with the same copies and expression is taken as it is."""
        if (found := self._own_rule(did, copies, rse_expression)) is not None:
            return found
        large = self._info(did).length * copies > LOCKS_AT_ONCE

        def add(rucio: Any) -> list[str]:
            return rucio.add_replication_rule(
                [{"scope": did.scope, "name": did.name}],
                copies,
                rse_expression,
                lifetime=lifetime_s,
                activity=activity,
                grouping="DATASET",
                asynchronous=large,
            )

        if made := self._unless("DuplicateRule", "add_replication_rule", did, add):
            return str(made[0])
        if (found := self._own_rule(did, copies, rse_expression)) is None:
            raise RucioUnavailable(f"{did}: its rule on {rse_expression} was there and is gone: it expired just now")
        return found

    def expire(self, did: Did, lifetime_s: int) -> None:
        """Let the DID expire so many seconds from now; Rucio's undertaker then takes it away.

        Its rules go with it, and the files when nothing else holds them.
        """
        self._rucio.call(
            "set_metadata", str(did), lambda rucio: rucio.set_metadata(*_pair(did), key="lifetime", value=lifetime_s)
        )

    def detach_files(self, did: Did, lfns: Iterable[str]) -> Detachment:
        """Take files out of a dataset; files that are not in it count as taken out.

        Rucio 41.5 allows it for closed datasets too (docs/decisions/rucio-detach.md); where a server does not, the
        answer holds its words.
        """
        wanted = sorted(set(lfns))
        for _ in range(RACES):
            held = self.list_files(did)
            try:
                entries = [{"scope": did.scope, "name": lfn} for lfn in wanted if lfn in held]
                for batch in cut(entries, FILES_PER_ATTACHMENT):
                    self._detach(did, batch)
            except Refusal as refusal:
                if refusal.kind in {"UnsupportedOperation", "AccessDenied"}:
                    rest = self.list_files(did)
                    return Detachment(tuple(lfn for lfn in wanted if lfn not in rest), refusal.words)
                if refusal.kind != "DataIdentifierNotFound":
                    raise
            else:
                return Detachment(tuple(wanted))
        raise RucioUnavailable(f"{did}: other writers detached files {RACES} times while we did")

    def _ensure_did(self, verb: str, did: Did, type_: DidType) -> DatasetInfo:
        if (info := self.dataset_info(did)) is None:
            self._unless("DataIdentifierAlreadyExists", verb, did, lambda rucio: getattr(rucio, verb)(*_pair(did)))
            info = self.dataset_info(did)
        if info is None:
            raise RucioUnavailable(f"{did} was made and is not there")
        if info.type is not type_:
            raise DatasetConflict(str(did), [f"it is a {info.type}, not a {type_}"])
        return info

    def _unless(self, kind: str, verb: str, did: Did, function: Callable[[Any], Any]) -> Any:
        """The call's answer, or None when Rucio refused it with this word: another writer was there first."""
        try:
            return self._rucio.call(verb, str(did), function)
        except Refusal as refusal:
            if refusal.kind != kind:
                raise
            return None

    def _own_rule(self, did: Did, copies: int, rse_expression: str) -> str | None:
        wanted = (self.account, copies, rse_expression)
        return next((rule_id for rule_id, terms in self._rules_of(did).items() if terms == wanted), None)

    def _attach_files(self, did: Did, batch: Sequence[Mapping[str, Any]]) -> None:
        self._rucio.call(
            "add_files_to_datasets",
            str(did),
            lambda rucio: rucio.add_files_to_datasets(batch, ignore_duplicate=True),
        )

    def _attach_children(self, did: Did, batch: Sequence[Mapping[str, str]]) -> None:
        self._rucio.call("attach_dids", str(did), lambda rucio: rucio.attach_dids(*_pair(did), batch))

    def _detach(self, did: Did, batch: Sequence[Mapping[str, str]]) -> None:
        self._rucio.call("detach_dids", str(did), lambda rucio: rucio.detach_dids(*_pair(did), batch))


def _pair(did: Did) -> tuple[str, str]:
    return did.scope, did.name
