"""What jobs wrote against what Rucio holds."""

from prodsys.ddm.facts import FileFact
from prodsys.ddm.registration import HeldDataset, WrittenFile, plan_registration
from prodsys.model.names import Did
from prodsys.model.outcome import JobFile

DID = Did("MC2025_S1", "MC2025_S1.x.27GeV-UU.PROD2025-016.SIM.1.S")
RSES = {"SPD_JINR": "JINR_EOS", "SPD_PNPI": "PNPI_EOS"}


def lfn(serial):
    return f"{DID.name}.{serial:06d}.root"


def written(seed, serial, size=100, adler="0000000a", queue="SPD_JINR"):
    return WrittenFile(seed, JobFile(lfn(serial), DID.name, size, adler), queue)


def plan(files, held=None, strays=(), open_=True):
    return plan_registration(DID, files, strays, RSES, HeldDataset(held or {}, open_))


FACT = FileFact(100, "a")


def test_when_nobody_registered_everything_is_added_where_its_job_ran():
    found = plan([written(40001, 1), written(40002, 2, queue="SPD_PNPI")])
    assert found.add == {lfn(1): FACT, lfn(2): FACT}
    assert found.rse_of == {lfn(1): "JINR_EOS", lfn(2): "PNPI_EOS"}
    assert found.seed_of == {lfn(1): 40001, lfn(2): 40002}
    assert not found.conflicts
    assert not found.complete


def test_when_panda_registered_everything_nothing_is_left_to_do():
    found = plan([written(1, 1), written(2, 2)], {lfn(1): FACT, lfn(2): FACT}, open_=False)
    assert found.complete


def test_only_what_is_missing_is_added():
    found = plan([written(1, 1), written(2, 2)], {lfn(1): FACT})
    assert list(found.add) == [lfn(2)]


def test_a_file_of_no_delivered_seed_is_detached():
    found = plan([written(1, 1)], {lfn(1): FACT, lfn(3): FACT}, strays=[lfn(3), lfn(4)])
    assert found.detach == (lfn(3),)
    assert not found.conflicts


def test_a_file_that_no_job_wrote_is_a_conflict_and_never_detached():
    found = plan([written(1, 1)], {lfn(1): FACT, lfn(9): FACT})
    assert found.detach == ()
    assert found.conflicts == (f"{lfn(9)} is in Rucio and no job of this task wrote it",)


def test_another_size_or_checksum_is_a_conflict():
    found = plan([written(1, 1), written(2, 2)], {lfn(1): FileFact(99, "a"), lfn(2): FileFact(100, "b")})
    assert len(found.conflicts) == 2
    assert "99 bytes" in found.conflicts[0]


def test_a_closed_dataset_that_lacks_a_file_is_a_conflict():
    found = plan([written(1, 1), written(2, 2)], {lfn(1): FACT}, open_=False)
    assert found.conflicts == (f"{lfn(2)} is not in Rucio, and the dataset is closed",)


def test_what_a_job_did_not_report_is_taken_from_rucio():
    found = plan([written(1, 1, size=0, adler="")], {lfn(1): FACT})
    assert found.complete
    assert found.files == {lfn(1): FACT}


def test_a_file_without_checksum_or_storage_cannot_be_added():
    found = plan([written(1, 1, adler=""), written(2, 2, queue="SPD_MARS")])
    assert "its job reported 100 bytes, adler32 unknown" in found.conflicts[0]
    assert "queue SPD_MARS has no storage in sites.yaml" in found.conflicts[1]


def test_an_unknown_queue_does_not_matter_for_a_file_that_is_registered():
    assert plan([written(1, 1, queue="SPD_MARS")], {lfn(1): FACT}).complete


def test_two_files_of_one_seed_are_a_conflict():
    found = plan([written(1, 1), written(1, 2)])
    assert found.conflicts == (f"seed 1 has two files, {lfn(1)} and {lfn(2)}",)


def test_one_file_of_two_seeds_is_a_conflict():
    found = plan([written(1, 1), written(2, 1)])
    assert found.conflicts == (f"{lfn(1)} was written for two seeds, 1 and 2",)
