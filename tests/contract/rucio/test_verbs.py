"""Every verb against a real Rucio server: it does what it says, twice the same, and refuses contradictions."""

import threading
import time

import pytest

from prodsys.ddm.facts import DidType, FileFact
from prodsys.ddm.verbs import Held, ensure_dataset_holds, ensure_described
from prodsys.errors import DatasetConflict, RucioRefused, RucioUnavailable, SpecInvalid
from prodsys.model.names import Did, guid_of
from tests.rucio_fixture import CallList

RSES = ("JINR_EOS", "PNPI_EOS")


class Meanwhile:
    """A connection before whose first call of this name somebody else does something."""

    def __init__(self, connection, verb, act):
        self._connection, self._verb, self._act = connection, verb, act

    def call(self, verb, target, function):
        if verb == self._verb and self._act is not None:
            act, self._act = self._act, None
            act()
        return self._connection.call(verb, target, function)


class Short:
    """A connection that loses the end of every list of files, as of a stream that broke off between two lines."""

    def __init__(self, connection):
        self._connection = connection

    def call(self, verb, target, function):
        found = self._connection.call(verb, target, function)
        return dict(list(found.items())[:-1]) if verb == "list_files" else found


def files_of(did, number, size=100):
    return {f"{did.name}.{i:06d}.root": FileFact(size + i, f"{i:x}") for i in range(1, number + 1)}


def storages(files):
    return {lfn: RSES[i % 2] for i, lfn in enumerate(files)}


def fill(client, did, files):
    """As PanDA's adder: files in an open dataset."""
    client.ensure_dataset(did)
    client.ensure_files(did, files, storages(files))


def test_the_server_takes_us_for_the_robot(rucio):
    assert rucio.whoami() == "production"
    assert rucio.ping().startswith("41.5")


def test_a_dataset_is_registered_whole_closed_and_read_back(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 7)
    ensure_dataset_holds(rucio, did, files, storages(files))
    info = rucio.dataset_info(did)
    assert (info.type, info.open, info.length, info.bytes) == (
        DidType.DATASET,
        False,
        7,
        sum(100 + i for i in range(1, 8)),
    )
    assert rucio.list_files(did) == files
    by_rse = rucio.list_replicas_by_rse(did)
    assert {lfn: rse for rse, lfns in by_rse.items() for lfn in lfns} == storages(files)


def test_a_list_of_files_that_ends_early_loses_no_file(rucio_server):
    did = rucio_server.did()
    files = files_of(did, 3)
    client = rucio_server.client()
    ensure_dataset_holds(client, did, files, storages(files))
    client._rucio = Short(client._rucio)
    with pytest.raises(RucioUnavailable, match=r"lists 2 files of .* and counts 3"):
        ensure_dataset_holds(client, did, files, storages(files))


def described(did, number):
    """Files with a GUID and events."""
    return {
        lfn: FileFact(fact.bytes, fact.adler32, guid_of(Did(did.scope, lfn)), 4000)
        for lfn, fact in files_of(did, number).items()
    }


def guids(rucio, did):
    return {lfn: (fact.guid, fact.events) for lfn, fact in rucio.list_files(did).items()}


def test_files_are_registered_with_guid_and_events_in_one_call(rucio_server):
    did, journal = rucio_server.did(), CallList()
    wanted = described(did, 20)
    ensure_dataset_holds(rucio_server.client(journal=journal), did, wanted, storages(wanted))
    assert guids(rucio_server.client(), did) == {lfn: (fact.guid, 4000) for lfn, fact in wanted.items()}
    assert journal.calls().count("add_files_to_datasets") == 1
    assert "set_dids_metadata_bulk" not in journal.calls()


def test_what_the_adder_registered_without_gets_both_afterwards_in_one_call_and_keeps_what_it_has(rucio_server):
    did, journal, rucio = rucio_server.did(), CallList(), rucio_server.client()
    fill(rucio, did, files_of(did, 20))
    rucio.ensure_closed(did)
    first, *_ = wanted = described(did, 20)
    rucio.describe_files({Did(did.scope, first): {"guid": "0" * 31 + "7"}})
    by_did = {Did(did.scope, lfn): fact for lfn, fact in wanted.items()}
    ensure_described(rucio_server.client(journal=journal), did, by_did)
    assert journal.calls() == ["list_files", "set_dids_metadata_bulk", "list_files"]
    kept = {first: ("0" * 31 + "7", 4000)}
    assert guids(rucio, did) == {lfn: (fact.guid, 4000) for lfn, fact in wanted.items()} | kept
    again = CallList()
    ensure_described(rucio_server.client(journal=again), did, by_did)
    assert again.calls() == ["list_files"]


def test_the_second_time_nothing_is_written(rucio_server):
    did = rucio_server.did()
    files = files_of(did, 3)
    first = ensure_dataset_holds(rucio_server.client(), did, files, storages(files))
    journal = CallList()
    again = ensure_dataset_holds(rucio_server.client(journal=journal), did, files, storages(files))
    assert again == first
    assert set(journal.calls()) == {"get_did", "list_files"}
    assert set(journal.calls("ok")) == set(journal.calls())


def test_more_files_than_one_call_carries(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 2203)
    ensure_dataset_holds(rucio, did, files, storages(files))
    info = rucio.dataset_info(did)
    assert info.length == 2203
    assert {rse: len(lfns) for rse, lfns in rucio.list_replicas_by_rse(did).items()} == {
        "JINR_EOS": 1102,
        "PNPI_EOS": 1101,
    }


def test_what_panda_registered_in_part_is_completed(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 10)
    some = dict(list(files.items())[::3])
    rucio.ensure_dataset(did)
    rucio.ensure_files(did, some, storages(files))
    assert (rucio.dataset_info(did).length, rucio.dataset_info(did).open) == (4, True)
    assert ensure_dataset_holds(rucio, did, files, storages(files)) == Held(files)
    assert rucio.list_files(did) == files
    assert not rucio.dataset_info(did).open


def test_what_panda_closed_complete_is_left_alone(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 4)
    ensure_dataset_holds(rucio, did, files, storages(files))
    assert ensure_dataset_holds(rucio, did, files, {}) == Held(files)
    assert rucio.dataset_info(did).length == 4


def test_what_panda_closed_incomplete_is_named_as_lost(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 4)
    some = dict(list(files.items())[:3])
    ensure_dataset_holds(rucio, did, some, storages(files))
    for _ in range(2):
        assert ensure_dataset_holds(rucio, did, files, storages(files)) == Held(some, lost=(list(files)[3],))
    assert rucio.dataset_info(did).length == 3


def test_what_panda_closes_between_our_look_and_our_add_is_named_as_lost(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 3)
    some = dict(list(files.items())[:1])
    fill(rucio, did, some)
    ours = rucio_server.client()
    ours._rucio = Meanwhile(ours._rucio, "add_files_to_datasets", lambda: rucio.ensure_closed(did))
    assert ensure_dataset_holds(ours, did, files, storages(files)) == Held(some, lost=tuple(list(files)[1:]))
    assert rucio.list_files(did) == some


def test_what_panda_completes_and_closes_between_our_look_and_our_add_is_complete(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 3)

    def finish():
        fill(rucio, did, files)
        rucio.ensure_closed(did)

    ours = rucio_server.client()
    ours._rucio = Meanwhile(ours._rucio, "add_files_to_datasets", finish)
    assert ensure_dataset_holds(ours, did, files, storages(files)) == Held(files)


def test_a_known_stray_is_detached_and_an_unknown_file_beside_it_stops_everything(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 4)
    wanted = dict(list(files.items())[:2])
    stray, alien = list(files)[2:]
    fill(rucio, did, {lfn: files[lfn] for lfn in (stray, alien)})
    with pytest.raises(DatasetConflict, match=r"000004\.root is there .* no job of ours wrote it"):
        ensure_dataset_holds(rucio, did, wanted, storages(files), known=lambda lfns: {stray})
    assert set(rucio.list_files(did)) == {stray, alien}
    assert rucio.dataset_info(did).open
    assert ensure_dataset_holds(rucio, did, wanted, storages(files), known=lambda lfns: lfns) == Held(wanted)


@pytest.mark.parametrize("other", [FileFact(999, "1"), FileFact(101, "beef")])
def test_a_changed_size_or_checksum_is_refused_and_nothing_changes(rucio, rucio_server, other):
    did = rucio_server.did()
    files = files_of(did, 3)
    fill(rucio, did, files)
    first = next(iter(files))
    with pytest.raises(DatasetConflict, match=r"000001\.root is there with 101 bytes"):
        ensure_dataset_holds(rucio, did, {**files, first: other}, storages(files))
    assert rucio.list_files(did) == files
    assert rucio.dataset_info(did).open


def test_a_file_known_elsewhere_with_another_checksum_is_refused(rucio, rucio_server):
    one, other = rucio_server.did(), rucio_server.did()
    files = files_of(one, 2)
    ensure_dataset_holds(rucio, one, files, storages(files))
    lied = {lfn: FileFact(fact.bytes, "ffff") for lfn, fact in files.items()}
    with pytest.raises(DatasetConflict):
        ensure_dataset_holds(rucio, other, lied, storages(files))
    assert rucio.list_files(other) == {}
    assert rucio.list_files(one) == files


def test_a_file_that_should_not_be_there_is_a_conflict(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 3)
    fill(rucio, did, files)
    fewer = dict(list(files.items())[:2])
    with pytest.raises(DatasetConflict, match=r"000003\.root is there .* and should not be"):
        ensure_dataset_holds(rucio, did, fewer, storages(files))
    assert rucio.dataset_info(did).open


def test_files_are_detached_from_an_open_dataset_again_and_again(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 4)
    fill(rucio, did, files)
    gone = list(files)[1:3]
    for _ in range(2):
        result = rucio.detach_files(did, gone)
        assert result.detached == tuple(gone)
        assert result.refused == ""
    left = {lfn: fact for lfn, fact in files.items() if lfn not in gone}
    assert ensure_dataset_holds(rucio, did, left, {}) == Held(left)
    assert rucio.dataset_info(did).length == 2


def test_rucio_41_lets_the_owner_detach_files_from_a_closed_dataset(rucio, rucio_server):
    """Decision rucio-detach: length and bytes follow; the dataset stays closed."""
    did = rucio_server.did()
    files = files_of(did, 4)
    ensure_dataset_holds(rucio, did, files, storages(files))
    before = rucio.dataset_info(did)
    gone = next(iter(files))
    assert rucio.detach_files(did, [gone]).refused == ""
    after = rucio.dataset_info(did)
    assert not after.open
    assert (after.length, after.bytes) == (3, before.bytes - files[gone].bytes)
    assert gone not in rucio.list_files(did)


def test_a_detached_file_keeps_its_replica_where_no_rule_ever_held_it(rucio, rucio_server):
    """Nobody deletes it: such files are left on the storage for its owner to clear away."""
    did = rucio_server.did()
    files = files_of(did, 2)
    fill(rucio, did, files)
    gone = next(iter(files))
    rucio.detach_files(did, [gone])
    assert rucio.list_replicas_by_rse(Did(did.scope, gone)) == {storages(files)[gone]: {gone}}


def test_a_detached_file_can_be_registered_again(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 2)
    fill(rucio, did, files)
    rucio.detach_files(did, list(files)[:1])
    assert ensure_dataset_holds(rucio, did, files, storages(files)) == Held(files)
    assert rucio.dataset_info(did).length == 2


def test_the_last_file_can_be_detached(rucio, rucio_server):
    did = rucio_server.did()
    files = files_of(did, 1)
    fill(rucio, did, files)
    for _ in range(2):
        assert rucio.detach_files(did, files).refused == ""
    assert rucio.dataset_info(did).length == 0


def test_a_container_holds_its_children_once_and_takes_more_later(rucio, rucio_server):
    one, two = rucio_server.did(), rucio_server.did()
    for did in (one, two):
        files = files_of(did, 2)
        ensure_dataset_holds(rucio, did, files, storages(files))
    step, request = rucio_server.did("step"), rucio_server.did("request")
    for children in ([one], [one], [one, two], [two]):
        rucio.ensure_container(step, children)
    assert rucio.list_children(step) == tuple(sorted([one, two]))
    for _ in range(2):
        rucio.ensure_container(request, [step])
    info = rucio.dataset_info(request)
    assert (info.type, info.length) == (DidType.CONTAINER, 4)


def test_a_closed_container_is_left_alone_when_complete_and_refuses_more(rucio, rucio_server):
    one, two, step = rucio_server.did(), rucio_server.did(), rucio_server.did("step")
    rucio.ensure_dataset(one)
    rucio.ensure_dataset(two)
    for _ in range(2):
        rucio.ensure_container(step, [one])
        rucio.ensure_closed(step)
    assert not rucio.dataset_info(step).open
    with pytest.raises(RucioRefused, match="UnsupportedOperation"):
        rucio.ensure_container(step, [one, two])


def test_a_container_of_a_dataset_that_does_not_exist_is_refused(rucio, rucio_server):
    with pytest.raises(RucioRefused, match="attach_dids"):
        rucio.ensure_container(rucio_server.did("step"), [rucio_server.did()])


def test_a_name_keeps_its_kind(rucio, rucio_server):
    dataset, container = rucio_server.did(), rucio_server.did("step")
    rucio.ensure_dataset(dataset)
    rucio.ensure_container(container, [])
    with pytest.raises(DatasetConflict, match="it is a DATASET, not a CONTAINER"):
        rucio.ensure_container(dataset, [])
    with pytest.raises(DatasetConflict, match="it is a CONTAINER, not a DATASET"):
        rucio.ensure_dataset(container)


def test_metadata_reads_back_as_it_was_written(rucio, rucio_server):
    did = rucio_server.did()
    rucio.ensure_dataset(did)
    mapping = {
        "prod_seeds": "1-3, 7",
        "prod_events": 80,
        "prod_share": 0.1,
        "prod_tasks": (1, 2),
        "prod_note": "žluť \u2212 <b>",
    }
    rucio.ensure_metadata(did, mapping)
    rucio.ensure_metadata(did, {"prod_events": 60})
    held = rucio.metadata(did)
    assert held == {**mapping, "prod_tasks": [1, 2], "prod_events": 60}
    with pytest.raises(SpecInvalid, match="column of Rucio"):
        rucio.ensure_metadata(did, {"events": 1})


def test_every_column_of_rucio_is_refused_as_a_key(rucio, rucio_server):
    """Keeps our list true: what Rucio shows of a fresh dataset beside its JSON metadata are its columns."""
    from prodsys.ddm.metadata import RUCIO_COLUMNS

    did = rucio_server.did()
    rucio.ensure_dataset(did)
    shown = rucio._rucio.call("get_metadata", str(did), lambda raw: raw.get_metadata(did.scope, did.name, plugin="ALL"))
    assert set(shown) <= RUCIO_COLUMNS


def test_a_scope_may_be_asked_for_twice(rucio):
    for _ in range(2):
        rucio.ensure_scope("MC2025_S2")


def test_a_scope_that_is_missing_is_made_where_the_robot_may(rucio, rucio_server):
    scope = f"T{time.time_ns() // 1_000_000}"
    for _ in range(2):
        rucio.ensure_scope(scope)
    assert rucio.ensure_dataset(rucio_server.did(scope=scope)).open


def test_a_scope_that_cannot_be_made_is_refused_with_a_remedy(rucio):
    with pytest.raises(RucioRefused, match="ask Rucio's administrators"):
        rucio.ensure_scope("no scope has blanks")


def test_a_dataset_in_an_unknown_scope_is_refused_in_rucios_words(rucio, rucio_server):
    with pytest.raises(RucioRefused, match=r"add_dataset MC1999_S1:.*(ScopeNotFound|AccessDenied)"):
        rucio.ensure_dataset(rucio_server.did(scope="MC1999_S1"))


def test_what_does_not_exist_is_told_apart_from_what_is_empty(rucio, rucio_server):
    did = rucio_server.did()
    assert rucio.dataset_info(did) is None
    with pytest.raises(RucioRefused, match="DataIdentifierNotFound"):
        rucio.list_files(did)
    rucio.ensure_dataset(did)
    assert rucio.dataset_info(did).length == 0
    assert rucio.list_files(did) == {}
    assert rucio.list_replicas_by_rse(did) == {}


def test_racing_writers_end_with_one_dataset_one_container_and_one_rule(rucio_server):
    did, step = rucio_server.did(), rucio_server.did("step")
    files = files_of(did, 400)
    said: list[object] = []

    def write():
        client = rucio_server.client()
        try:
            ensure_dataset_holds(client, did, files, storages(files))
            info = client.dataset_info(did)
            client.ensure_container(step, [did])
            said.append((info, client.ensure_rule(did, 1, "JINR_EOS|PNPI_EOS", None, "Production Output")))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            said.append(error)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(set(said)) == 1, said
    client = rucio_server.client()
    assert client.list_files(did) == files
    assert client.list_children(step) == (did,)


def test_every_call_leaves_a_line_without_the_token(rucio_server):
    journal, token = CallList(), rucio_server.token()
    client = rucio_server.client(lambda: token, journal)
    client.ensure_dataset(did := rucio_server.did())
    assert journal.calls() == ["get_did", "add_dataset", "get_did"]
    assert [line["outcome"] for line in journal.lines] == ["refused", "ok", "ok"]
    assert {line["target"] for line in journal.lines} == {str(did)}
    assert all(line["service"] == "rucio" and token not in str(line) for line in journal.lines)
