"""Rules with the real daemons and real bytes between the folders of two storages."""

import os
import time

import pytest

from prodsys.ddm.content import adler32, local_path
from prodsys.ddm.facts import FileFact
from prodsys.ddm.placement import hash_path
from prodsys.ddm.verbs import ensure_dataset_holds, rule_complete
from prodsys.errors import RucioRefused
from prodsys.model.names import Did
from prodsys.model.statuses import RuleState

BOTH = "JINR_EOS|PNPI_EOS"
ACTIVITY = "Production Output"
WAIT_MAX_S = 90


def write_files(server, did, number):
    """Real files where their jobs would have left them; LFN -> fact."""
    facts = {}
    for i in range(1, number + 1):
        lfn = f"{did.name}.{i:06d}.root"
        path = server.rse_root / "JINR_EOS" / hash_path(Did(did.scope, lfn))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(500 + i))
        facts[lfn] = FileFact(500 + i, adler32(path))
    return facts


def wait_until(condition):
    until = time.monotonic() + WAIT_MAX_S
    while not condition():
        assert time.monotonic() < until, "the rule did not come to its end"
        time.sleep(0.2)


def test_both_copies_of_every_file_arrive(rucio, rucio_server):
    did = rucio_server.did()
    files = write_files(rucio_server, did, 3)
    ensure_dataset_holds(rucio, did, files, dict.fromkeys(files, "JINR_EOS"))
    rule_id = rucio.ensure_rule(did, 2, BOTH, None, ACTIVITY)
    wait_until(lambda: rule_complete(rucio.rule_state(rule_id), 2, 3))
    assert rucio.list_replicas_by_rse(did) == {"JINR_EOS": set(files), "PNPI_EOS": set(files)}
    for rse in ("JINR_EOS", "PNPI_EOS"):
        for lfn, pfn in rucio.pfns(did, rse).items():
            path = local_path(pfn, rucio_server.rse_root, rse)
            assert path == rucio_server.rse_root / rse / hash_path(Did(did.scope, lfn))
            assert FileFact(path.stat().st_size, adler32(path)) == files[lfn]


def test_a_rule_on_an_empty_dataset_is_ok_and_not_complete(rucio, rucio_server):
    did = rucio_server.did()
    rucio.ensure_dataset(did)
    info = rucio.rule_state(rucio.ensure_rule(did, 2, BOTH, None, ACTIVITY))
    assert info.state is RuleState.OK
    assert not rule_complete(info, 2, rucio.dataset_info(did).length)


def test_a_rule_made_before_its_files_is_complete_when_the_evaluator_has_seen_them(rucio, rucio_server):
    did = rucio_server.did()
    files = write_files(rucio_server, did, 2)
    rucio.ensure_dataset(did)
    rule_id = rucio.ensure_rule(did, 2, BOTH, None, ACTIVITY)
    ensure_dataset_holds(rucio, did, files, dict.fromkeys(files, "JINR_EOS"))
    wait_until(lambda: rule_complete(rucio.rule_state(rule_id), 2, 2))


def test_a_detached_file_leaves_the_rule_of_its_dataset(rucio, rucio_server):
    did = rucio_server.did()
    files = write_files(rucio_server, did, 3)
    ensure_dataset_holds(rucio, did, files, dict.fromkeys(files, "JINR_EOS"))
    rule_id = rucio.ensure_rule(did, 2, BOTH, None, ACTIVITY)
    rucio.detach_files(did, [next(iter(files))])
    wait_until(lambda: rule_complete(rucio.rule_state(rule_id), 2, 2))


def test_the_same_rule_is_made_once_and_another_beside_it(rucio, rucio_server):
    did = rucio_server.did()
    rucio.ensure_dataset(did)
    first = rucio.ensure_rule(did, 2, BOTH, None, ACTIVITY)
    assert rucio.ensure_rule(did, 2, BOTH, None, ACTIVITY) == first
    assert rucio.ensure_rule(did, 1, "JINR_EOS", 86_400, ACTIVITY) != first


def test_a_large_rule_is_left_to_the_injector_and_comes_to_its_locks(rucio, rucio_server):
    did = rucio_server.did()
    files = {f"{did.name}.{i:06d}.root": FileFact(10, f"{i:x}") for i in range(1, 1101)}
    ensure_dataset_holds(rucio, did, files, dict.fromkeys(files, "JINR_EOS"))
    rule_id = rucio.ensure_rule(did, 1, "JINR_EOS", None, ACTIVITY)
    wait_until(lambda: rule_complete(rucio.rule_state(rule_id), 1, 1100))


def test_a_rule_that_is_gone_is_said_to_be_gone(rucio):
    assert rucio.rule_state("0" * 32).state is RuleState.GONE


def test_many_rules_are_asked_for_in_one_listing(rucio_server):
    from tests.rucio_fixture import CallList

    journal = CallList()
    client = rucio_server.client(journal=journal)
    dids = [rucio_server.did() for _ in range(10)]
    for did in dids:
        client.ensure_dataset(did)
    ids = [client.ensure_rule(did, 1, "JINR_EOS", None, ACTIVITY) for did in dids]
    journal.lines.clear()
    states = client.rule_states([*ids, "0" * 32])
    assert [states[one].state for one in ids] == [RuleState.OK] * 10
    assert states["0" * 32].state is RuleState.GONE
    assert journal.calls() == ["list_replication_rules", "get_replication_rule"]


@pytest.mark.parametrize(
    ("copies", "expression", "activity", "word"),
    [
        (3, BOTH, ACTIVITY, "InsufficientTargetRSEs"),
        (1, "NOWHERE_EOS", ACTIVITY, "InvalidRSEExpression"),
        (1, "JINR_EOS", "Leisure", "InvalidObject"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_in_rucios_words(rucio, rucio_server, copies, expression, activity, word):
    did = rucio_server.did()
    rucio.ensure_dataset(did)
    with pytest.raises(RucioRefused, match=word):
        rucio.ensure_rule(did, copies, expression, None, activity)
