"""What may be asked of Rucio. Questions change nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prodsys.ddm.connection import RucioConnection
from prodsys.ddm.facts import DatasetInfo, DidType, FileFact, RuleInfo
from prodsys.ddm.journal import Journal
from prodsys.ddm.translation import Refusal
from prodsys.model.names import Did
from prodsys.model.statuses import RuleState

SINGLE_RULES = 8  # up to so many rules are asked for one by one [6 ms each]; more of them in one listing


class RucioQuestions:
    """The asking half of ``RucioClient``."""

    def __init__(
        self, url: str, account: str, token: Callable[[], str], timeout_s: float, journal: Journal | None = None
    ) -> None:
        self.account = account
        self._rucio = RucioConnection(url, account, token, timeout_s, journal)

    def ping(self) -> str:
        """Version of the server."""
        return str(self._rucio.call("ping", "", lambda rucio: rucio.ping())["version"])

    def whoami(self) -> str:
        """Account that the server takes this client for."""
        return str(self._rucio.call("whoami", "", lambda rucio: rucio.whoami())["account"])

    def list_files(self, did: Did) -> dict[str, FileFact]:
        """Files of a dataset, or of everything below a container: LFN -> size and checksum."""
        found = self._rucio.call("list_files", str(did), lambda rucio: list(rucio.list_files(did.scope, did.name)))
        return {file["name"]: FileFact(int(file["bytes"] or 0), file["adler32"] or "") for file in found}

    def list_children(self, did: Did) -> tuple[Did, ...]:
        """What is directly in a container, in the order of names."""
        found = self._rucio.call("list_content", str(did), lambda rucio: list(rucio.list_content(did.scope, did.name)))
        return tuple(sorted(Did(child["scope"], child["name"]) for child in found))

    def dataset_info(self, did: Did) -> DatasetInfo | None:
        """The dataset or container, or None when there is none of this name."""
        try:
            found = self._did(did)
        except Refusal as refusal:
            if refusal.kind == "DataIdentifierNotFound":
                return None
            raise
        return DatasetInfo(did, DidType(found["type"]), found["open"], found["length"], found["bytes"])

    def metadata(self, did: Did) -> dict[str, Any]:
        """JSON metadata of a DID; empty when it has none."""
        return dict(
            self._rucio.call(
                "get_metadata", str(did), lambda rucio: rucio.get_metadata(did.scope, did.name, plugin="JSON")
            )
        )

    def list_replicas_by_rse(self, did: Did) -> dict[str, set[str]]:
        """Storage -> LFNs of the available replicas of a dataset."""
        found: dict[str, set[str]] = defaultdict(set)
        for replica in self._replicas(did):
            for rse in replica["rses"]:
                found[rse].add(replica["name"])
        return dict(found)

    def pfns(self, did: Did, rse: str) -> dict[str, str]:
        """LFN -> PFN of the available replicas on one storage."""
        return {
            replica["name"]: replica["rses"][rse][0] for replica in self._replicas(did, rse) if rse in replica["rses"]
        }

    def rule_state(self, rule_id: str) -> RuleInfo:
        """A rule; its state is GONE when it expired, was denied or deleted."""
        try:
            rule = self._rucio.call("get_replication_rule", rule_id, lambda rucio: rucio.get_replication_rule(rule_id))
        except Refusal as refusal:
            if refusal.kind == "RuleNotFound":
                return RuleInfo(rule_id, RuleState.GONE)
            raise
        return _rule_info(rule)

    def rule_states(self, rule_ids: Sequence[str]) -> dict[str, RuleInfo]:
        """Rule id -> rule, for any number of rules in few calls."""
        known: dict[str, RuleInfo] = {}
        if len(rule_ids) > SINGLE_RULES:
            wanted = set(rule_ids)
            filters = {"account": self.account}
            rules = self._rucio.call(
                "list_replication_rules", self.account, lambda rucio: list(rucio.list_replication_rules(filters))
            )
            known = {rule["id"]: _rule_info(rule) for rule in rules if rule["id"] in wanted}
        return {rule_id: known.get(rule_id) or self.rule_state(rule_id) for rule_id in rule_ids}

    def _did(self, did: Did) -> dict[str, Any]:
        """Rucio's row of a DID, its length and bytes counted: those of an open dataset are not kept up to date."""
        row = self._rucio.call("get_did", str(did), lambda rucio: rucio.get_did(did.scope, did.name, dynamic=True))
        return {
            "type": row["type"],
            "open": bool(row.get("open")),
            "length": int(row.get("length") or 0),
            "bytes": int(row.get("bytes") or 0),
        }

    def _rules_of(self, did: Did) -> list[dict[str, Any]]:
        return self._rucio.call(
            "list_did_rules", str(did), lambda rucio: list(rucio.list_did_rules(did.scope, did.name))
        )

    def _replicas(self, did: Did, rse: str | None = None) -> list[dict[str, Any]]:
        """Available replicas; in random order, since Rucio's default looks up a map of the world for every file."""
        return self._rucio.call(
            "list_replicas",
            str(did),
            lambda rucio: list(
                rucio.list_replicas(
                    [{"scope": did.scope, "name": did.name}], rse_expression=rse, sort="random", resolve_archives=False
                )
            ),
        )


def _rule_info(rule: Mapping[str, Any]) -> RuleInfo:
    return RuleInfo(
        rule_id=str(rule["id"]),
        state=RuleState(rule["state"]),
        locks_ok=int(rule["locks_ok_cnt"]),
        locks_replicating=int(rule["locks_replicating_cnt"]),
        locks_stuck=int(rule["locks_stuck_cnt"]),
        error=str(rule["error"] or ""),
    )
