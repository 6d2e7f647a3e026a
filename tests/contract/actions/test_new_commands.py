"""The commands that make requests, on a real ledger: what they print and how they end; a dry run keeps nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DataError

from prodsys.actions.queries.showing import show_list, show_request
from prodsys.cli import main as cli
from prodsys.cli.actor import account_name
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow
from prodsys.settings import REPOSITORY

Run = Callable[..., tuple[int, str, str]]
SPECS = REPOSITORY / "include" / "specs"


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """Give specs with one template, of which two intervals have ended and the third goes on."""
    folder = tmp_path / "specs"
    folder.mkdir()
    for one in SPECS.iterdir():
        if one.name != "recurring":
            (folder / one.name).symlink_to(one)
    (folder / "recurring").mkdir()
    monday = datetime.now(UTC) - timedelta(days=datetime.now(UTC).weekday() + 14)
    text = (SPECS / "recurring" / "weekly-validation.yaml").read_text()
    text = text.replace("2027-01-04 00:00:00", f"{monday:%Y-%m-%d} 00:00:00").replace("active: false", "active: true")
    text = text.replace("automatically ", "by hand ").replace("launch: true", "launch: false")
    (folder / "recurring" / "weekly-validation.yaml").write_text(text)
    return folder


@pytest.fixture
def run(monkeypatch, capsys, ctx, ledger_url, import_demo, specs) -> Run:
    """Exit code, stdout and stderr of a command of the manager on the ledger of this test."""
    import_demo("requests_sheet.csv", "requests_db.csv")
    for name in [name for name in os.environ if name.startswith("PRODSYS_")]:
        monkeypatch.delenv(name)
    settings = {"HOME": ctx.home, "DATABASE_URL": ledger_url, "USER": "manager", "SPECS": specs}
    for name, value in settings.items():
        monkeypatch.setenv(f"PRODSYS_{name}", str(value))

    def runner(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), out, err

    return runner


def ids(ctx, like: str = "") -> list[str]:
    return [one.request_id for one in show_list(ctx, like=like)]


def test_clone_shows_the_difference_and_a_dry_run_makes_nothing(run, ctx):
    code, out, err = run("request", "clone", "PROD2025-013", "--seed-count", 3, "--bunches", 3, "--dry-run")
    assert (code, err) == (0, "")
    assert "PROD2025-017 would be made of PROD2025-013" in out
    assert "50001-50003" in out
    assert "PROD2025-017" not in ids(ctx)
    code, out, _ = run("request", "clone", "PROD2025-013", "--seed-count", 3, "--bunches", 3, "--json")
    answer = json.loads(out)
    assert (code, answer["request_id"], answer["origin"]) == (0, "PROD2025-017", "PROD2025-013")
    assert {"field": "bunches", "before": 1, "now": 3} in answer["changes"]
    assert show_request(ctx, "PROD2025-017")["spec"]["bunches"] == 3


def test_extend_shows_the_difference(run, ctx):
    assert run("request", "extend", "PROD2025-013", "--dry-run")[0] == 0
    code, out, _ = run("request", "extend", "PROD2025-013", "PROD2025-020")
    assert (code, "50001-60000" in out) == (0, True)
    assert ids(ctx)[-1] == "PROD2025-020"
    code, _, err = run("request", "extend", "PROD2025-999")
    assert (code, "did you mean" in err) == (1, True)


def test_a_strange_prefix_or_kind_is_refused_with_the_known_ones(run):
    code, _, err = run("request", "clone", "PROD2025-013", "XXXX2025-001")
    assert (code, "PROD, TEST, DEMO" in err) == (1, True)
    code, _, err = run("seeds", "reuse", "PROD2025-016", "PROD2025-012", "--kind", "because", "--reason", "x")
    assert (code, "pilot_of, supersedes or compare" in err) == (1, True)


def test_seeds_check_over_the_ledger_prints_the_five_pairs(run):
    code, out, _ = run("seeds", "check", "--json")
    assert code == 1
    assert [(one["a"][-3:], one["b"][-3:]) for one in json.loads(out)["pairs"]] == [
        ("001", "002"),
        ("001", "004"),
        ("002", "004"),
        ("003", "004"),
        ("011", "012"),
    ]
    assert "5 overlaps in the ledger" in run("seeds", "check")[1]


def test_adopt_without_panda_says_which_setting_is_missing(run):
    code, _, err = run("request", "adopt", "PROD2025-014", "sim", 364)
    assert (code, "PRODSYS_PANDA_URL" in err) == (1, True)


def test_what_was_missed_is_made_in_order_and_shown(run, ctx):
    code, out, err = run("recurring", "run", "weekly-validation", "--dry-run")
    assert (code, err) == (0, "")
    assert out.endswith("2 intervals\n")
    assert ids(ctx, "TEST") == []
    code, out, _ = run("recurring", "run", "weekly-validation", "--json")
    made = json.loads(out)["intervals"]
    assert (code, [one["seeds"] for one in made]) == (0, ["900001-900010", "900011-900020"])
    assert ids(ctx, "TEST") == [one["request_id"] for one in made]
    again = run("recurring", "run", "weekly-validation", "--interval", made[0]["begin"][:10])
    assert "was made before" in again[1]
    shown = run("recurring", "show", "weekly-validation")[1]
    assert "seeds 900021-900520 are kept" in shown
    [line] = json.loads(run("recurring", "list", "--json")[1])["templates"]
    assert (line["made"], line["missed"], line["of"]) == (2, 0, 52)


def test_seeds_are_kept_and_given_back(run):
    assert "would be kept" in run("recurring", "keep", "weekly-validation", "--dry-run")[1]
    assert "are kept" in run("recurring", "keep", "weekly-validation")[1]
    assert "were kept before" in run("recurring", "keep", "weekly-validation")[1]
    assert "template weekly-validation" in run("seeds", "claims", "PROD2025-016")[1]
    assert "900001-900520 are free again" in run("recurring", "release", "weekly-validation")[1]


def test_faulty_templates_are_named_with_place_and_remedy(run, specs):
    assert run("recurring", "lint")[:2] == (0, "1 templates, 0 faults\n")
    path = specs / "recurring" / "weekly-validation.yaml"
    good = path.read_text()
    (specs / "recurring" / "second.yaml").write_text(good.replace("name: weekly-validation", "name: second"))
    path.write_text(good.replace("version: 4.1.7.2", "version: 9.9.9").replace("id_prefix: TEST", "id_prefix: TSET"))
    code, out, _ = run("recurring", "lint", "--json")
    faults = {(one["column"], one["message"]) for one in json.loads(out)["faults"]}
    assert code == 1
    assert ("id_prefix", "is an unknown prefix") in faults
    assert any("9.9.9 is not in the software table" in message for _, message in faults)
    path.write_text(good.replace("by hand ", "automatically ").replace("interval: 10", "interval: 2000"))
    code, out, _ = run("recurring", "lint", path, "--json")
    [fault] = json.loads(out)["faults"]
    assert (fault["column"], "at most 1000" in fault["remedy"]) == ("approve", True)
    path.write_text(good)
    found = json.loads(run("recurring", "lint", "--json")[1])["faults"]
    assert {one["column"] for one in found} == {"first_number", "first_seed"}
    assert run("spec", "lint")[0] == 1
    path.write_text(good.replace("schedule: weekly", "schedul: weekly"))
    [first, *_] = json.loads(run("recurring", "lint", path, "--json")[1])["faults"]
    assert (first["column"], first["row"]) == ("schedul", 8)
    assert run("recurring", "show", "weekly")[0] == 1


def test_a_launch_at_a_time_with_an_offset_waits_until_that_time(run, ctx):
    run("request", "clone", "PROD2025-016", "DEMO2026-001", "--seed-count", 3, "--events-per-file", 20)
    run("request", "plan", "DEMO2026-001")
    assert run("request", "approve", "DEMO2026-001")[0] == 0
    day = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}"
    code, out, _ = run("request", "launch", "DEMO2026-001", "--at", f"{day}T08:00:00+03:00")
    assert (code, f"waits until {day} 05:00 UTC" in out) == (0, True)


def test_a_part_of_an_id_is_taken_as_it_is_written(run):
    assert json.loads(run("request", "list", "--like", "PROD_", "--json")[1]) == []
    assert json.loads(run("request", "list", "--like", "%", "--json")[1]) == []
    [one] = json.loads(run("request", "list", "--like", "prod2025-016", "--json")[1])
    assert one["request_id"] == "PROD2025-016"


def test_a_certificate_that_is_not_there_is_null(run):
    code, out, _ = run("request", "certificate", "PROD2025-016", "--json")
    assert (code, json.loads(out)) == (1, {"certificate": None})
    assert run("request", "certificate", "PROD2025-016")[:2] == (1, "PROD2025-016 has no certificate yet\n")


def test_the_audit_names_the_account_beside_the_name_that_was_given(run, ctx):
    run("request", "clone", "PROD2025-016", "DEMO2026-001", "--seed-count", 3, "--as", "somebody")
    run("request", "clone", "PROD2025-016", "DEMO2026-002", "--seed-count", 3, "--as", account_name())
    with transaction(ctx.sessions) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.request_id.like("DEMO2026-%")))
        found = {(row.who, row.detail.get("account")) for row in rows}
    assert found == {("somebody", account_name()), (account_name(), None)}


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_a_ledger_that_is_down_or_empty_is_a_sentence(run, monkeypatch, fresh_database, dry_run):
    monkeypatch.setenv("PRODSYS_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    code, out, err = run("request", "plan", "PROD2025-016", *dry_run)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("prodsys: ledger is not available: connection")
    monkeypatch.setenv("PRODSYS_DATABASE_URL", fresh_database())
    code, out, err = run("request", "plan", "PROD2025-016", *dry_run)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "it has to be migrated" in err


def test_what_nobody_expected_is_a_sentence_too(run, monkeypatch):
    line = ("request", "answer", "9" * 20, "abort", "--reason", "r")
    code, out, err = run(*line)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert "out of range" in err
    monkeypatch.setenv("PRODSYS_DEBUG", "1")
    with pytest.raises(DataError):
        cli.main(list(line))


def test_a_draft_is_edited_and_deleted_by_command(run, ctx):
    run("request", "clone", "PROD2025-016", "PROD2026-0001", "--seed-count", 3, "--events-per-file", 20)
    code, out, _ = run(
        "request", "edit", "PROD2026-001", "seeds=50001\u20135, 50008", "energy_gev=13,5 GeV", "description="
    )
    assert code == 1
    code, out, _ = run("request", "edit", "PROD2026-001", "seeds=50001\u201350005, 50008", "energy_gev=13,5 GeV")
    assert (code, "seeds 50001-50005, 50008, energy_gev 13.5" in out) == (0, True)
    code, out, _ = run("request", "edit", "PROD2026-001", "priority=800", "--json", "--dry-run")
    assert (code, json.loads(out)["spec"]["priority"], json.loads(out)["dry_run"]) == (0, 800, True)
    assert show_request(ctx, "PROD2026-001")["spec"]["priority"] == 900
    code, _, err = run("request", "edit", "PROD2026-001", "collision=op")
    assert (code, "did you mean 'pp'?" in err) == (1, True)
    code, _, err = run("request", "edit", "PROD2026-001", "colision=pp")
    assert (code, "did you mean 'collision'?" in err) == (1, True)
    code, _, err = run("request", "delete", "PROD2026-001", "--reason", "red \x1b[31m")
    assert (code, "control character U+001B" in err) == (1, True)
    code, out, _ = run("request", "delete", "PROD2026-001", "--as", " Anna\u200b ", "--reason", "typed\nwrongly")
    assert (code, "its id stays taken" in out) == (0, True)
    assert show_request(ctx, "PROD2026-001")["reason"] == "deleted by Anna: typed wrongly"
    code, _, err = run("request", "clone", "PROD2025-016", "PROD2026-001", "--seed-count", 3)
    assert (code, "take another id" in err) == (1, True)


@pytest.mark.parametrize("name", ["", "\u200b", "a\x1bb", "<b>", "x" * 101])
def test_who_acts_has_a_name(run, name):
    code, _, err = run("request", "clone", "PROD2025-016", "PROD2026-001", "--as", name or " ")
    assert (code, "name of a person" in err) == (1, True)
