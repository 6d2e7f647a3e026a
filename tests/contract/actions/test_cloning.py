"""Clone, extend and reuse: what differs is told, seeds and ids never meet those of others."""

from __future__ import annotations

import threading
from dataclasses import replace

import psycopg
import pytest

from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.core.request_snapshot import expect, show_snapshot
from prodsys.actions.queries.showing import show_audit, show_claims, show_request
from prodsys.actions.queries.showing_seeds import show_shared_seeds
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.extending import extend
from prodsys.actions.requests.importing import import_intake
from prodsys.actions.requests.seed_reuse import declare_reuse
from prodsys.errors import (
    ConfigurationChanged,
    InvalidTransition,
    NotAllowed,
    RequestChanged,
    RequestUnknown,
    SeedsTaken,
    SpecInvalid,
)
from prodsys.intake.files import read_files
from prodsys.intake.result import Accepted, Intake
from prodsys.ledger.requests import get_spec
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow, RequestRow
from prodsys.model.plan import build_plan
from prodsys.model.request import RequestSpec
from prodsys.model.seeds import parse_seeds
from prodsys.model.statuses import ReuseKind
from prodsys.settings import REPOSITORY

BOOK = REPOSITORY / "tests" / "data" / "book"
SMALL = CloneOrder(seed_count=3, events_per_file=20)
NEWEST = "PROD2025-016"


@pytest.fixture(autouse=True)
def _book(ctx):
    import_intake(ctx, read_files([BOOK / "requests_db.csv", BOOK / "requests_sheet.csv"], ctx.catalogue))


def row_of(ctx, request_id: str) -> RequestRow:
    with transaction(ctx.sessions) as session:
        return session.get_one(RequestRow, request_id)


def keep_plan(ctx, request_id: str) -> None:
    """A plan as it was made today, without asking anybody for room and names."""
    with transaction(ctx.sessions) as session:
        plan = build_plan(get_spec(session, request_id), 1, ctx.catalogue)
        body = plan.model_dump(mode="json")
        session.add(PlanRow(request_id=request_id, digest=plan.digest(), revision=1, body=body, planned_by="manager"))


def test_a_clone_without_an_id_gets_the_next_one_of_its_prefix_and_year(ctx):
    assert [clone(ctx, "PROD2025-011", None, SMALL).request_id for _ in range(2)] == ["PROD2025-017", "PROD2025-018"]
    clone(ctx, NEWEST, "DEMO2030-999", SMALL)
    assert clone(ctx, "DEMO2030-999", None, SMALL).request_id == "DEMO2030-1000"
    assert clone(ctx, "DEMO2030-999", None, SMALL).request_id == "DEMO2030-1001"


def test_a_clone_tells_field_by_field_what_differs(ctx):
    made = clone(ctx, "PROD2025-013", "DEMO2025-013", replace(SMALL, bunches=2, priority=800))
    assert {one.field: (one.before, one.now) for one in made.changes} == {
        "request_id": ("PROD2025-013", "DEMO2025-013"),
        "events": (40_000_000, 60),
        "events_per_file": (4000, 20),
        "seeds": ("10001-20000", "50001-50003"),
        "priority": (900, 800),
        "bunches": (1, 2),
        "labels": (["test"], []),
        "recorded_status": ("done", "draft"),
        "description": ("", "clone of PROD2025-013"),
    }
    assert clone(ctx, "PROD2025-013", "DEMO2025-013", replace(SMALL, bunches=2, priority=800)) == made


def test_a_small_clone_of_a_request_in_bunches_has_no_more_bunches_than_seeds(ctx):
    clone(ctx, NEWEST, "DEMO2025-001", CloneOrder(bunches=8, bunches_at_once=2))
    assert clone(ctx, "DEMO2025-001", "DEMO2025-002", SMALL).spec.bunches == 3


def test_a_clone_is_pinned_and_freed_again(ctx):
    pinned = clone(ctx, NEWEST, "DEMO2025-021", replace(SMALL, queue="SPD_PNPI", rse="JINR_EOS"))
    assert (pinned.spec.queue, pinned.spec.rse) == ("SPD_PNPI", "JINR_EOS")
    assert {one.field: one.now for one in pinned.changes if one.field in ("queue", "rse")} == {
        "queue": "SPD_PNPI", "rse": "JINR_EOS",
    }  # fmt: skip
    kept = clone(ctx, "DEMO2025-021", "DEMO2025-022", SMALL)
    assert (kept.spec.queue, kept.spec.rse) == ("SPD_PNPI", "JINR_EOS")
    free = clone(ctx, "DEMO2025-021", "DEMO2025-023", replace(SMALL, queue="", rse=""))
    assert (free.spec.queue, free.spec.rse) == (None, None)
    assert {one.field for one in free.changes} >= {"queue", "rse"}


def test_a_rehearsed_clone_is_shown_and_not_made(ctx):
    assert run_dry(ctx, lambda hands: clone(hands, NEWEST, None, SMALL)).answer.request_id == "PROD2025-017"
    with pytest.raises(RequestUnknown):
        show_request(ctx, "PROD2025-017")


def test_many_clones_at_once_get_ids_and_seeds_of_their_own(ctx):
    made, errors = [], []

    def make() -> None:
        try:
            made.append(clone(ctx, NEWEST, None, SMALL))
        except Exception as error:  # noqa: BLE001 - a thread must hand over whatever went wrong
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    assert len({one.request_id for one in made}) == len({one.seeds for one in made}) == 8


def test_an_extension_goes_on_behind_all_seeds_of_its_configuration_and_says_whose_it_is(ctx):
    made = extend(ctx, "PROD2025-013", seed_count=10)
    assert (made.request_id, made.spec.events) == ("PROD2025-017", 40_000)
    assert [str(one) for one in made.seeds] == ["50001-50010"]
    assert (row_of(ctx, made.request_id).extends, row_of(ctx, made.request_id).cloned_from) == ("PROD2025-013", None)
    changed = {"request_id", "events", "seeds", "labels", "recorded_status", "description"}
    assert {one.field for one in made.changes} == changed
    assert [one["action"] for one in show_audit(ctx, made.request_id)] == ["extend"]
    assert extend(ctx, "PROD2025-013", made.request_id, seed_count=10) == made
    with pytest.raises(InvalidTransition):
        clone(ctx, "PROD2025-013", made.request_id, CloneOrder(seed_count=10))


def test_an_extension_of_another_image_is_refused_with_the_difference(ctx):
    keep_plan(ctx, NEWEST)
    assert extend(ctx, NEWEST, "DEMO2025-001", 2).seeds
    software = ctx.catalogue.software["spdroot-dev"]
    version = software.versions["4.1.7.2"].model_copy(update={"image": "/cvmfs/other.sif", "script_version": "V03"})
    newer = software.model_copy(update={"versions": {"4.1.7.2": version}})
    today = replace(ctx, catalogue=ctx.catalogue.model_copy(update={"software": {"spdroot-dev": newer}}))
    with pytest.raises(ConfigurationChanged, match=r"image of SIM: .*4\.1\.7\.sif -> /cvmfs/other\.sif") as caught:
        extend(today, NEWEST, "DEMO2025-002", 2)
    assert len(caught.value.differences) == 4
    gone = replace(ctx, catalogue=ctx.catalogue.model_copy(update={"software": {}}))
    with pytest.raises(ConfigurationChanged, match="no software named"):
        extend(gone, NEWEST, "DEMO2025-002", 2)


def test_who_may_only_look_makes_nothing(ctx):
    visitor = ctx.acting_as("visitor", "viewer")
    with pytest.raises(NotAllowed):
        clone(visitor, NEWEST, None, SMALL)
    with pytest.raises(NotAllowed):
        extend(visitor, NEWEST)
    with pytest.raises(NotAllowed):
        import_intake(visitor, read_files([BOOK / "requests_db.csv"], ctx.catalogue))
    import_intake(ctx.acting_as("airflow", "service"), read_files([BOOK / "requests_db.csv"], ctx.catalogue))


@pytest.fixture
def sharing(ctx, tmp_path) -> str:
    """A draft that wants seeds of PROD2025-015."""
    sheet = tmp_path / "overlap.csv"
    sheet.write_text((BOOK / "requests_sheet.csv").read_text().replace("40001-50000", "39001-49000"))
    import_intake(ctx, read_files([sheet], ctx.catalogue))
    return NEWEST


def test_reuse_said_again_changes_nothing_and_said_otherwise_counts(ctx, sharing):
    first = declare_reuse(ctx, sharing, "PROD2025-015", ReuseKind.COMPARE, "same  events,\nnew calibration")
    assert declare_reuse(ctx, sharing, "PROD2025-015", ReuseKind.COMPARE, "same events, new calibration") == first
    assert [one["action"] for one in show_audit(ctx, sharing)].count("reuse") == 1
    declare_reuse(ctx, sharing, "PROD2025-015", ReuseKind.SUPERSEDES, "the calibration was wrong")
    [shown] = show_request(ctx, sharing)["reuse"]
    assert (shown["seeds"], shown["kind"], shown["reason"]) == (
        "39001-40000",
        "supersedes",
        "the calibration was wrong",
    )
    assert show_request(ctx, "PROD2025-015")["reuse"] == [shown]


def test_a_rehearsed_reuse_is_shown_and_not_declared(ctx, sharing):
    def declare(hands):
        assert declare_reuse(hands, sharing, "PROD2025-015", ReuseKind.COMPARE, "why")
        return show_request(hands, sharing)

    assert run_dry(ctx, declare).answer["reuse"]
    assert show_request(ctx, sharing)["reuse"] == []


@pytest.mark.parametrize(
    ("owner", "kind", "reason", "error", "words"),
    [
        (NEWEST, ReuseKind.COMPARE, "why", SpecInvalid, "owns its own seeds"),
        ("PROD2025-0155", ReuseKind.COMPARE, "why", RequestUnknown, "did you mean"),
        ("PROD2025-012", ReuseKind.COMPARE, "why", SpecInvalid, "shares no seed"),
        ("PROD2025-015", ReuseKind.HISTORY, "why", SpecInvalid, "one of compare"),
        ("PROD2025-015", ReuseKind.COMPARE, " \n", SpecInvalid, "a reason"),
    ],
)
def test_nonsense_is_not_declared(ctx, sharing, owner, kind, reason, error, words):
    with pytest.raises(error, match=words):
        declare_reuse(ctx, sharing, owner, kind, reason)
    with pytest.raises(NotAllowed):
        declare_reuse(ctx.acting_as("visitor", "viewer"), sharing, owner, kind, reason)


def test_history_declares_nothing(ctx):
    with pytest.raises(InvalidTransition):
        declare_reuse(ctx, "PROD2025-012", "PROD2025-011", ReuseKind.SUPERSEDES, "it is larger")


def test_the_database_finds_exactly_the_five_pairs_of_the_whole_book(ctx):
    found = show_shared_seeds(ctx)
    assert [(one["a"][-3:], one["b"][-3:], one["seeds"]) for one in found] == [
        ("001", "002", "1-1250"),
        ("001", "004", "1-1250"),
        ("002", "004", "1-5000"),
        ("003", "004", "5001-10000"),
        ("011", "012", "1-1250"),
    ]
    assert found[0]["reuse"] == ["PROD2025-002 of PROD2025-001: history (both stand in the experiment's book)"]
    clone(ctx, NEWEST, None, SMALL)
    assert show_shared_seeds(ctx) == found


def test_a_concurrent_insert_of_overlapping_seeds_is_refused_by_the_database(ctx, ledger_url):
    """Two connections of their own, interleaved: the later one waits for the earlier, and is refused by it."""
    configuration = show_claims(ctx, NEWEST)[0]["configuration"]
    insert = "insert into prodsys.seed_claim (configuration, seeds, request_id) values (%s, int8range(%s, %s), %s)"
    url = ledger_url.replace("postgresql+psycopg", "postgresql")
    outcome: list[str] = []

    def later() -> None:
        with psycopg.connect(url) as second:
            try:
                second.execute(insert, (configuration, 90_010, 90_020, "PROD2025-015"))
                outcome.append("taken")
            except psycopg.errors.ExclusionViolation as error:
                outcome.append(str(error.diag.constraint_name))

    with psycopg.connect(url) as first:
        first.execute(insert, (configuration, 90_001, 90_011, NEWEST))
        thread = threading.Thread(target=later)
        thread.start()
        thread.join(timeout=1)
        assert thread.is_alive()
        assert not outcome
        first.commit()
        thread.join(timeout=30)
    assert outcome == ["seed_claim_one_owner"]
    with pytest.raises(SeedsTaken):
        clone(ctx, NEWEST, None, replace(SMALL, seeds=parse_seeds("90005-90007")))


@pytest.fixture
def reading(ctx) -> str:
    """A draft that reconstructs files that exist once more."""
    with transaction(ctx.sessions) as session:
        book = get_spec(session, "PROD2025-013").model_dump(mode="json")
    changes = {"request_id": "DEMO2025-700", "recorded_status": "draft", "chain": "RECO"}
    spec = RequestSpec.checked(book | changes | {"input_request": "PROD2025-013"})
    assert not import_intake(ctx, Intake((Accepted(spec, "by.csv", 1),))).faults
    return spec.request_id


def test_a_clone_of_a_request_that_reads_keeps_its_seeds_and_owns_none(ctx, reading):
    assert [str(one) for one in clone(ctx, reading, "DEMO2025-701", CloneOrder(seed_count=3)).seeds] == ["10001-10003"]
    assert clone(ctx, reading, "DEMO2025-702", CloneOrder()).seeds == parse_seeds("10001-20000")
    assert not [one for one in show_claims(ctx) if one["request_id"].startswith("DEMO")]
    with pytest.raises(SpecInvalid, match="reads the files of 10000 seeds, not of 10001"):
        clone(ctx, reading, None, CloneOrder(seed_count=10_001))
    with pytest.raises(SpecInvalid, match="there are no next seeds"):
        extend(ctx, reading)


@pytest.mark.parametrize("make", [lambda ctx: clone(ctx, NEWEST, None, SMALL), lambda ctx: extend(ctx, NEWEST)])
def test_what_is_made_of_a_request_is_made_of_the_picture_that_was_seen(ctx, make):
    """Compared once more when the original is locked: somebody else was faster than the answer to the first look."""
    seen = show_snapshot(ctx, NEWEST)
    hands = expect(ctx, NEWEST, (seen.tag,))
    with transaction(ctx.sessions) as session:
        session.get_one(RequestRow, NEWEST).priority = 7
    with pytest.raises(RequestChanged):
        make(hands)
