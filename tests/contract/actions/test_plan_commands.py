"""The commands about plans on a real ledger: what they print, how they end, and that a dry run keeps nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from prodsys.actions.queries.showing import show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.cli import main as cli
from prodsys.settings import REPOSITORY

REQUEST = "DEMO2025-016"
DEMO = REPOSITORY / "include" / "demo"
TASKS = REPOSITORY / "tests" / "data" / "panda_tasks.csv"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch, capsys, ctx, ledger_url, import_demo) -> Run:
    """Exit code, stdout and stderr of a command of the manager on the ledger of this test."""
    import_demo("requests_sheet.csv")
    clone(ctx, "PROD2025-016", REQUEST, CloneOrder(seed_count=3, events_per_file=20))
    for name in [name for name in os.environ if name.startswith("PRODSYS_")]:
        monkeypatch.delenv(name)
    for name, value in (("HOME", str(ctx.home)), ("DATABASE_URL", ledger_url), ("USER", "manager")):
        monkeypatch.setenv(f"PRODSYS_{name}", value)

    def runner(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), out, err

    return runner


def test_check_prints_findings_and_ends_with_one_when_there_are_faults(run, ctx):
    code, out, err = run("request", "check", REQUEST)
    assert (code, err) == (0, "")
    assert "warning: DEMO2025-016: PanDA was not asked" in out
    assert out.endswith(f"{REQUEST} is checked: 0 faults\n")
    clone(ctx, "PROD2025-016", "TEST2025-001", CloneOrder(chain="SIM"))
    code, out, _ = run("request", "check", "TEST2025-001", "--json")
    answer = json.loads(out)
    assert (code, answer["state"]) == (1, "draft")
    [fault] = [one for one in answer["findings"] if one["fault"]]
    assert fault["place"] == "TEST2025-001.chain"


def test_a_dry_run_of_an_import_says_what_the_import_does(run, tmp_path):
    lines = (DEMO / "requests_sheet.csv").read_text(encoding="utf-8").splitlines()
    step, ready = lines[-1], lines[-2]
    of_015, of_014 = lines[-4], lines[-6]
    rows = [
        of_015,
        ready.replace("40001-50000", "60001-70000"),
        ready.replace("PROD2025-016", "PROD2025-017").replace("40001-50000", "70001-80000"),
        ready.replace("PROD2025-016", "PROD2025-018").replace("40001-50000", "30001-40000"),  # those of 015
        of_014.replace("Runnig", "Cancelled"),
    ]
    text = "".join(f"{line}\n" for line in (*lines[:2], *(part for row in rows for part in (row, step))))
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    told = [json.loads(run("request", "import", tmp_path / "a.csv", *how, "--json")[1]) for how in (("--dry-run",), ())]
    assert told[0].pop("ledger") == "the ledger was asked"
    assert told[0] == told[1]
    assert (told[0]["created"], told[0]["revised"]) == (
        ["PROD2025-017", "PROD2025-018"],
        ["PROD2025-014", "PROD2025-016"],
    )
    assert told[0]["unchanged"] == ["PROD2025-015"]


def test_plan_shows_what_it_takes_and_where_that_is_known_from(run):
    run("history", "import", TASKS)
    code, out, _ = run("request", "plan", "PROD2025-016")
    assert code == 0
    words = " ".join(out.split())
    for part in ("459.0 kB an event", "Where the figures come from", "4 closed of the same configuration", "48.0 h"):
        assert part in words, part
    assert "approve it: prodsys request approve PROD2025-016 --digest sha256:" in out


def test_a_dry_run_of_plan_and_approve_keeps_nothing(run, ctx):
    code, out, _ = run("request", "plan", REQUEST, "--dry-run", "--json")
    assert (code, json.loads(out)["dry_run"]) == (0, True)
    assert show_request(ctx, REQUEST)["state"] == "draft"
    digest = json.loads(run("request", "plan", REQUEST, "--json")[1])["digest"]
    code, out, _ = run("request", "approve", REQUEST, "--digest", digest, "--dry-run")
    assert code == 0
    assert f"would be: {REQUEST} is approved" in out
    assert show_request(ctx, REQUEST)["state"] == "planned"
    assert run("request", "approve", REQUEST, "--digest", digest)[0] == 0
    assert show_request(ctx, REQUEST)["state"] == "approved"


def test_a_large_approval_without_trial_says_how_to_make_one_and_the_command_makes_it(run, ctx):
    run("request", "plan", "PROD2025-016")
    code, _, err = run("request", "approve", "PROD2025-016")
    assert code == 1
    assert err.rstrip().endswith("Make one: prodsys request trial PROD2025-016")
    code, out, _ = run("request", "trial", "PROD2025-016", "--seed-count", "3")
    assert code == 0
    assert "TEST2025-001, trial of PROD2025-016: seeds 40001-40003, 1200 events; it is planned" in out
    again = json.loads(run("request", "trial", "PROD2025-016", "--json")[1])
    assert (again["trial"], again["seeds"], again["plan"]["state"]) == ("TEST2025-001", "40001-40003", "planned")


def test_what_changed_is_shown(run, ctx, import_demo, tmp_path):
    run("request", "plan", "PROD2025-016")
    sheet = tmp_path / "changed.csv"
    book = (REPOSITORY / "include" / "demo" / "requests_sheet.csv").read_text()
    sheet.write_text(book.replace("40001-50000", "60001-70000"))
    import_demo(sheet)
    out = run("request", "plan", "PROD2025-016")[1]
    assert "changed: revision: 1 -> 2" in out
    assert "changed: spec.seeds: 40001-50000 -> 60001-70000" in out


def test_history_is_imported_with_flags_and_a_dry_run_keeps_nothing(run):
    code, out, _ = run("history", "import", TASKS, "--dry-run", "--json")
    answer = json.loads(out)
    assert (code, len(answer["created"]), len(answer["flags"])) == (1, 10, 7)
    assert json.loads(run("history", "list", "--json")[1]) == []
    assert run("history", "import", TASKS, "--walltime", "RECO=min")[0] == 1
    listed = {one["task_name"]: one for one in json.loads(run("history", "list", "--json")[1])}
    assert listed["PROD2025-013.RECO"]["wall_s"] == 1200
    assert run("history", "import", TASKS, "--walltime", "RECO")[0] == 1
    assert "10 unchanged" in run("history", "import", TASKS)[1]
    assert "has no unit" not in run("history", "list")[1]


def test_an_import_of_several_files_prints_one_document(run, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(TASKS.read_text())
    answer = json.loads(run("history", "import", TASKS, other, "--json")[1])
    assert answer["files"] == [str(TASKS), str(other)]
    assert (len(answer["created"]), len(answer["unchanged"])) == (10, 10)


def test_reject_says_why_and_keeps_nothing_in_a_dry_run(run):
    run("request", "plan", REQUEST)
    code, out, _ = run("request", "reject", REQUEST, "--reason", "too many seeds", "--dry-run")
    assert code == 0
    assert out.startswith(f"would be: {REQUEST} is checked: plan ")
    code, out, _ = run("request", "reject", REQUEST, "--reason", "too many seeds", "--json")
    answer = json.loads(out)
    assert (code, answer["state"]) == (0, "checked")
    assert answer["reason"].endswith("was rejected by manager: too many seeds")
    code, _, err = run("request", "approve", REQUEST)
    assert code == 1
    assert "approve is not possible while DEMO2025-016 is checked" in err
