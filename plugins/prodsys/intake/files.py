"""Files of any of the three forms, recognised by what is in them, to one intake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prodsys.errors import FileUnreadable
from prodsys.intake import database, processings, sheet
from prodsys.intake.csv_table import read_csv
from prodsys.intake.file_names import is_temporary, shown_name
from prodsys.intake.processings import Processing
from prodsys.intake.request_yaml import read_request_yaml
from prodsys.intake.result import Accepted, Fault, Intake, Note, shown
from prodsys.intake.table import Table, find_headings, likeness
from prodsys.intake.text_file import decode, read_bytes
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.specs import Catalogue

SUFFIXES = (".csv", ".tsv", ".xlsx", ".xlsm", ".yaml", ".yml")
LEAST = 3  # headings by which a form is recognised
_FORMS = {"sheet": sheet.FORM, "database": database.FORM, "processings": processings.FORM}


def read_files(paths: Sequence[Path], catalogue: Catalogue) -> Intake:
    """Requests of all files together, in any of the three forms; folders are looked through.

    Returns
    -------
    Intake
        In the order of the files. A request that several files hold alike is accepted once.
    """
    return read_all(paths, catalogue)[0]


def read_all(paths: Sequence[Path], catalogue: Catalogue) -> tuple[Intake, tuple[Processing, ...]]:
    """As `read_files`, with the rows of the lists of processings beside it."""
    parts: list[Intake] = []
    steps: list[Processing] = []
    seen: set[Path] = set()
    for path in paths:
        for file, content in _contents(path):
            if file in seen:
                continue
            seen.add(file)
            part, found = _read_content(file, content, catalogue)
            parts.append(part)
            steps += found
    return processings.link(_without_repeats(Intake.join(parts)), steps, catalogue), tuple(steps)


def read_content(content: bytes, name: str, catalogue: Catalogue) -> Intake:
    """Requests of the bytes of one file, which is called so in faults; nothing that the bytes hold raises."""
    part, steps = _read_content(Path(name), content, catalogue)
    return processings.link(_without_repeats(part), steps, catalogue)


def _contents(path: Path) -> Iterator[tuple[Path, bytes | Exception]]:
    """Every file at a path with its bytes, or with what was raised instead of them."""
    try:
        files = _expand(path)
    except (OSError, ValueError) as error:
        yield Path(shown_name(path)), error
        return
    for file in files:
        try:
            yield Path(shown_name(file)), read_bytes(file)
        except (FileUnreadable, OSError, ValueError) as error:
            yield Path(shown_name(file)), error


def _expand(path: Path) -> list[Path]:
    """A file, or the request files in a folder that are no temporary ones."""
    if not path.is_dir():
        return [path]
    return sorted(one for one in path.rglob("*") if _is_request_file(one, path) and one.is_file())


def _is_request_file(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts
    return file.suffix.lower() in SUFFIXES and not any(is_temporary(part) for part in parts)


def _read_content(file: Path, content: bytes | Exception, catalogue: Catalogue) -> tuple[Intake, list[Processing]]:
    """What a file gives. The one border of all readers: whatever is raised for a file costs that file only."""
    try:
        if isinstance(content, Exception):
            raise content
        return _read_forms(file, content, catalogue)
    except FileUnreadable as error:
        fault = Fault(str(file), None, "", "", error.message, error.remedy)
    except Exception as error:  # noqa: BLE001
        remedy = "save it again, as CSV UTF-8, XLSX or YAML; if it stays so, tell whoever runs Prodsys"
        fault = Fault(str(file), None, "", "", f"cannot be read: {type(error).__name__}: {shown(error)}", remedy)
    return Intake(faults=(fault,)), []


def _read_forms(file: Path, content: bytes, catalogue: Catalogue) -> tuple[Intake, list[Processing]]:
    if content.startswith(b"PK\x03\x04"):
        return _read_workbook(content, file, catalogue)
    text = decode(content, file)
    if _is_yaml(text, file):
        return read_request_yaml(text, file, catalogue), []
    return _read_tables((read_csv(text, file),), file, catalogue)


def _read_workbook(content: bytes, path: Path, catalogue: Catalogue) -> tuple[Intake, list[Processing]]:
    from prodsys.intake.xlsx_table import is_xlsx, read_xlsx

    if not is_xlsx(content):
        raise FileUnreadable(str(path), "is a ZIP archive, not a workbook", "save it as XLSX or CSV UTF-8")
    tables, notes = read_xlsx(content, path)
    intake, steps = _read_tables(tables, path, catalogue)
    return Intake.join([intake, Intake(notes=notes)]), steps


def _is_yaml(text: str, path: Path) -> bool:
    """A YAML request has ``key: value`` where a table has delimiters."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return True
    lines = [line for line in text.splitlines()[:50] if line.strip() and not line.lstrip().startswith("#")]
    return any(line.startswith("request_id:") for line in lines)


def _read_tables(tables: Iterable[Table], path: Path, catalogue: Catalogue) -> tuple[Intake, list[Processing]]:
    parts, steps, strange = [], [], []
    for table in tables:
        form = _form_of(table)
        if form == "sheet":
            parts.append(sheet.read_sheet(table, catalogue))
        elif form == "database":
            parts.append(database.read_database(table, catalogue))
        elif form == "processings":
            found, part = processings.read_processings(table, catalogue)
            steps += found
            parts.append(part)
        else:
            strange.append(table)
    if not parts:
        return Intake(faults=_not_recognised(strange, path)), []
    notes = tuple(Note(table.file, None, "", "", "holds no headings of requests: it is not read") for table in strange)
    return Intake.join([*parts, Intake(notes=notes)]), steps


def _form_of(table: Table) -> str | None:
    """The form with most of its headings here, or None."""
    if not table.rows:
        return None
    found = {name: likeness(table, form) / len(form.headings) for name, form in _FORMS.items()}
    best = max(found, key=lambda name: found[name])
    return best if likeness(table, _FORMS[best]) >= LEAST else None


def _not_recognised(tables: list[Table], path: Path) -> tuple[Fault, ...]:
    """Faults of a file without known headings: those of the form that its headings look like most."""
    faults = [fault for table in tables for fault in table.faults]
    for table in tables[:1]:
        nearest = min((find_headings(table, form).faults for form in _FORMS.values()), key=len) if table.rows else ()
        faults += [fault for fault in nearest if "did you mean" in fault.remedy]
    message = "is not a list of requests: its headings are neither those of the sheet nor of the database"
    remedy = f"the sheet begins with {sheet.FORM.headings['request_id']!r}, the export with 'id, request, campaign'"
    return (*faults, Fault(str(path), 1, "", "", message, remedy))


def _without_repeats(intake: Intake) -> Intake:
    """A request that several files hold: once when they ask for the same, a fault when they do not."""
    first: dict[str, Accepted] = {}
    faults, notes = list(intake.faults), list(intake.notes)
    for one in intake.accepted:
        earlier = first.setdefault(one.spec.request_id, one)
        if earlier is one:
            continue
        place = f"{earlier.file}, row {earlier.row}"
        request_id = one.spec.request_id
        if differences := _asked_differently(earlier.spec, one.spec):
            message = f"asks for something else than {place}: {', '.join(differences)}"
            faults.append(Fault(one.file, one.row, one.column, request_id, message, "one of the files is wrong"))
        elif one.spec != earlier.spec:
            message = f"stands in {place} too, with other remarks: those count"
            notes.append(Note(one.file, one.row, one.column, request_id, message))
    return Intake(tuple(first.values()), tuple(faults), tuple(notes))


def _asked_differently(left: RequestSpec, right: RequestSpec) -> list[str]:
    """Names of what differs in the events that are asked for: configuration, seeds, numbers."""
    mine, other = Configuration.of(left).model_dump(), Configuration.of(right).model_dump()
    differences = [name for name in mine if mine[name] != other[name]]
    return differences + [
        name for name in ("seeds", "events", "events_per_file") if getattr(left, name) != getattr(right, name)
    ]
