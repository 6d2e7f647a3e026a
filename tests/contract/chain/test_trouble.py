"""What goes wrong in PanDA, in Rucio or on the storage ends in a verdict that names it, or in a sample without it."""

import re

import pytest

from prodsys.actions.settlement.registration import ensure_step_data
from prodsys.ddm.facts import FileFact
from prodsys.errors import DatasetConflict, SpecInvalid, StepFailed
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, SeedOutcomeRow, StepRow
from prodsys.model.outcome import SeedState
from prodsys.model.statuses import RequestState, Verdict
from tests.contract.chain.site import EVENTS


def missing_of(production):
    return {one["seed"]: (one["step"], one["reason"]) for one in production.certificate()["seeds_missing"]}


def test_a_seed_that_fails_for_ever_is_accepted_missing_at_the_policys_share(produced):
    production = produced("partial")
    assert production.finished().state == RequestState.ACCEPTED
    [(seed, (step, reason))] = missing_of(production).items()
    assert (seed, step) == (production.seeds[1], "SIM")
    assert "segmentation violation" in reason
    certificate = production.certificate()
    assert (certificate["verdict"], certificate["events_delivered"]) == (Verdict.PARTIAL, 2 * EVENTS)
    assert [job.attempt for job in production.jobs("SIM") if job.seed == seed] == [1, 2, 3]


def test_below_the_policys_share_the_step_fails_with_the_seeds_and_pandas_words(produced):
    production = produced("below")
    assert isinstance(production.error, StepFailed)
    assert production.error.verdict == Verdict.FAILED
    for place in (0, 2):
        assert str(production.seeds[place]) in str(production.error)
    assert "segmentation violation" in str(production.error)
    production.left_nothing()


def test_a_task_of_which_nothing_came_ends_with_pandas_own_words(produced):
    production = produced("dead")
    assert isinstance(production.error, StepFailed)
    assert f"task {production.task('SIM').jedi_task_id} ended as failed" in production.error.reason
    assert "no file was successfully processed" in production.error.reason


def test_a_task_that_somebody_retries_is_waited_for_again_and_settled_as_it_is_then(produced):
    production = produced("retried")
    assert production.finished().state == RequestState.COMPLETE
    assert re.search(r"task \d+ \(DEMO2025-915\.SIM\) is (toretry|ready|running|pending|scouting)", production.said)
    assert [job.attempt for job in production.jobs("SIM") if job.seed == production.seeds[0]] == [1, 2, 3, 4]
    assert production.certificate()["seeds_missing"] == []


def test_one_lost_p_keeps_its_s_out_of_reco_and_nothing_is_mispaired(produced):
    production = produced("lost")
    assert production.finished().state == RequestState.ACCEPTED
    [(seed, (step, reason))] = missing_of(production).items()
    [lost] = [file for file in production.files("SIM", "P") if file.seed == seed]
    assert (step, lost.lfn in reason) == ("SIM", True)
    written = {file.lfn: file.seed for file in production.files("SIM")}
    read = [{written[file.lfn] for file in job.inputs} for job in production.jobs("RECO")]
    assert sorted(map(sorted, read)) == [[one] for one in production.seeds if one != seed]
    client = production.site.rucio_client()
    held = {data_type: client.list_files(production.did("SIM", data_type)) for data_type in ("S", "P", "log")}
    assert all(written[lfn] != seed for files in held.values() for lfn in files)
    assert {data_type: len(files) for data_type, files in held.items()} == {"S": 2, "P": 2, "log": 2}


def test_where_rucio_keeps_the_stray_reco_reads_datasets_of_its_own(produced):
    production = produced("kept")
    assert production.finished().state == RequestState.ACCEPTED
    [seed] = missing_of(production)
    client = production.site.rucio_client()
    assert [len(client.list_files(production.did("SIM", one))) for one in ("S", "P")] == [3, 2]
    read = {file.dataset for job in production.jobs("RECO") for file in job.inputs}
    assert read == {production.did("RECO", one).name for one in ("inS", "inP")}
    assert [len(client.list_files(production.did("RECO", one))) for one in ("inS", "inP")] == [2, 2]
    assert production.step("RECO").seeds_delivered == 2
    assert {file["seed"] for one in production.certificate()["datasets"] for file in one["files"]} == {
        one for one in production.seeds if one != seed
    }


def test_settling_again_does_not_bring_back_a_seed_whose_file_is_lost(produced):
    production, plain = produced("late"), produced("lost")
    assert production.finished().state == RequestState.ACCEPTED
    assert production.in_rucio() == plain.in_rucio()
    assert missing_of(production).keys() == {production.seeds[0]}


def test_pairs_mixed_behind_our_back_are_mispaired_and_nothing_is_made_of_them(produced):
    """PanDA lost one P that Rucio has: its RECO reads S and P side by side, so the later pairs shift."""
    production = produced("mispaired")
    error = production.error
    assert isinstance(error, StepFailed), error
    assert (error.step, error.verdict) == ("RECO", Verdict.MISPAIRED)
    for data_type in ("R", "log"):
        assert production.did("RECO", data_type).name in str(error)
    states = {one.state for one in production.outcomes("RECO").values()}
    assert SeedState.MISPAIRED in states
    assert production.step("RECO").verdict == Verdict.MISPAIRED
    assert production.files("RECO") == [], "a file of two seeds is bound to none"
    assert not [one for one in production.rows(DatasetRow) if one.step == "RECO"]
    production.left_nothing()


def test_a_truncated_file_is_found_by_counting_and_its_seed_is_not_delivered(produced):
    production = produced("truncated")
    assert production.finished().state == RequestState.ACCEPTED
    [seed] = production.damaged
    assert missing_of(production).keys() == {seed}
    assert "truncated" in missing_of(production)[seed][1]
    assert production.step("SIM").counted_files == len(production.seeds), "one bad file: all are opened"
    client = production.site.rucio_client()
    bad = {file.lfn for file in production.files("SIM") if file.seed == seed}
    for data_type in ("S", "P", "log"):
        held = client.list_files(production.did("SIM", data_type))
        assert len(held) == 2
        assert not bad & held.keys()


def test_a_file_with_too_few_events_is_found_though_it_was_not_in_the_sample(produced):
    production = produced("short")
    truncated, short = production.damaged
    assert isinstance(production.error, StepFailed)
    assert f"seeds {truncated}" in str(production.error)
    assert f"holds 2 of {EVENTS} events (counted)" in str(production.error)
    outcomes = production.outcomes("SIM")
    assert {seed for seed, one in outcomes.items() if one.state == SeedState.SHORT} == {truncated, short}
    production.left_nothing()


def test_a_file_of_a_failed_attempt_is_known_to_be_pandas_and_taken_out(produced):
    production = produced("stray")
    assert production.finished().state == RequestState.COMPLETE
    held = production.site.rucio_client().list_files(production.did("SIM", "S"))
    assert production.said not in held
    assert held.keys() == {file.lfn for file in production.files("SIM", "S")}
    assert len(held) == len(production.seeds)


def test_nobody_guesses_where_a_job_at_an_unknown_queue_wrote(produced):
    production = produced("short")
    [good] = set(production.seeds) - set(production.damaged)
    step_id = production.step("SIM").step_id
    queue = production.outcomes("SIM")[good].site

    def move_to(site):
        with transaction(production.site.sessions) as session:
            session.get(SeedOutcomeRow, (step_id, good)).site = site
            session.get(StepRow, step_id).verdict = Verdict.PARTIAL

    move_to("SPD_MARS")
    with pytest.raises(SpecInvalid, match="nobody knows on which storage"):
        ensure_step_data(production.site.context(), production.request_id, "SIM")
    move_to(queue)


def test_a_file_that_no_job_wrote_is_never_taken_away(produced):
    production = produced("short")
    did = production.did("SIM", "S")
    client = production.site.rucio_client()
    alien = f"{did.name}.000077.root"
    client.ensure_dataset(did)
    client.ensure_files(did, {alien: FileFact(10, "a")}, {alien: "JINR_EOS"})
    with transaction(production.site.sessions) as session:
        session.get(StepRow, production.step("SIM").step_id).verdict = Verdict.PARTIAL
    with pytest.raises(DatasetConflict, match=r"000077\.root is there .* no job of ours wrote it"):
        ensure_step_data(production.site.context(), production.request_id, "SIM")
    assert alien in client.list_files(did)
