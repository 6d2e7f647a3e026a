"""From an approved request to its certificate, on a real ledger, Rucio and PanDA sandbox."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import update

from prodsys.actions.closing.certifying import build_certificate
from prodsys.actions.closing.collection import ensure_rules
from prodsys.actions.submission.waiting import rules_to_wait_for
from prodsys.ddm.content import local_path
from prodsys.errors import RucioUnavailable
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, RuleRow
from prodsys.model.statuses import RequestState, RuleState, Verdict
from prodsys.settings import REPOSITORY
from tests.contract.chain.damage import spoil
from tests.contract.chain.driving import patiently, wait_for_rules
from tests.contract.chain.site import EVENTS

SCHEMA = json.loads((REPOSITORY / "include" / "specs" / "schema" / "certificate.json").read_text())
DIFFERENT = {  # of two requests that went the same way
    "seeds_asked", "seeds_delivered", "plan_digest", "tasks", "rules", "datasets", "approved_at", "launched_at",
    "closed_at", "request_id", "bytes_delivered",
}  # fmt: skip


def comparable(production):
    """A certificate without what no two requests can share."""
    body = json.loads(production.nameless(json.dumps(production.certificate())))
    first = production.seeds[0]
    datasets = [
        (one["did"], one["events"], one["replicas"], [(file["lfn"], file["seed"] - first) for file in one["files"]])
        for one in body["datasets"]
    ]
    tasks = [(one["step"], one["task_name"], one["status"], one["jobs"]) for one in body["tasks"]]
    rules = [(one["did"], one["rse_expression"], one["copies"], one["state"], one["locks_ok"]) for one in body["rules"]]
    for step in body["steps"]:
        del step["core_s"]  # measured
    return {key: body[key] for key in body.keys() - DIFFERENT}, datasets, tasks, rules


def test_it_does_not_matter_whether_pandas_adder_registers_or_nobody(produced):
    one, other = produced("registered"), produced("unregistered")
    assert one.finished().state == other.finished().state == RequestState.COMPLETE
    assert one.in_rucio() == other.in_rucio()
    assert len(one.in_rucio()) == 5 + 5 + 1
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize("name", ["registered", "unregistered"])
def test_the_certificate_says_what_was_delivered_and_keeps_to_its_schema(produced, name):
    production = produced(name)
    certificate = production.certificate()
    Draft202012Validator(SCHEMA).validate(certificate)
    assert (certificate["verdict"], certificate["seeds_missing"]) == (Verdict.FULL, [])
    assert certificate["events_delivered"] == 3 * EVENTS
    assert [one["events_counted_in"] for one in certificate["steps"]] == [6, 3]
    assert {one["state"] for one in certificate["rules"]} == {"OK"}
    assert {one["data_type"]: one["replicas"] for one in certificate["datasets"]}["R"] == {"JINR_EOS": 3, "PNPI_EOS": 3}


@pytest.mark.parametrize("name", ["registered", "healed", "lost"])
def test_line_n_of_each_handover_list_is_the_same_seed_and_its_file_exists(produced, name):
    production = produced(name)
    certificate, root = production.certificate(), production.site.rucio.rse_root
    seed_of = {file["lfn"]: file["seed"] for one in certificate["datasets"] for file in one["files"]}
    lists = [production.handover(word) for word in ("recofiles", "simfiles", "paramfiles")]
    missing = {one["seed"] for one in certificate["seeds_missing"]}
    for pfns in lists:
        assert [seed_of[Path(pfn).name] for pfn in pfns] == [one for one in production.seeds if one not in missing]
        assert all(local_path(pfn, root, "JINR_EOS").is_file() for pfn in pfns)


def test_a_job_that_fails_once_heals_and_every_file_is_bound_to_the_seed_of_its_job(produced):
    production = produced("healed")
    assert production.finished().state == RequestState.COMPLETE
    numbers = {file.seed: int(file.lfn.rsplit(".", 2)[1]) for file in production.files("SIM", "S")}
    first, *others = production.seeds
    assert numbers[first] > max(numbers[seed] for seed in others), "the second attempt takes the next free number"
    seed_of_job = {job.panda_job_id: job.seed for job in production.jobs("SIM")}
    assert all(seed_of_job[file.panda_job_id] == file.seed for file in production.files("SIM"))
    written = {file.lfn: file.seed for file in production.files("SIM")}
    read = {job.panda_job_id: {written[file.lfn] for file in job.inputs} for job in production.jobs("RECO")}
    assert all(read[file.panda_job_id] == {file.seed} for file in production.files("RECO"))


def test_a_partition_with_one_copy_and_a_lifetime_gets_rules_that_say_so(produced):
    production = produced("brief")
    certificate = production.certificate()
    assert (production.plan.step("SIM").rse, certificate["partition"]) == ("PNPI_EOS", "test")
    assert {(one["copies"], one["rse_expression"], one["lifetime_days"]) for one in certificate["rules"]} == {
        (1, "JINR_EOS", 30)
    }
    assert all("/JINR_EOS/" in pfn for pfn in production.handover("recofiles"))
    assert len(production.handover("recofiles")) == 2


def test_a_rule_that_expired_is_made_again_and_the_old_one_is_not_waited_for(produced):
    production = produced("brief")
    production.finished()
    [old, *_] = production.rows(RuleRow)
    client = production.site.rucio_client()
    client._rucio.call("expire", old.rule_id, lambda rucio: rucio.update_replication_rule(old.rule_id, {"lifetime": 0}))
    patiently(lambda: client.rule_state(old.rule_id).state is RuleState.GONE or None, "the end of the rule")
    made = ensure_rules(production.site.context(), production.request_id)
    assert old.rule_id not in made
    assert {one.rule_id for one in rules_to_wait_for(production.site.context(), production.request_id)} == set(made)
    wait_for_rules(production.site.context(), production.request_id)


def test_a_rule_is_complete_when_it_covers_what_its_dataset_holds_now(produced):
    production = produced("brief")
    production.finished()
    with transaction(production.site.sessions) as session:
        session.execute(update(RuleRow).where(RuleRow.request_id == production.request_id).values(length=3))
    ensure_rules(production.site.context(), production.request_id)
    assert {one.length for one in production.rows(RuleRow)} == {2}


def test_a_copy_that_went_bad_after_its_rule_was_complete_stops_the_certificate(produced):
    production = produced("retried")
    production.finished()
    bad = production.files("RECO", "R")[0].lfn
    spoil(production, bad, "PNPI_EOS")
    with pytest.raises(RucioUnavailable, match=rf"{re.escape(bad)} of .* it has 1 of 2 copies \(JINR_EOS\)"):
        build_certificate(production.site.context(), production.request_id, "a dag", "a run")


def test_every_action_done_again_changes_nothing(produced):
    for name in ("unregistered", "lost"):
        production = produced(name)
        production.finished()
        assert len(production.course.changed_again) == 9
        assert not any(production.course.changed_again.values()), production.course.changed_again


def test_two_workers_that_do_every_action_at_once_end_as_one_would(produced):
    alone, raced = produced("unregistered"), produced("raced")
    assert raced.finished().state == RequestState.COMPLETE
    assert raced.in_rucio() == alone.in_rucio()
    assert comparable(raced) == comparable(alone)
    assert len(raced.rows(RuleRow)) == 5
    assert len(raced.rows(CertificateRow)) == 1


def test_killed_after_any_change_in_rucio_it_ends_as_if_nothing_had_been(produced):
    whole, killed = produced("unregistered"), produced("mortal")
    assert killed.finished().state == RequestState.COMPLETE
    assert killed.course.kills > 40
    assert killed.in_rucio() == whole.in_rucio()
    assert comparable(killed) == comparable(whole)
    assert len(killed.rows(RuleRow)) == len(whole.rows(RuleRow)) == 5


def test_killed_after_any_change_the_lost_file_keeps_its_seed_out_all_the_same(produced):
    whole, killed = produced("lost"), produced("mortal lost")
    assert killed.finished().state == RequestState.ACCEPTED
    assert killed.course.kills > 30
    assert killed.in_rucio() == whole.in_rucio()
    assert comparable(killed)[1:] == comparable(whole)[1:]
