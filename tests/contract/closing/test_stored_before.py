"""A request that an earlier release planned is closed by this one, under the digest that was approved."""

from __future__ import annotations

import pytest

from prodsys.actions.closing.collection import certify
from prodsys.ledger.requests import newest_certificate
from prodsys.ledger.session import transaction
from prodsys.model.names import Did
from prodsys.model.plan import Plan
from prodsys.model.request import digest_of
from tests.contract.closing.settled import bring_to_certificate, make_settled, new_id
from tests.stored_before import renamed

LATER = ("bunches", "bunches_at_once", "reading")  # fields of today's plan that have a default


@pytest.mark.parametrize("without", [(), LATER], ids=["as stored", "before some fields were"])
def test_a_plan_of_before_closes_under_the_digest_that_was_approved(hands, airflow, rucio_server, without) -> None:
    body = renamed("plan", new_id())
    for name in without:
        del body[name]
    approved = digest_of(body)
    settled = make_settled(hands, airflow, rucio_server, body)
    bring_to_certificate(settled)
    certify(hands, settled.request_id, *settled.run)
    with transaction(hands.sessions) as session:
        certificate = newest_certificate(session, settled.request_id)
        assert certificate.body["plan_digest"] == approved
    plan = Plan.model_validate(body)
    for did in (Did.parse(plan.request_container), *plan.dataset_dids()):
        assert hands.rucio.metadata(did)["plan"] == approved, did
