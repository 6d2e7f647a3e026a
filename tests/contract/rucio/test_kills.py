"""Killed between any two calls and run again: the same DIDs, lengths and rules."""

import itertools

import pytest

from prodsys.ddm.facts import FileFact
from prodsys.ddm.policies import WantedRule
from prodsys.ddm.verbs import ensure_dataset_holds, ensure_rules


class Killed(BaseException):
    """Nobody catches it."""


class MortalConnection:
    """Does n calls, lets the n-th reach the server, and dies before anybody hears the answer."""

    def __init__(self, connection, calls_left):
        self._connection, self._left = connection, calls_left

    def call(self, verb, target, function):
        answer = self._connection.call(verb, target, function)
        self._left -= 1
        if self._left == 0:
            raise Killed(verb)
        return answer


class Delivery:
    """What the end of a step does: dataset without its stray, container, metadata, rule."""

    def __init__(self, server):
        self.did, self.step = server.did(), server.did("step")
        self.files = {f"{self.did.name}.{i:06d}.root": FileFact(50 + i, f"{i:x}") for i in range(1, 6)}
        self.stray = {f"{self.did.name}.000009.root": FileFact(5, "9")}
        self.rse_of = dict.fromkeys({**self.files, **self.stray}, "JINR_EOS")

    def panda_was_here(self, client):
        """PanDA's adder registered two files and a stray."""
        client.ensure_dataset(self.did)
        client.ensure_files(self.did, {**dict(list(self.files.items())[:2]), **self.stray}, self.rse_of)

    def run(self, client):
        ensure_dataset_holds(client, self.did, self.files, self.rse_of, known=lambda lfns: self.stray)
        client.ensure_container(self.step, [self.did])
        client.ensure_metadata(self.did, {"prod_events": 100, "prod_seeds": "1-5"})
        rules = [WantedRule(self.did, 1, "JINR_EOS", None, "Production Output")]
        return ensure_rules(client, rules)[self.did]

    def state(self, client):
        rules = client._rules_of(self.did)
        return (
            client.list_files(self.did) == self.files,
            client.dataset_info(self.did).open,
            client.dataset_info(self.did).length,
            client.list_children(self.step) == (self.did,),
            client.metadata(self.did),
            list(rules.values()),
        )


def test_a_delivery_survives_a_kill_after_any_of_its_calls(rucio_server):
    client = rucio_server.client()
    whole = Delivery(rucio_server)
    whole.panda_was_here(client)
    whole.run(client)
    expected = whole.state(client)
    for calls in itertools.count(1):
        delivery = Delivery(rucio_server)
        delivery.panda_was_here(client)
        mortal = rucio_server.client()
        mortal._rucio = MortalConnection(mortal._rucio, calls)
        try:
            delivery.run(mortal)
        except Killed:
            rule_id = delivery.run(client)
            assert delivery.state(client) == expected, f"killed after call {calls}"
            assert delivery.run(client) == rule_id
        else:
            break
    assert calls > 15


@pytest.mark.parametrize("seed", range(3))
def test_a_delivery_survives_many_kills_in_a_row(rucio_server, seed):
    client, delivery = rucio_server.client(), Delivery(rucio_server)
    delivery.panda_was_here(client)
    kills = 0
    for calls in itertools.cycle([2 + seed, 5, 3, 7 + seed, 50]):
        mortal = rucio_server.client()
        mortal._rucio = MortalConnection(mortal._rucio, calls)
        try:
            delivery.run(mortal)
            break
        except Killed:
            kills += 1
    assert kills >= 3
    assert delivery.state(client)[:4] == (True, False, 5, True)
