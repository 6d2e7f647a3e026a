"""The ledger and a real Rucio: what expired on purpose is left alone, what somebody changed is told until decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from rucio.client.ruleclient import RuleClient

from prodsys.actions.core.context import Context
from prodsys.actions.reconciliation.findings import Finding, decide, keep_findings, open_findings, run_check
from prodsys.actions.reconciliation.rucio_checks import compare_datasets, compare_rules
from prodsys.ddm.client import RucioClient
from prodsys.ddm.verbs import ensure_dataset_holds
from prodsys.errors import FindingDecided, NotAllowed
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, RequestRow, RuleRow
from prodsys.model.names import Did
from prodsys.model.statuses import RuleState
from tests.contract.actions.conftest import ctx, ledger_url  # noqa: F401 - fixtures
from tests.contract.rucio.test_rules import ACTIVITY, wait_until, write_files
from tests.rucio_fixture import CallList, RucioServer

REQUEST = "TEST2026-001"
LONG_AGO = datetime.now(UTC) - timedelta(days=40)
MONTH = 30


@dataclass
class Delivered:
    """A complete request with its datasets, in the ledger and in Rucio."""

    ctx: Context
    rucio: RucioClient
    server: RucioServer
    journal: CallList

    def sample(self, lifetime_days: int | None = None) -> tuple[Did, str]:
        """A dataset of two files with a rule, as it was certified."""
        did = self.server.did()
        self.rucio.ensure_dataset(did)
        seconds = None if lifetime_days is None else lifetime_days * 86400
        rule_id = self.rucio.ensure_rule(did, 1, "JINR_EOS", seconds, ACTIVITY)
        self.write(did, rule_id, lifetime_days)
        return did, rule_id

    def write(self, did: Did, rule_id: str, lifetime_days: int | None = None, made: datetime | None = None) -> None:
        when = made or datetime.now(UTC)
        dataset = {"did": str(did), "request_id": REQUEST, "kind": "dataset", "files": 0, "bytes": 0}
        policy = {"rse_expression": "JINR_EOS", "copies": 1, "lifetime_days": lifetime_days, "length": 1}
        with transaction(self.ctx.sessions) as session:
            session.add(DatasetRow(**dataset, read_back_at=when))
            session.flush()
            seen = {"state": "OK", "created_at": when, "checked_at": when}
            session.add(RuleRow(rule_id=rule_id, did=str(did), request_id=REQUEST, **policy, **seen))

    def expired(self, number: int, lifetime_days: int | None = MONTH, made: datetime = LONG_AGO) -> list[str]:
        """Datasets of 40 days ago that Rucio has no rule of, and no data."""
        dids = [self.server.did() for _ in range(number)]
        for place, did in enumerate(dids):
            self.write(did, f"{place:032x}", lifetime_days, made)
        return [str(did) for did in dids]

    def expire(self, rule_id: str, lifetime_s: int) -> None:
        """Give a rule another lifetime, as somebody does at Rucio's command line."""
        self.rucio._rucio.call(
            "update_replication_rule",
            rule_id,
            lambda client: RuleClient.update_replication_rule(client, rule_id, {"lifetime": lifetime_s}),
        )

    def rules(self) -> list[Finding]:
        return keep_findings(self.ctx, [run_check(compare_rules, self.ctx, True)], closing=False)

    def datasets(self) -> list[Finding]:
        return keep_findings(self.ctx, [run_check(compare_datasets, self.ctx, True)], closing=False)

    def row(self, rule_id: str) -> RuleRow:
        with transaction(self.ctx.sessions) as session:
            return session.get_one(RuleRow, rule_id)


@pytest.fixture
def delivered(ctx: Context, rucio_server: RucioServer) -> Delivered:  # noqa: F811 - the fixture
    journal = CallList()
    client = rucio_server.client(journal=journal)
    here = replace(ctx, clients=replace(ctx.clients, rucio=lambda: client))
    with transaction(ctx.sessions) as session:
        values = {"recorded_status": "draft", "campaign": "SPD MC 2026", "requester": "manager"}
        session.add(RequestRow(request_id=REQUEST, state="complete", **values))
    return Delivered(here, client, rucio_server, journal)


def about(found: list[Finding], subject: str) -> list[str]:
    return [one.what for one in found if one.subject == subject]


def thrifty(delivered: Delivered, calls: int) -> None:
    """Let a pass compare so many."""
    policy = delivered.ctx.catalogue.policy
    limits = policy.reconcile.model_copy(update={"catalogue_calls": calls})
    catalogue = delivered.ctx.catalogue.model_copy(update={"policy": policy.model_copy(update={"reconcile": limits})})
    delivered.ctx = replace(delivered.ctx, catalogue=catalogue)


# --- nothing starves --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("lifetime_days", [MONTH, None])
def test_one_changed_dataset_among_twenty_five_that_are_gone_is_found_within_two_passes(
    delivered: Delivered, lifetime_days: int | None
) -> None:
    gone = delivered.expired(25, lifetime_days)
    did, _ = delivered.sample()
    with transaction(delivered.ctx.sessions) as session:
        session.get_one(DatasetRow, str(did)).files = 2
    thrifty(delivered, 20)
    found = [*delivered.datasets(), *delivered.datasets()]
    assert "the certificate says 2 files" in "".join(about(found, str(did)))
    told = {one.subject for one in found} - {str(did)}
    assert told == (set() if lifetime_days else set(gone)), "what was to expire is left alone, the rest is told"


@pytest.mark.parametrize("lifetime_days", [MONTH, None])
def test_one_changed_rule_among_twenty_five_that_are_gone_is_found_within_two_passes(
    delivered: Delivered, lifetime_days: int | None
) -> None:
    delivered.expired(25, lifetime_days)
    _, rule_id = delivered.sample()
    delivered.expire(rule_id, 864_000)
    thrifty(delivered, 20)
    found = [*delivered.rules(), *delivered.rules()]
    assert "expires at" in "".join(about(found, rule_id))
    assert len({one.subject for one in found}) == (1 if lifetime_days else 26)


def test_rules_that_expired_on_purpose_are_never_asked_for(delivered: Delivered) -> None:
    delivered.expired(25)
    assert delivered.rules() == delivered.datasets() == []
    assert delivered.journal.lines == []
    assert delivered.row(f"{0:032x}").state == RuleState.EXPIRED


def test_a_rule_that_is_gone_before_its_time_is_told(delivered: Delivered) -> None:
    delivered.expired(1, made=datetime.now(UTC) - timedelta(days=MONTH - 1))
    (told,) = delivered.rules()
    assert (told.severity, told.cause) == ("error", "deleted or expired in Rucio, though its 30 days have not passed")


# --- case 10: told until decided --------------------------------------------------------------------------------------
@pytest.mark.parametrize("lifetime_days", [None, MONTH])
def test_an_expiry_that_the_certificate_does_not_know_is_told_until_somebody_has_decided(
    delivered: Delivered, lifetime_days: int | None
) -> None:
    _, rule_id = delivered.sample(lifetime_days)
    assert delivered.rules() == []
    delivered.expire(rule_id, 864_000)
    first, again = delivered.rules(), delivered.rules()
    assert [one.finding_id for one in first] == [one.finding_id for one in again]
    (told,) = open_findings(delivered.ctx)
    assert told.first_seen is not None
    assert told.last_seen is not None
    assert told.last_seen > told.first_seen
    assert decide(delivered.ctx, told.finding_id, "the sample is obsolete").decided_by == "manager"
    assert delivered.rules() == []
    assert open_findings(delivered.ctx) == ()

    delivered.expire(rule_id, 432_000)  # another expiry is another finding
    (other,) = delivered.rules()
    assert other.finding_id != told.finding_id


def test_a_rule_that_expires_as_somebody_decided_is_remembered_as_expired(delivered: Delivered) -> None:
    _, rule_id = delivered.sample()
    delivered.expire(rule_id, 1)
    (told,) = delivered.rules()
    decide(delivered.ctx, told.finding_id, "the sample is obsolete")
    wait_until(lambda: delivered.rucio.rule_state(rule_id).state is RuleState.GONE)
    assert delivered.rules() == []
    assert delivered.row(rule_id).state == RuleState.EXPIRED
    delivered.journal.lines.clear()
    assert delivered.rules() == delivered.datasets() == []
    assert delivered.journal.lines == []


def test_a_rule_that_went_without_a_decision_is_told_every_time(delivered: Delivered) -> None:
    _, rule_id = delivered.sample()
    delivered.expire(rule_id, 1)
    delivered.rules()
    wait_until(lambda: delivered.rucio.rule_state(rule_id).state is RuleState.GONE)
    for _ in range(3):
        (told,) = delivered.rules()
        assert "is GONE" in told.what
    (kept,) = open_findings(delivered.ctx)  # that it would expire is the past
    assert kept.finding_id == told.finding_id


def test_what_went_away_by_itself_is_closed_and_cannot_be_decided(delivered: Delivered) -> None:
    did, _ = delivered.sample()
    with transaction(delivered.ctx.sessions) as session:
        session.get_one(DatasetRow, str(did)).files = 2
    (told,) = delivered.datasets()
    with transaction(delivered.ctx.sessions) as session:
        session.get_one(DatasetRow, str(did)).files = 0
    assert delivered.datasets() == []
    assert open_findings(delivered.ctx) == ()
    with pytest.raises(FindingDecided, match="went away by itself"):
        decide(delivered.ctx, told.finding_id, "seen")


def test_a_copy_that_is_not_there_is_told_every_time_until_it_is(delivered: Delivered) -> None:
    did = delivered.server.did()
    files = write_files(delivered.server, did, 1)
    delivered.server.pump.stop()  # nothing is copied meanwhile
    try:
        ensure_dataset_holds(delivered.rucio, did, files, dict.fromkeys(files, "JINR_EOS"))
        rule_id = delivered.rucio.ensure_rule(did, 2, "JINR_EOS|PNPI_EOS", None, ACTIVITY)
        delivered.write(did, rule_id)
        for _ in range(3):
            assert "is REPLICATING" in "".join(about(delivered.rules(), rule_id))
    finally:
        delivered.server.pump.start()
    wait_until(lambda: delivered.rucio.rule_state(rule_id).state is RuleState.OK)
    assert delivered.rules() == []


def test_a_decision_is_somebodys_right_and_made_once(delivered: Delivered) -> None:
    delivered.expired(1, None)
    (told,) = delivered.rules()
    with pytest.raises(NotAllowed):
        decide(delivered.ctx.acting_as("guest", "viewer"), told.finding_id, "why not")
    decide(delivered.ctx, told.finding_id, "seen")
    assert decide(delivered.ctx, told.finding_id, "seen").decided_by == "manager", "the same word again changes nothing"
    with pytest.raises(FindingDecided, match="manager decided it"):
        decide(delivered.ctx.acting_as("deputy", "manager"), told.finding_id, "no")


# --- what cannot be compared ------------------------------------------------------------------------------------------
def test_what_rucio_cannot_say_of_one_dataset_hides_none_of_the_others(delivered: Delivered) -> None:
    with transaction(delivered.ctx.sessions) as session:
        for name in ("no DID at all", "nowhere:x"):
            values = {"did": name, "request_id": REQUEST, "kind": "dataset", "files": 1, "bytes": 1}
            session.add(DatasetRow(**values, read_back_at=LONG_AGO))
    did, _ = delivered.sample()
    with transaction(delivered.ctx.sessions) as session:
        session.get_one(DatasetRow, str(did)).files = 2
    for _ in range(2):
        found = {one.subject: one.what for one in delivered.datasets()}
        assert set(found) == {"no DID at all", "nowhere:x", str(did)}
        assert found["no DID at all"] == "no DID at all could not be compared"


def test_what_was_found_of_a_request_that_is_settled_again_is_closed(delivered: Delivered) -> None:
    delivered.expired(1, None)
    delivered.rules()
    delivered.datasets()
    assert len(open_findings(delivered.ctx)) == 2
    with transaction(delivered.ctx.sessions) as session:
        session.get_one(RequestRow, REQUEST).state = "running"
    assert delivered.rules() == delivered.datasets() == []
    assert open_findings(delivered.ctx) == ()
