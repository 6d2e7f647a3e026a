"""Lists: filters, order, pages, totals, and a number of statements that does not grow with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import pytest
from sqlalchemy import event, text

from prodsys.ledger.session import transaction
from tests.contract.rest.conftest import API, Caller

MANY = 1000


@contextmanager
def counted(ctx) -> Iterator[list[str]]:
    """Statements that reach the database meanwhile."""
    seen: list[str] = []
    engine = ctx.sessions.kw["bind"]

    def note(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def book(manager, ctx) -> Caller:
    """The demo's book, and a thousand drafts beside it."""
    spec = manager.ask("/requests/PROD2025-016")["spec"]
    with transaction(ctx.sessions) as session:
        for number in range(1, MANY + 1):
            one = deepcopy(spec) | {"request_id": f"TEST2026-{1000 + number}", "labels": ["bulk"]}
            values = {"id": one["request_id"], "spec": json.dumps(one), "campaign": "50%_off \\ <b>"}
            session.execute(
                text(
                    "insert into prodsys.request (request_id, state, recorded_status, campaign, priority, revision,"
                    " requester, reason) values (:id, 'draft', 'draft', :campaign, 900, 1, 'bulk', '')"
                ),
                values,
            )
            session.execute(
                text(
                    "insert into prodsys.request_revision (request_id, revision, digest, configuration, spec, source,"
                    " created_by) values (:id, 1, :id, 'c', cast(:spec as jsonb), '{}', 'bulk')"
                ),
                values,
            )
    return manager


def ids(caller: Caller, **query) -> list[str]:
    return [one["request_id"] for one in caller.ask("/requests", **query)["items"]]


def test_a_thousand_requests_take_as_many_statements_as_ten(book, ctx):
    with counted(ctx) as few:
        assert len(ids(book, limit=10)) == 10
    with counted(ctx) as many:
        assert len(ids(book, limit=1000)) == 1000
    assert len(few) == len(many) == 2  # the page and the total


def test_pages_hold_every_request_once(book):
    found, path, pages = [], "/requests?limit=300&text=test2026", 0
    while path:
        page = book.ask(path)
        assert page["total"] == MANY
        found += [one["request_id"] for one in page["items"]]
        path = page["next"] and page["next"].removeprefix(API)
        pages += 1
    assert (pages, len(found), len(set(found))) == (4, MANY, MANY)


def test_the_link_header_names_the_next_page_too(book):
    answer = book.get("/requests?limit=5&state=draft&state=recorded&sort=-changed_at")
    further = answer.json()["next"]
    assert answer.headers["link"] == f'<{further}>; rel="next"'
    assert further.startswith(f"{API}/requests?")
    assert "state=draft&state=recorded" in further
    assert "link" not in book.get("/requests?offset=1000&limit=1000").headers


def test_one_of_them_is_shown_though_its_spec_is_of_other_times(book, ctx):
    with transaction(ctx.sessions) as session:
        session.execute(text("update prodsys.request_revision set spec = spec || '{\"energy_gev\": -1}'"))
    assert book.ask("/requests/TEST2026-1001")["spec"]["energy_gev"] == -1


def test_an_offset_past_the_end_is_an_empty_page(book):
    page = book.ask("/requests", offset=5000)
    assert (page["items"], page["next"], page["total"] > MANY) == ([], None, True)


def test_filters(book):
    assert ids(book, state="recorded", limit=3) == sorted(ids(book, state="recorded", limit=3))
    assert "PROD2025-016" in ids(book, text="d2025-016")
    assert ids(book, requester="nobody") == []
    assert book.ask("/requests", requester="bulk", label="bulk")["total"] == MANY
    assert book.ask("/requests", text="50%_OFF \\ <B>")["total"] == MANY  # what means something to SQL is text here
    assert book.ask("/requests", text="5_%")["total"] == 0
    assert book.ask("/requests", changed_since="2999-01-01T00:00:00Z")["total"] == 0
    assert book.ask("/requests", chain="SIM-RECO", state=["draft"])["total"] >= MANY


def test_clones_are_found_by_their_original(manager):
    manager.do("/requests/PROD2025-016/clone", {"request_id": "PROD2026-001", "seed_count": 3})
    assert ids(manager, related_to="PROD2025-016") == ["PROD2026-001"]


def test_the_order_can_be_turned_round(manager):
    up, down = ids(manager, sort="created_at"), ids(manager, sort="-created_at")
    assert sorted(up) == sorted(down)
    assert ids(manager, sort="-request_id") == sorted(up, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "sort=spec", "sort=request_id;drop", "limit=0", "limit=1001", "offset=-1", "offset=99999999999999999999",
        "state=nonsense", "text=%00", "changed_since=2026-01-01T00:00:00", "campaign=", "request_id=a%20b",
        "changed_since=0.5", "campaign=a&campaign=b", "states=draft",
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_is_refused_with_its_place(manager, query):
    path = "/plans" if query.startswith("request_id") else "/requests"
    answer = manager.get(f"{path}?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("query." + query.partition("=")[0])


def test_text_from_outside_stays_text(book):
    answer = book.get("/requests?text=<b>&limit=1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["items"][0]["campaign"] == "50%_off \\ <b>"


def test_seeds_are_found_by_what_they_overlap(manager):
    claims = manager.ask("/seeds", limit=1000)["items"]
    one = next(claim for claim in claims if claim["request_id"] == "PROD2025-016")
    first = int(one["seeds"].partition("-")[0])
    wanted = {"configuration": one["configuration"], "first": first, "last": first}
    assert [claim["request_id"] for claim in manager.ask("/seeds", **wanted)["items"]] == ["PROD2025-016"]
    free = manager.ask(f"/seeds/{one['configuration']}/free")["next_free"]
    assert manager.ask("/seeds", configuration=one["configuration"], first=free)["total"] == 0


def test_seeds_turned_round_are_refused(manager):
    answer = manager.get("/seeds?first=100&last=50")
    assert (answer.status_code, answer.json()["place"]) == (422, "query.last")


def test_the_history_of_a_request_is_told_from_its_beginning(manager):
    manager.do("/requests/PROD2025-016/clone", {"request_id": "PROD2026-001", "seed_count": 3})
    manager.do("/requests/PROD2026-001/plan")
    history = manager.ask("/requests/PROD2026-001/history")["items"]
    assert [(line["who"], line["action"]) for line in history] == [("manager", "clone"), ("manager", "plan")]
    newest = manager.ask("/audit", request_id="PROD2026-001", limit=1)["items"]
    assert [line["action"] for line in newest] == ["plan"]
    assert manager.ask("/audit", who="manager", action="clone")["total"] == 1
    assert manager.ask("/audit", until="2000-01-01T00:00:00Z")["total"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/requests/NOPE", "/requests/NOPE/steps", "/requests/NOPE/seeds", "/requests/NOPE/runs",
        "/requests/NOPE/history", "/plans/sha256:" + "0" * 64, "/tasks/NOPE.SIM", "/datasets/MC:nope",
        "/datasets/MC:nope/files", "/certificates/NOPE", "/certificates/PROD2025-016", "/questions/77",
    ],
)  # fmt: skip
def test_what_is_not_there_is_404(manager, path):
    answer = manager.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_near_names_are_offered(manager):
    assert "did you mean PROD2025-016" in manager.get("/requests/PROD2025-0l6").json()["detail"]
