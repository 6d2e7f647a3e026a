"""Scheduled intake: a drop folder and the requests under version control."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from prodsys.actions.context import Context
from prodsys.actions.file_versions import take_new_faults
from prodsys.actions.importing import ImportAnswer, import_intake
from prodsys.actions.keeping import register
from prodsys.errors import LedgerError, SpecInvalid
from prodsys.intake.files import read_files
from prodsys.intake.recurring_files import read_templates
from prodsys.intake.result import Fault, Intake
from prodsys.ledger.session import transaction

DONE, FAULTY = "done", "faulty"
PARTIAL_SUFFIXES = {".part", ".tmp", ".swp"}  # of files that are still being written


def import_dropped(ctx: Context, folder: Path) -> dict[str, ImportAnswer]:
    """Import every file of a drop folder; each moves to ``done``, or to ``faulty`` with a report beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    answers = {}
    for path in sorted(one for one in folder.iterdir() if one.is_file() and one.suffix not in PARTIAL_SUFFIXES):
        answer = import_intake(ctx, read_files([path], ctx.catalogue), by_hand=False)
        _put_away(path, answer)
        answers[path.name] = answer
    return answers


def import_versioned(ctx: Context, folder: Path) -> ImportAnswer:
    """Import the requests under ``include/specs/requests``, and keep seeds for the templates beside; the files stay."""
    found = read_files([folder], ctx.catalogue) if folder.is_dir() else Intake()
    answer = import_intake(ctx, found, by_hand=False)
    answer.faults += keep_for_templates(ctx, folder.parent)
    return answer


def new_faults(ctx: Context, folder: Path, faults: list[Fault]) -> list[Fault]:
    """Those of the faults of a folder that were not there at the last look."""
    with transaction(ctx.sessions) as session:
        return take_new_faults(session, folder, faults)


def keep_for_templates(ctx: Context, specs: Path) -> list[Fault]:
    """Keep seeds and ids for every active recurring template; what hinders it, template by template."""
    templates, faults = read_templates(specs)
    for path, template in templates:
        try:
            if template.active:
                register(ctx, template)
        except (LedgerError, SpecInvalid) as error:
            remedy = "prodsys recurring lint; seeds and ids of others: prodsys seeds claims"
            faults.append(Fault(str(path), None, "", template.name, str(error), remedy))
    return faults


def _put_away(path: Path, answer: ImportAnswer) -> None:
    place = path.parent / (FAULTY if answer.faults else DONE)
    place.mkdir(exist_ok=True)
    target = place / path.name
    number = 1
    while target.exists():
        target = place / f"{path.stem}.{number}{path.suffix}"
        number += 1
    path.rename(target)
    if answer.faults:
        report = {"faults": [asdict(one) for one in answer.faults], "notes": [asdict(one) for one in answer.notes]}
        target.with_name(f"{target.name}.faults.json").write_text(
            json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        )
