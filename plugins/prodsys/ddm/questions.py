"""What may be asked of Rucio. Questions change nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prodsys.ddm.connection import RucioConnection
from prodsys.ddm.facts import DatasetInfo, DidType, FileFact, RuleInfo, ScopeInfo, SharedQuota, Space
from prodsys.ddm.file_questions import FileQuestions
from prodsys.ddm.translation import Refusal
from prodsys.model.journal import Journal
from prodsys.model.names import Did
from prodsys.model.statuses import RuleState

OWN_BOOKS = "rucio"  # source of a storage's usage that is Rucio's own count of what it registered
ROOT = "root"  # the account that may do everything
SINGLE_RULES = 8  # up to so many rules are asked for one by one [6 ms each]; more of them in one listing


class RucioQuestions(FileQuestions):
    """The asking half of ``RucioClient``."""

    def __init__(
        self,
        url: str,
        account: str,
        token: Callable[[], str],
        timeout_s: float,
        journal: Journal | None = None,
        **limits: Any,
    ) -> None:
        self.account = account
        self._rucio = RucioConnection(url, account, token, timeout_s, journal, **limits)

    def ping(self) -> str:
        """Version of the server."""
        return self._rucio.call("ping", "", lambda rucio: str(rucio.ping()["version"]))

    def whoami(self) -> str:
        """Account that the server takes this client for."""
        return self._rucio.call("whoami", "", lambda rucio: str(rucio.whoami()["account"]))

    def list_files(self, did: Did) -> dict[str, FileFact]:
        """Files of a dataset, or of everything below a container: LFN -> what Rucio knows of it."""

        def ask(rucio: Any) -> dict[str, FileFact]:
            found = rucio.list_files(did.scope, did.name)
            return {file["name"]: _fact(file) for file in found}

        return self._rucio.call("list_files", str(did), ask)

    def list_children(self, did: Did) -> tuple[Did, ...]:
        """What is directly in a container, in the order of names."""

        def ask(rucio: Any) -> tuple[Did, ...]:
            return tuple(
                sorted(Did(child["scope"], child["name"]) for child in rucio.list_content(did.scope, did.name))
            )

        return self._rucio.call("list_content", str(did), ask)

    def dataset_info(self, did: Did) -> DatasetInfo | None:
        """The dataset or container, or None when there is none of this name."""
        try:
            return self._info(did)
        except Refusal as refusal:
            if refusal.kind == "DataIdentifierNotFound":
                return None
            raise

    def find_known(self, dids: Iterable[Did]) -> tuple[Did, ...]:
        """Those of the datasets and containers that exist."""
        return tuple(did for did in dids if self.dataset_info(did) is not None)

    def find_collections(self, scope: str, beginning: str) -> tuple[Did, ...]:
        """Datasets and containers of a scope whose names begin so, in order; none when there is no such scope."""

        def ask(rucio: Any) -> tuple[Did, ...]:
            found = rucio.list_dids(scope, [{"name": f"{beginning}*"}], did_type="collection")
            return tuple(sorted(Did(scope, str(name)) for name in found))

        try:
            return self._rucio.call("list_dids", f"{scope}:{beginning}*", ask)
        except Refusal as refusal:
            if refusal.kind == "ScopeNotFound":
                return ()
            raise

    def find_scope(self, scope: str) -> ScopeInfo | None:
        """The scope, and whether this account may add data to it; None when there is none of this name.

        Notes
        -----
        Source: Rucio 41.5, ``core/permission/generic.py`` (``perm_add_did``: owners of the scope, the account ``root``,
        and accounts with the attribute ``admin``).
        """
        if scope in self._own_scopes():
            return ScopeInfo(scope, ours=True)
        if scope not in self._rucio.call("list_scopes", scope, lambda rucio: list(rucio.list_scopes())):
            return None
        return ScopeInfo(scope, ours=self._is_administrator())

    def _own_scopes(self) -> list[str]:
        try:
            return self._rucio.call(
                "list_scopes_for_account", self.account, lambda rucio: list(rucio.list_scopes_for_account(self.account))
            )
        except Refusal as refusal:
            if refusal.kind == "ScopeNotFound":  # how an account without any is told
                return []
            raise

    def _is_administrator(self) -> bool:
        def ask(rucio: Any) -> bool:
            rows: list[dict[str, Any]] = next(iter(rucio.list_account_attributes(self.account)), [])
            return any(row["key"] == "admin" and row["value"] is not None for row in rows)

        return self.account == ROOT or self._rucio.call("list_account_attributes", self.account, ask)

    def find_rses(self) -> frozenset[str]:
        """Names of all storages."""
        return self._rucio.call("list_rses", "", lambda rucio: frozenset(str(row["rse"]) for row in rucio.list_rses()))

    def find_space(self, rses: Iterable[str]) -> tuple[Space, ...]:
        """Room on each of these storages: free space and what is left of this account's own limit there.

        Raises
        ------
        RucioRefused
            There is no such storage.

        Notes
        -----
        Source: Rucio 41.5, ``core/account_limit.py`` (a storage without limit is shown with the limit 0, an infinite
        one as -1) and ``core/rse.py`` (several sources a storage; the one named ``rucio`` is its own bookkeeping and
        knows of no free space).
        """
        limits = self._rucio.call("get_local_account_limits", self.account, self._limits)
        used = self._rucio.call("get_local_account_usage", self.account, self._used)
        return tuple(_space(rse, self._free(rse), limits.get(rse), used.get(rse, 0)) for rse in rses)

    def find_shared_quotas(self) -> tuple[SharedQuota, ...]:
        """Limits of this account over several storages together ("global" ones), infinite ones left out."""

        def ask(rucio: Any) -> tuple[SharedQuota, ...]:
            rows = [
                row for row in rucio.get_global_account_usage(self.account) if math.isfinite(row["bytes_remaining"])
            ]
            return tuple(
                SharedQuota(
                    str(row["rse_expression"]),
                    frozenset(str(rse["rse"]) for rse in rucio.list_rses(row["rse_expression"])),
                    int(row["bytes_remaining"]),
                )
                for row in rows
                if math.isfinite(row["bytes_remaining"])
            )

        return self._rucio.call("get_global_account_usage", self.account, ask)

    def _limits(self, rucio: Any) -> dict[str, float]:
        return {str(rse): float(limit) for rse, limit in rucio.get_local_account_limits(self.account).items()}

    def _used(self, rucio: Any) -> dict[str, int]:
        return {str(row["rse"]): int(row["bytes"] or 0) for row in rucio.get_local_account_usage(self.account)}

    def _free(self, rse: str) -> int | None:
        """Least free space that any source reports [byte], or None."""
        rows = self._rucio.call("get_rse_usage", rse, lambda rucio: list(rucio.get_rse_usage(rse)))
        measured = [row for row in rows if row.get("source") != OWN_BOOKS and row.get("free") is not None]
        return min((int(row["free"]) for row in measured), default=None)

    def metadata(self, did: Did) -> dict[str, Any]:
        """JSON metadata of a DID; empty when it has none."""
        return self._rucio.call(
            "get_metadata", str(did), lambda rucio: dict(rucio.get_metadata(did.scope, did.name, plugin="JSON"))
        )

    def list_replicas_by_rse(self, did: Did) -> dict[str, set[str]]:
        """Storage -> LFNs of the available replicas of a dataset."""
        found: dict[str, set[str]] = defaultdict(set)
        for lfn, pfns in self.replicas(did).items():
            for rse in pfns:
                found[rse].add(lfn)
        return dict(found)

    def pfns(self, did: Did, rse: str) -> dict[str, str]:
        """LFN -> PFN of the available replicas on one storage."""
        return {lfn: pfns[rse] for lfn, pfns in self.replicas(did, rse).items() if rse in pfns}

    def rule_state(self, rule_id: str) -> RuleInfo:
        """A rule; its state is GONE when it expired, was denied or deleted."""
        try:
            return self._rucio.call(
                "get_replication_rule", rule_id, lambda rucio: _rule_info(rucio.get_replication_rule(rule_id))
            )
        except Refusal as refusal:
            if refusal.kind == "RuleNotFound":
                return RuleInfo(rule_id, RuleState.GONE)
            raise

    def rule_states(self, rule_ids: Sequence[str]) -> dict[str, RuleInfo]:
        """Rule id -> rule, for any number of rules in few calls."""
        known = self.list_own_rules() if len(rule_ids) > SINGLE_RULES else {}
        return {rule_id: known.get(rule_id) or self.rule_state(rule_id) for rule_id in rule_ids}

    def list_own_rules(self) -> dict[str, RuleInfo]:
        """Rule id -> rule, for all rules of this account in one call."""

        def ask(rucio: Any) -> dict[str, RuleInfo]:
            return {str(row["id"]): _rule_info(row) for row in rucio.list_replication_rules({"account": self.account})}

        return self._rucio.call("list_replication_rules", self.account, ask)

    def _info(self, did: Did) -> DatasetInfo:
        """A dataset or container, its length and bytes counted: Rucio does not keep those of an open one up to date."""

        def ask(rucio: Any) -> DatasetInfo:
            row = rucio.get_did(did.scope, did.name, dynamic=True)
            length, size = int(row.get("length") or 0), int(row.get("bytes") or 0)
            return DatasetInfo(did, DidType(row["type"]), bool(row.get("open")), length, size)

        return self._rucio.call("get_did", str(did), ask)

    def _rules_of(self, did: Did) -> dict[str, tuple[str, int, str]]:
        """Rule id -> account, copies and expression of all rules of a DID."""

        def ask(rucio: Any) -> dict[str, tuple[str, int, str]]:
            rows = rucio.list_did_rules(did.scope, did.name)
            return {str(row["id"]): (row["account"], int(row["copies"]), row["rse_expression"]) for row in rows}

        return self._rucio.call("list_did_rules", str(did), ask)

    def replicas(self, did: Did, rse: str | None = None) -> dict[str, dict[str, str]]:
        """LFN -> storage -> PFN; in random order, since Rucio's default looks up a map of the world for every file."""

        def ask(rucio: Any) -> dict[str, dict[str, str]]:
            wanted = [{"scope": did.scope, "name": did.name}]
            rows = rucio.list_replicas(wanted, rse_expression=rse, sort="random", resolve_archives=False)
            return {row["name"]: {name: pfns[0] for name, pfns in row["rses"].items()} for row in rows}

        return self._rucio.call("list_replicas", str(did), ask)


def _fact(row: Mapping[str, Any]) -> FileFact:
    size, checksum = int(row["bytes"] or 0), row["adler32"] or ""
    return FileFact(size, checksum, row.get("guid") or "", row.get("events"))


def _space(rse: str, free: int | None, limit: float | None, used: int) -> Space:
    if limit is None:
        return Space(rse, free)
    if math.isinf(limit) or limit < 0:
        return Space(rse, free, unlimited=True)
    return Space(rse, free, quota_left=int(limit) - used)


def _rule_info(rule: Mapping[str, Any]) -> RuleInfo:
    return RuleInfo(
        rule_id=str(rule["id"]),
        state=RuleState(rule["state"]),
        locks_ok=int(rule["locks_ok_cnt"]),
        locks_replicating=int(rule["locks_replicating_cnt"]),
        locks_stuck=int(rule["locks_stuck_cnt"]),
        error=str(rule["error"] or ""),
        expires_at=_moment(rule.get("expires_at")),
    )


def _moment(given: object) -> datetime | None:
    """A time of Rucio, which is UTC; None for none."""
    return given.replace(tzinfo=UTC) if isinstance(given, datetime) else None
