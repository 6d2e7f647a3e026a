"""Rules that a partition's policy asks for, and when one is fulfilled."""

import pytest

from prodsys.ddm.facts import RuleInfo
from prodsys.ddm.policies import WantedRule, plan_rules
from prodsys.ddm.verbs import rule_complete
from prodsys.model.names import Did
from prodsys.model.specs import PartitionSpec
from prodsys.model.statuses import RuleState

S, P = Did("test", "test.a.S"), Did("test", "test.a.P")


def test_each_dataset_gets_one_rule_with_the_lifetime_of_its_partition():
    policy = PartitionSpec(pattern="test", rses=("JINR_EOS", "PNPI_EOS"), copies=1, lifetime_days=30)
    assert plan_rules(policy, [S, P, S]) == (
        WantedRule(S, 1, "JINR_EOS|PNPI_EOS", 30 * 86_400, "Production Output"),
        WantedRule(P, 1, "JINR_EOS|PNPI_EOS", 30 * 86_400, "Production Output"),
    )


def test_no_lifetime_means_kept():
    policy = PartitionSpec(pattern="MC.*", rses=("JINR_EOS", "PNPI_EOS"), copies=2)
    assert plan_rules(policy, [S])[0].lifetime_s is None


@pytest.mark.parametrize(
    ("state", "locks", "length", "complete"),
    [
        (RuleState.OK, 6, 3, True),
        (RuleState.OK, 0, 0, False),  # an empty dataset: OK at once
        (RuleState.OK, 4, 3, False),  # files came after the rule, the evaluator has not run
        (RuleState.REPLICATING, 6, 3, False),
        (RuleState.STUCK, 5, 3, False),
        (RuleState.GONE, 0, 3, False),
        (RuleState.INJECT, 0, 3, False),
    ],
)
def test_a_rule_is_complete_when_every_file_has_all_its_copies(state, locks, length, complete):
    assert rule_complete(RuleInfo("id", state, locks_ok=locks), 2, length) is complete
