"""The append-only table behind the versions of the bundle."""

from __future__ import annotations

import pytest
from sqlalchemy import event, text

from prodsys.errors import LedgerUnavailable
from prodsys.ledger.publications import active_publications, current_version, plan_bodies, publish
from prodsys.ledger.session import make_engine, transaction
from tests.publishing import Ledger, make_plan


def active(ledger: Ledger, version: int) -> list[tuple[str, int]]:
    with transaction(ledger.sessions) as session:
        return [(row.request_id, row.revision) for row in active_publications(session, version)]


def test_nothing_published_is_version_0(ledger: Ledger) -> None:
    with transaction(ledger.sessions) as session:
        assert current_version(session) == 0
        assert active_publications(session, 0) == []
        assert plan_bodies(session, []) == {}


def test_a_version_holds_the_last_row_of_each_request_up_to_it(ledger: Ledger) -> None:
    first = ledger.publish("PROD2025-016", 1)
    second = ledger.publish("PROD2025-002", 1)
    third = ledger.publish("PROD2025-016", 2)
    fourth = ledger.publish("PROD2025-002", 1, retired=True)
    fifth = ledger.publish("PROD2025-002", 1)
    assert active(ledger, first) == [("PROD2025-016", 1)]
    assert active(ledger, second) == [("PROD2025-002", 1), ("PROD2025-016", 1)]
    assert active(ledger, third) == [("PROD2025-002", 1), ("PROD2025-016", 2)]
    assert active(ledger, fourth) == [("PROD2025-016", 2)]
    assert active(ledger, fifth) == [("PROD2025-002", 1), ("PROD2025-016", 2)]


def test_each_question_is_one_query(ledger: Ledger) -> None:
    digests = [make_plan(ledger.catalogue, f"PROD2025-0{n}").digest() for n in range(10, 20)]
    last = max(ledger.publish(f"PROD2025-0{number}") for number in range(10, 20))
    seen: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(make_engine(ledger.url), "before_cursor_execute", count)
    with transaction(ledger.sessions) as session:
        assert current_version(session) == last
        assert len(active_publications(session, last)) == 10
        assert len(plan_bodies(session, digests)) == 10
    event.remove(make_engine(ledger.url), "before_cursor_execute", count)
    assert len(seen) == 3


def test_publishers_take_turns_so_that_a_version_never_changes(ledger: Ledger) -> None:
    ledger.publish("PROD2025-016")
    digest = make_plan(ledger.catalogue, "PROD2025-016").digest()
    with transaction(ledger.sessions) as slow:
        publish(slow, "PROD2025-016", 1, digest, "slow")
        with pytest.raises(LedgerUnavailable, match="lock timeout"):
            _publish_impatiently(ledger, digest)


def _publish_impatiently(ledger: Ledger, digest: str) -> None:
    with transaction(ledger.sessions) as session:
        session.execute(text("set local lock_timeout = '200ms'"))
        publish(session, "PROD2025-016", 1, digest, "quick")
