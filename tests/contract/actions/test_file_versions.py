"""An old word never undoes a newer one: files that have not changed, and files that have while somebody revised."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from prodsys.actions.core.context import Context
from prodsys.actions.planning.planning import plan
from prodsys.actions.queries.showing import show_request
from prodsys.actions.requests.drafting import revise
from prodsys.actions.requests.drop_folder import import_dropped, import_versioned
from prodsys.actions.requests.importing import ImportAnswer, import_intake
from prodsys.intake.files import read_files
from prodsys.ledger.migrate import alembic_config, migrate
from prodsys.ledger.requests import get_request, get_spec
from prodsys.ledger.session import transaction
from prodsys.model.request import RequestSpec
from prodsys.model.statuses import RequestState

REQUEST = "TEST2025-001"
LIKE = """\
request_id: {request_id}
stage: S2
collision: pp
energy_gev: 13.5
polarization: UU
geometry: DSSD, TS, TOF
software: spdroot-dev
version: 4.1.7.2
tag: minbias-P8-spdroot4172-dev
events: {events}
events_per_file: 800
seeds: 1-{seeds}
chain: SIM-RECO
partition: test
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder as the one under version control, with one request."""
    made = tmp_path / "specs" / "requests"
    made.mkdir(parents=True)
    write(made / f"{REQUEST}.yaml", 10)
    return made


@pytest.fixture
def service(ctx: Context) -> Context:
    return ctx.acting_as("airflow", "service")


def write(path: Path, seeds: int, request_id: str = REQUEST) -> Path:
    path.write_text(LIKE.format(request_id=request_id, events=800 * seeds, seeds=seeds))
    return path


def by_import(ctx: Context, path: Path, **options: bool) -> ImportAnswer:
    return import_intake(ctx, read_files([path], ctx.catalogue), **options)


def person_revises(ctx: Context, seeds: int) -> None:
    """As PUT does."""
    with transaction(ctx.sessions) as session:
        changed = get_spec(session, REQUEST).model_dump(mode="json")
    revise(ctx, REQUEST, RequestSpec.checked(changed | {"events": 800 * seeds, "seeds": f"1-{seeds}"}))


def person_imports(ctx: Context, seeds: int, tmp_path: Path) -> None:
    """As `prodsys request import drift.yaml` does."""
    assert by_import(ctx, write(tmp_path / "drift.yaml", seeds)).revised == [REQUEST]


REVISIONS: dict[str, Callable[[Context, Path], None]] = {
    "PUT": lambda ctx, _: person_revises(ctx, 4),
    "import": lambda ctx, tmp_path: person_imports(ctx, 4, tmp_path),
}


def stands(ctx: Context) -> tuple[str, int, int]:
    """State, revision and events of the request."""
    found = show_request(ctx, REQUEST)
    return found["state"], found["revision"], found["events"]


def dropped(ctx: Context, tmp_path: Path, seeds: int) -> ImportAnswer:
    place = tmp_path / "intake"
    place.mkdir(exist_ok=True)
    write(place / "dropped.yaml", seeds)
    later = time.time() + 3600
    assert import_dropped(ctx, place, now=later) == {}, "it has to rest between two looks"
    [answer] = import_dropped(ctx, place, now=later + 60).values()
    return answer


@pytest.mark.parametrize("revision", sorted(REVISIONS))
def test_an_unchanged_file_in_git_never_undoes_a_revision(
    ctx: Context, service: Context, folder: Path, tmp_path: Path, revision: str
) -> None:
    assert import_versioned(service, folder).created == [REQUEST]
    REVISIONS[revision](ctx, tmp_path)
    plan(ctx, REQUEST)
    for _ in range(2):  # minute after minute
        answer = import_versioned(service, folder)
        assert (answer.revised, answer.faults, answer.unchanged) == ([], [], [REQUEST])
        [note] = answer.notes
        assert "events: 8000 -> 3200" in str(note)
        assert "revision 2 by manager" in str(note)
        assert f"prodsys request import --overwrite {folder / REQUEST}.yaml" in str(note)
        assert stands(ctx) == ("planned", 2, 3200)


@pytest.mark.parametrize("revision", sorted(REVISIONS))
def test_a_file_that_is_imported_or_dropped_again_changes_nothing_after_a_revision(
    ctx: Context, service: Context, tmp_path: Path, revision: str
) -> None:
    sheet = write(tmp_path / "mine.yaml", 10)
    assert by_import(ctx, sheet).created == [REQUEST]
    assert dropped(service, tmp_path, 10).unchanged == [REQUEST]
    REVISIONS[revision](ctx, tmp_path)
    copy = tmp_path / "copy of mine.yaml"
    copy.write_text(sheet.read_text())
    for answer in (by_import(ctx, sheet), by_import(ctx, copy), dropped(service, tmp_path, 10)):
        assert (answer.revised, answer.faults, answer.unchanged, len(answer.notes)) == ([], [], [REQUEST], 1)
    assert stands(ctx)[1:] == (2, 3200)


def test_a_file_is_the_same_however_it_is_called(ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_import(ctx, write(tmp_path / "mine.yaml", 10))
    by_import(ctx, write(tmp_path / "mine.yaml", 5))
    monkeypatch.chdir(tmp_path)
    assert by_import(ctx, write(Path("mine.yaml"), 10)).revised == [REQUEST], "it says again what it said at first"
    assert stands(ctx) == ("draft", 3, 8000)


def test_what_has_not_changed_can_be_taken_on_purpose(ctx: Context, service: Context, folder: Path) -> None:
    import_versioned(service, folder)
    person_revises(ctx, 4)
    assert by_import(ctx, folder, overwrite=True).revised == [REQUEST]
    assert stands(ctx) == ("draft", 3, 8000)
    assert import_versioned(service, folder).notes == []


def test_a_file_that_changed_while_somebody_revised_is_a_conflict_until_it_is_decided(
    ctx: Context, service: Context, folder: Path
) -> None:
    import_versioned(service, folder)
    person_revises(ctx, 4)
    write(folder / f"{REQUEST}.yaml", 6)
    for _ in range(2):
        answer = import_versioned(service, folder)
        [fault] = answer.faults
        assert (answer.revised, fault.value) == ([], REQUEST)
        assert "events: 4800 -> 3200" in fault.message
        assert f"prodsys request import {folder / REQUEST}.yaml" in fault.remedy
        assert stands(ctx) == ("draft", 2, 3200)
    assert by_import(ctx, folder / f"{REQUEST}.yaml").revised == [REQUEST]
    assert import_versioned(service, folder).faults == []
    assert stands(ctx) == ("draft", 3, 4800)


def test_an_old_word_about_an_approved_request_is_not_taken_for_its_revision(
    ctx: Context, service: Context, folder: Path
) -> None:
    import_versioned(service, folder)
    person_revises(ctx, 4)
    for state in (RequestState.APPROVED, RequestState.PLANNED):  # and withdrawn
        with transaction(ctx.sessions) as session:
            get_request(session, REQUEST).state = state
        answer = import_versioned(service, folder)
        assert (answer.revised, answer.faults, len(answer.notes)) == ([], [], 1)
    write(folder / f"{REQUEST}.yaml", 6)
    assert len(import_versioned(service, folder).faults) == 1
    assert stands(ctx) == ("planned", 2, 3200)


def test_a_conflict_ends_when_the_file_says_what_the_ledger_says(ctx: Context, service: Context, folder: Path) -> None:
    import_versioned(service, folder)
    person_revises(ctx, 4)
    write(folder / f"{REQUEST}.yaml", 6)
    assert import_versioned(service, folder).faults
    write(folder / f"{REQUEST}.yaml", 4)
    assert import_versioned(service, folder).faults == []
    write(folder / f"{REQUEST}.yaml", 7)
    assert import_versioned(service, folder).revised == [REQUEST], "nobody else has revised it since"


def test_a_changed_file_that_is_dropped_is_a_conflict_too(ctx: Context, service: Context, tmp_path: Path) -> None:
    dropped(service, tmp_path, 10)
    person_revises(ctx, 4)
    [fault] = dropped(service, tmp_path, 6).faults
    assert "the revision of the ledger stays" in fault.message
    assert stands(ctx) == ("draft", 2, 3200)


def test_a_file_that_changed_and_was_followed_by_nobody_revises(ctx: Context, service: Context, folder: Path) -> None:
    import_versioned(service, folder)
    for seeds, revision in ((6, 2), (10, 3)):  # and back again
        write(folder / f"{REQUEST}.yaml", seeds)
        assert import_versioned(service, folder).revised == [REQUEST]
        assert stands(ctx) == ("draft", revision, 800 * seeds)


@pytest.mark.parametrize("state", ["draft", "checked", "planned"])
def test_a_revision_is_a_draft_again_without_the_reason_of_before(
    ctx: Context, service: Context, folder: Path, state: str
) -> None:
    import_versioned(service, folder)
    with transaction(ctx.sessions) as session:
        row = get_request(session, REQUEST)
        row.state, row.reason = RequestState(state), "plan 1234 was rejected by anna: too large"
        row.launched_at = row.created_at
    write(folder / f"{REQUEST}.yaml", 6)
    import_versioned(service, folder)
    with transaction(ctx.sessions) as session:
        row = get_request(session, REQUEST)
        assert (row.state, row.reason, row.launched_at) == ("draft", "", None)


def test_a_ledger_of_before_knows_the_files_of_its_revisions(
    ctx: Context, service: Context, folder: Path, ledger_url: str
) -> None:
    import_versioned(service, folder)
    person_revises(ctx, 4)
    command_downgrade(ledger_url)
    migrate(ledger_url)
    assert len(import_versioned(service, folder).notes) == 1
    write(folder / f"{REQUEST}.yaml", 6)
    assert len(import_versioned(service, folder).faults) == 1
    assert stands(ctx)[1:] == (2, 3200)


def command_downgrade(url: str) -> None:
    from alembic import command

    command.downgrade(alembic_config(url), "0003")


def test_what_a_file_said_goes_with_the_request(ctx: Context, service: Context, folder: Path) -> None:
    import_versioned(service, folder)
    with transaction(ctx.sessions) as session:
        session.execute(text("delete from prodsys.seed_claim"))
        session.execute(text("delete from prodsys.request_revision"))
        session.execute(text("delete from prodsys.request"))
        assert session.scalar(text("select count(*) from prodsys.request_file")) == 0
