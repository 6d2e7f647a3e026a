"""Scheduled intake: a drop folder and the requests under version control."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from sqlalchemy.exc import ProgrammingError

from prodsys.actions.core.context import Context
from prodsys.actions.requests.file_versions import take_new_faults
from prodsys.actions.requests.importing import ImportAnswer, import_intake
from prodsys.actions.requests.template_reservations import register
from prodsys.errors import LedgerError, NotAllowed, ServiceUnavailable, SpecInvalid
from prodsys.intake.drop_folder import DONE, FAULTY, DropFolder, Taken
from prodsys.intake.file_names import shown_name
from prodsys.intake.files import read_content, read_files
from prodsys.intake.recurring_files import read_templates
from prodsys.intake.result import Fault, Intake, Note, shown
from prodsys.ledger.session import transaction
from prodsys.model.transitions import Permission


def import_dropped(ctx: Context, folder: Path, now: float | None = None) -> dict[str, ImportAnswer]:
    """Import every file of a drop folder that rests; each moves to ``done``, or to ``faulty`` with reports beside it.

    What is wrong with one file costs that file only.

    Raises
    ------
    ServiceUnavailable
        The ledger is not there; what is left is imported another time.
    NotAllowed
        The person may not create requests.
    """
    ctx.check_permission("import", Permission.CREATE)
    folder.mkdir(parents=True, exist_ok=True)
    drop = DropFolder(folder, ctx.catalogue.profile.times.intake_rest_s)
    resting, faults = drop.look(time.time() if now is None else now)
    answers = {shown_name(folder): ImportAnswer(faults=faults)} if faults else {}
    for name in resting:
        answers[shown_name(name)] = _import_file(ctx, drop, name)
    return answers


def _import_file(ctx: Context, drop: DropFolder, name: str) -> ImportAnswer:
    taken = drop.take(name)
    if taken is None:
        return ImportAnswer(notes=[Note(shown_name(name), None, "", "", "was changed while it was read: left there")])
    answer = _import_taken(ctx, taken)
    if not drop.is_same(taken):
        message = "was changed while it was imported: left there, it is read again when it rests"
        answer.notes.append(Note(taken.shown, None, "", "", message))
        return answer
    try:
        drop.put_away(taken, FAULTY if answer.faults else DONE, _reports(answer) if answer.faults else {})
    except OSError as error:
        message = f"cannot be moved: {error.strerror}"
        answer.faults.append(Fault(taken.shown, None, "", "", message, "check the permissions of done and faulty"))
    return answer


def _import_taken(ctx: Context, taken: Taken) -> ImportAnswer:
    if taken.content is None:
        return ImportAnswer(faults=[taken.fault] if taken.fault else [])
    intake = read_content(taken.content, taken.shown, ctx.catalogue)
    try:
        return import_intake(ctx, intake, by_hand=False)
    except (ServiceUnavailable, NotAllowed, ProgrammingError):
        raise  # no file is to blame
    except Exception as error:  # noqa: BLE001 - one file is to blame, and costs nobody else a minute
        message = f"cannot be imported: {type(error).__name__}: {shown(error)}"
        fault = Fault(taken.shown, None, "", "", message, "mend the file; if it stays so, tell whoever runs Prodsys")
        return ImportAnswer(faults=[*intake.faults, fault], notes=list(intake.notes))


def _reports(answer: ImportAnswer) -> dict[str, str]:
    """What is said about a faulty file: for programs, and for people."""
    report = {"faults": [asdict(one) for one in answer.faults], "notes": [asdict(one) for one in answer.notes]}
    imported = [*answer.created, *answer.revised, *answer.unchanged]
    lines = [f"{len(answer.faults)} faults; imported: {', '.join(imported) or 'nothing'}", ""]
    lines += [f"FAULT  {fault}" for fault in answer.faults]
    lines += [f"note   {note}" for note in answer.notes]
    lines += ["", "Mend the file and put it into the intake folder again: what was imported stays as it is."]
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    return {".faults.json": text, ".faults.txt": "\n".join(lines) + "\n"}


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
