"""Thirty thousand ranges of seeds: statements that use the index, so that nobody waits."""

from __future__ import annotations

import pytest
from sqlalchemy import event, text

from prodsys.actions.queries.showing_seeds import show_shared_seeds
from prodsys.ledger.seeds import claim, find_owners, same_beam_elsewhere
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seed_ranges

SCATTERED = seed_ranges.from_seeds(range(100_001, 160_001, 2))
CONFIGURATION = "select configuration from prodsys.seed_claim where request_id = 'PROD2025-016'"
PATIENCE = "set local statement_timeout = '2s'"


@pytest.fixture
def scattered(ctx, import_demo):
    """Hands on a ledger where one request owns 30 000 single seeds and another uses 10 000 of them again."""
    import_demo("requests_sheet.csv")
    with transaction(ctx.sessions) as session:
        configuration = session.execute(text(CONFIGURATION)).scalar_one()
        claim(session, configuration, "PROD2025-016", SCATTERED)
        reuse = (
            "insert into prodsys.seed_reuse (configuration, seeds, request_id, owner, kind, reason, declared_by) "
            "select configuration, seeds, 'PROD2025-015', request_id, 'compare', 'why', 'anna' from prodsys.seed_claim "
            "where request_id = 'PROD2025-016' and lower(seeds) between 100001 and 120000"
        )
        session.execute(text(reuse))
        session.execute(text("analyze prodsys.seed_claim, prodsys.seed_reuse"))
    return ctx


def test_shared_seeds_are_told_within_two_seconds_of_the_database(scattered):
    def hurry(_session, _transaction, connection):
        connection.execute(text(PATIENCE))

    event.listen(scattered.sessions, "after_begin", hurry)
    [pair] = [one for one in show_shared_seeds(scattered) if one["a"] == "PROD2025-015"]
    assert pair["b"] == "PROD2025-016"
    assert seed_ranges.count(seed_ranges.parse_seeds(pair["seeds"])) == 10_000


def test_owners_of_many_ranges_and_equal_beams_are_found_by_one_statement_each(scattered):
    seen: list[str] = []
    engine = scattered.sessions.kw["bind"]
    with transaction(scattered.sessions) as session:
        configuration = session.execute(text(CONFIGURATION)).scalars().first()
        session.execute(text(PATIENCE))
        event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
        found = find_owners(session, configuration, SCATTERED, but="PROD2025-015")
        assert same_beam_elsewhere(session, "PROD2025-016") == []
    assert [str(one.seeds) for one in found[:2]] == ["100001", "100003"]
    assert len(found) == 30_000
    assert len(seen) == 2


def test_many_ranges_are_claimed_by_one_statement(ctx, import_demo):
    import_demo("requests_sheet.csv")
    seen: list[str] = []
    with transaction(ctx.sessions) as session:
        configuration = session.execute(text(CONFIGURATION)).scalar_one()
        event.listen(
            ctx.sessions.kw["bind"], "before_cursor_execute", lambda *given: seen.append(given[2].split(maxsplit=1)[0])
        )
        claim(session, configuration, "PROD2025-016", SCATTERED)
    assert seen.count("insert") == 1
    assert len(seen) <= 3  # savepoint, insert, release
