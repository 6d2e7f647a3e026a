"""Idempotency keys: a call sent twice is done once and answered twice alike."""

from __future__ import annotations

from collections import Counter
from threading import Barrier, Thread

import pytest
from sqlalchemy import text

from prodsys.ledger.idempotency import Call, StoredAnswer, claim_key, keep_answer, let_go
from prodsys.ledger.session import transaction

SOURCE = "/requests/PROD2025-016"
KEY = {"Idempotency-Key": "5a1f7c1e-made-by-the-caller"}


def clones(caller) -> int:
    return caller.ask("/requests", related_to="PROD2025-016")["total"]


def test_a_clone_without_an_id_is_made_once_under_one_key(manager):
    first = manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY)
    again = manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    for name in ("etag", "location", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert clones(manager) == 1


def test_the_answer_comes_again_though_the_condition_holds_no_more(manager):
    tag = manager.get(SOURCE).headers["etag"]
    headers = KEY | {"If-Match": tag}
    first = manager.post(f"{SOURCE}/priority", {"priority": 950}, headers=headers)
    again = manager.post(f"{SOURCE}/priority", {"priority": 950}, headers=headers)
    assert (first.status_code, first.content) == (200, again.content)


def test_another_call_under_the_same_key_is_refused(manager):
    manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY)
    for path, body in ((f"{SOURCE}/clone", {"seed_count": 4}), ("/requests/PROD2025-012/clone", {"seed_count": 3})):
        answer = manager.post(path, body, headers=KEY)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:prodsys:problem:key-reused")
    assert clones(manager) == 1


def test_a_key_belongs_to_its_caller(manager, caller):
    manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY)
    other = caller("submitter").post(f"{SOURCE}/clone", {"seed_count": 4}, headers=KEY)
    assert (other.status_code, clones(manager)) == (201, 2)


def test_a_refused_call_may_be_mended_under_its_key(manager):
    wrong = manager.post(f"{SOURCE}/clone", {"request_id": "WRONG2026-001"}, headers=KEY)
    assert wrong.status_code == 422
    assert manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY).status_code == 201


def test_a_call_whose_answer_was_lost_is_not_done_again(manager, ctx):
    """The act is committed, then the ledger fails while its answer is made."""
    rename(ctx, "question", "question_away")
    assert manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY).status_code == 503
    rename(ctx, "question_away", "question")
    again = manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY)
    assert (again.status_code, again.json()["type"]) == (409, "urn:prodsys:problem:answer-lost")
    assert again.headers["content-type"] == "application/problem+json"
    assert "related_to=PROD2025-016" in again.json()["detail"]
    assert clones(manager) == 1


def test_where_it_is_not_known_whether_a_new_request_was_made_the_key_stays(manager, ctx):
    rename(ctx, "seed_claim", "seed_claim_away")
    assert manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY).status_code == 503
    named = {"Idempotency-Key": "with-an-id"}
    body = {"seed_count": 3, "request_id": "DEMO2026-001"}
    assert manager.post(f"{SOURCE}/clone", body, headers=named).status_code == 503
    rename(ctx, "seed_claim_away", "seed_claim")
    again = manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY)
    assert (again.status_code, again.json()["type"]) == (409, "urn:prodsys:problem:key-busy")
    assert manager.post(f"{SOURCE}/clone", body, headers=named).status_code == 201  # its id makes it repeatable


def test_a_dry_run_takes_no_key(manager):
    manager.post(f"{SOURCE}/clone?dry_run=true", {"seed_count": 3}, headers=KEY)
    assert manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "two words", "\x7f", "k" * 201])
def test_a_key_is_a_word(manager, key):
    assert manager.post(f"{SOURCE}/plan", headers={"Idempotency-Key": key}).status_code == 422


def test_of_many_at_once_one_is_done(manager):
    together, answers = Barrier(5), []

    def send() -> None:
        together.wait()
        answers.append(manager.post(f"{SOURCE}/clone", {"seed_count": 3}, headers=KEY))

    threads = [Thread(target=send) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    statuses = Counter(one.status_code for one in answers)
    assert statuses[201] >= 1
    assert set(statuses) <= {201, 409}
    assert all(one.headers["retry-after"] for one in answers if one.status_code == 409)
    assert len({one.content for one in answers if one.status_code == 201}) == 1
    assert clones(manager) == 1


# --- the ledger's side ---------------------------------------------------------------------------------------------
CALL = Call("manager", "key", "POST", "/here", "sha256:1")
ANSWER = StoredAnswer(201, {"ETag": '"1"'}, '{"a": 1}')


def test_an_answer_is_kept_for_a_day(ctx):
    holder = claim_key(ctx.sessions, CALL)
    keep_answer(ctx.sessions, CALL, holder, ANSWER)
    assert claim_key(ctx.sessions, CALL) == ANSWER
    move_back(ctx, "23 hours 59 minutes")
    assert claim_key(ctx.sessions, CALL) == ANSWER
    move_back(ctx, "2 minutes")
    assert isinstance(claim_key(ctx.sessions, CALL), str)


def test_what_a_dead_process_held_is_taken_over_and_its_late_answer_forgotten(ctx):
    dead = claim_key(ctx.sessions, CALL)
    with transaction(ctx.sessions) as session:
        session.execute(text("update prodsys.idempotency set held_until = now() - interval '1 second'"))
    heir = claim_key(ctx.sessions, CALL)
    assert isinstance(heir, str)
    keep_answer(ctx.sessions, CALL, dead, StoredAnswer(200, {}, "late"))
    let_go(ctx.sessions, CALL, dead)
    keep_answer(ctx.sessions, CALL, heir, ANSWER)
    assert claim_key(ctx.sessions, CALL) == ANSWER


def move_back(ctx, interval: str) -> None:
    with transaction(ctx.sessions) as session:
        session.execute(
            text("update prodsys.idempotency set claimed_at = claimed_at - cast(:interval as interval)"),
            {"interval": interval},
        )


def rename(ctx, table: str, name: str) -> None:
    with transaction(ctx.sessions) as session:
        session.execute(text(f"alter table prodsys.{table} rename to {name}"))
