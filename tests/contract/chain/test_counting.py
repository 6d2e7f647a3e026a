"""Sample files are counted: a storage that fails says nothing about files, a bad file does not hold up the others."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prodsys.actions.core.context import Context
from prodsys.actions.settlement.event_counting import unite_counted
from prodsys.actions.settlement.storages import find_mount
from prodsys.ddm.content import open_file
from prodsys.ddm.placement import hash_path
from prodsys.errors import FilesUnavailable
from prodsys.model.names import Did
from prodsys.model.outcome import SeedState, StepOutcome, StepQuestion, settle
from prodsys.model.plan import Plan
from prodsys.model.statuses import EventSource, Verdict
from tests.contract.chain.productions import Production
from tests.contract.chain.site import EVENTS

NAME = "registered"
FILES = 6  # S and P of three seeds


class Bench:
    """What one production brought, with a copy of its storage that a test may break."""

    def __init__(self, production: Production, folder: Path) -> None:
        self.plan: Plan = production.plan
        self.rse = self.plan.step("SIM").rse
        types = {self.plan.sample.dataset("SIM", one): one for one in ("S", "P", "log")}
        question = StepQuestion(production.seeds, len(production.seeds), EVENTS, types, 66)
        self.parts: list[tuple[int, StepOutcome]] = [
            (production.task("SIM").task_row_id, settle(question, production.jobs("SIM")))
        ]
        self.root = folder / "rse"
        for file in production.files("SIM"):
            source = production.site.rucio.rse_root / self.rse / self._place(file.lfn)
            target = self.root / self.rse / self._place(file.lfn)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        self.ctx: Context = replace(production.site.context(), rse_root=self.root)

    def _place(self, lfn: str) -> Path:
        return Path(hash_path(Did(self.plan.partition, lfn)))

    def path(self, seed: int, data_type: str = "S") -> Path:
        """Where a file of a seed lies."""
        outcome = next(one for one in self.parts[0][1].seeds if one.seed == seed)
        return self.root / self.rse / self._place(outcome.files[data_type].lfn)

    def count(self, opener: Callable = open_file, percent: float = 20) -> StepOutcome:
        """The step with counted events, at this policy."""
        policy = self.ctx.catalogue.policy.model_copy(update={"unreadable_ask_percent": percent})
        ctx = replace(self.ctx, catalogue=self.ctx.catalogue.model_copy(update={"policy": policy}))
        return unite_counted(ctx, self.plan, self.parts, [], len(self.parts[0][1].seeds), opener)


@pytest.fixture
def bench(produced, tmp_path) -> Bench:
    production = produced(NAME)
    production.finished()
    return Bench(production, tmp_path)


def failing(number: int, times: int = 10_000) -> Callable:
    """An opener whose storage gives an error so many times."""
    left = [times]

    def fail(path: Path) -> object:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(number, os.strerror(number), str(path))
        return open_file(path)

    return fail


def test_files_are_opened_side_by_side_and_counted(bench) -> None:
    together = threading.Barrier(FILES)

    def meet(path: Path) -> object:
        together.wait(30)
        return open_file(path)

    outcome = bench.count(meet)
    assert (outcome.verdict, outcome.ask_first) == (Verdict.FULL, "")
    assert {(one.events, one.events_source) for one in outcome.seeds} == {(EVENTS, EventSource.COUNTED)}


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN]
)
def test_a_storage_that_fails_makes_counting_wait_with_its_name_and_the_count(bench, number) -> None:
    with pytest.raises(FilesUnavailable, match=rf"storage {bench.rse} is not available: {FILES} of {FILES} files"):
        bench.count(failing(number))
    with pytest.raises(FilesUnavailable, match=rf"storage {bench.rse} is not available: 1 of {FILES} files"):
        bench.count(failing(number, 1))


def _unlinked(bench: Bench) -> None:
    """The mount point is a link to what is not mounted."""
    folder = bench.root / bench.rse
    shutil.rmtree(folder)
    folder.symlink_to("/nowhere/eos")


def _no_folder(bench: Bench) -> None:
    shutil.rmtree(bench.root / bench.rse)


def _no_root(bench: Bench) -> None:
    shutil.rmtree(bench.root)


def _a_file(bench: Bench) -> None:
    """A path leads through a file."""
    folder = bench.root / bench.rse
    shutil.rmtree(folder)
    folder.write_text("no folder")


def _empty_mount(bench: Bench) -> None:
    shutil.rmtree(bench.root / bench.rse)
    (bench.root / bench.rse).mkdir()


def _no_such_files(bench: Bench) -> None:
    """The folders are there, the files are not, as where names follow another rule; Rucio lists them."""
    for path in (bench.root / bench.rse).rglob("*.root"):
        path.unlink()


@pytest.mark.parametrize("harm", [_unlinked, _no_folder, _no_root, _a_file, _empty_mount, _no_such_files])
def test_a_storage_that_is_not_there_as_it_was_is_no_lost_file(bench, harm) -> None:
    harm(bench)
    with pytest.raises(FilesUnavailable):
        bench.count()


def test_a_storage_that_this_host_does_not_mount_leaves_the_report_of_the_job_standing(bench) -> None:
    assert find_mount(bench.ctx, "SAMARA_EOS") is None
    assert bench.count().delivered
    unmounted = replace(bench.ctx, rse_root=None)
    counted = unite_counted(unmounted, bench.plan, bench.parts, [], len(bench.parts[0][1].seeds))
    assert {one.events_source for one in counted.seeds} == {EventSource.JOB_REPORT}


def test_one_bad_file_has_all_others_opened_and_above_the_share_a_person_is_asked(bench) -> None:
    bad = bench.parts[0][1].seeds[1].seed
    bench.path(bad).write_bytes(b"garbage" * 100)
    asked, quiet = bench.count(percent=20), bench.count(percent=40)
    assert "1 of 3 opened seeds of " in asked.ask_first
    assert "(33.3 %, policy asks a person above 20 %)" in asked.ask_first
    assert quiet.ask_first == ""
    [seed] = [one for one in asked.seeds if one.unreadable]
    assert (seed.seed, seed.state) == (bad, SeedState.LOST), "it was delivered: a person alone has it run again"
    assert all(one.events_source is EventSource.COUNTED for one in asked.seeds)
