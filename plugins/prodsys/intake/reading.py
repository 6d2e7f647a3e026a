"""One request from its cells: every fault of it, not only the first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from prodsys.errors import SpecInvalid
from prodsys.intake.cells import CellRefused, Reader
from prodsys.intake.model_faults import plain_words
from prodsys.intake.nearest import nearest, suggest
from prodsys.intake.result import Accepted, Fault, Note, shown
from prodsys.model import seeds as seed_ranges
from prodsys.model.plan import check_inputs
from prodsys.model.request import RequestSpec
from prodsys.model.seeds import MAX_SEED, SeedRange
from prodsys.model.specs import Catalogue
from prodsys.model.statuses import STATE_OF_RECORD, RecordedStatus, RequestState
from prodsys.model.written import clean_field, faults_of_request


@dataclass
class Record:
    """What has been read of one request so far: where it stands, its faults and notes."""

    file: str
    row: int
    columns: Mapping[str, str]  # field -> heading or key, for messages
    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    lines: Mapping[str, int] = field(default_factory=dict)  # field -> its own line, where that is not `row`
    request_id: str = ""  # as soon as it is read

    def fault(self, name: str, value: object, message: str, remedy: str) -> None:
        """Write down that a field cannot be."""
        line = self.lines.get(name, self.row)
        self.faults.append(Fault(self.file, line, self.columns.get(name, name), shown(value), message, remedy))

    def note(self, name: str, value: object, message: str) -> None:
        """Write down how a field was understood."""
        line = self.lines.get(name, self.row)
        self.notes.append(Note(self.file, line, self.columns.get(name, name), shown(value), message))

    def read(self, name: str, text: str, read: Reader, required: bool = True) -> Any:
        """Value of a cell; None when it is faulty, which is written down, or empty."""
        if not text:
            if required:
                self.fault(name, "", "is empty", "fill it in")
            return None
        try:
            reading = read(text)
        except CellRefused as refused:
            self.fault(name, text, refused.message, refused.remedy)
            return None
        for message in reading.notes:
            self.note(name, text, message)
        return reading.value

    def is_faulty(self, *names: str) -> bool:
        """One of these fields has a fault."""
        columns = {self.columns.get(name, name) for name in names}
        return any(fault.column in columns for fault in self.faults)


def accept(record: Record, values: Mapping[str, Any], catalogue: Catalogue) -> Accepted | None:
    """The request of these values, or None; whatever is wrong with it is in the record."""
    given = understand(record, values, catalogue)
    check_events(record, given)
    check_known(record, given, catalogue)
    check_partition(record, given, catalogue)
    try:
        spec = RequestSpec.model_validate(given)
    except ValidationError as error:
        _add_model_faults(record, error, given)
        return None
    _check_inputs(record, spec, catalogue)
    _check_request(record, spec, catalogue)
    if record.faults:
        return None
    return Accepted(spec, record.file, record.row, tuple(record.notes), record.columns.get("request_id", "request_id"))


def understand(record: Record, values: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """The values as they are kept, with texts cleaned and words spelled as known; faults and notes go into the record.

    A value that cannot be is left out.
    """
    given: dict[str, Any] = {}
    for name, value in values.items():
        try:
            cleaned = clean_field(name, value)
        except SpecInvalid as error:
            record.fault(name, value, error.message, error.remedy)
            continue
        if name == "geometry" and cleaned != value:
            record.note(name, value, f"is taken as {cleaned!r}")
        if cleaned is not None:
            given[name] = cleaned
    if STATE_OF_RECORD[given.get("recorded_status", RecordedStatus.DRAFT)] is not RequestState.RECORDED:
        words = {name: word for name, word in given.items() if isinstance(word, str)}
        for name, word in catalogue.physics.spelled(words).items():
            record.note(name, given[name], f"is taken as {word!r}")
            given[name] = word
    return given


def _check_request(record: Record, spec: RequestSpec, catalogue: Catalogue) -> None:
    """Words of physics that no list knows, and sizes beyond the policy's bounds."""
    for error in faults_of_request(spec, catalogue):
        name = error.place.rpartition(".")[2]
        value = getattr(spec, name)
        record.fault(name, seed_ranges.show(value) if name == "seeds" else value, error.message, error.remedy)


def check_events(record: Record, values: Mapping[str, Any]) -> None:
    """Events are seeds x events per file."""
    seeds, per_file, events = (values.get(name) for name in ("seeds", "events_per_file", "events"))
    if not (seeds and per_file and events):
        return
    number = seed_ranges.count(seeds)
    if number * per_file == events:
        return
    remedy = f"for these seeds write {number * per_file} events"
    first = seeds[0].first
    needed, odd = divmod(events, per_file)
    if not odd and 0 < needed <= MAX_SEED - first + 1:
        remedy += f"; for these events {needed} seeds, such as {SeedRange(first=first, last=first + needed - 1)}"
    message = f"events, but {number} seeds x {per_file} events per file are {number * per_file}"
    record.fault("events", events, message, remedy)


def check_known(record: Record, values: Mapping[str, Any], catalogue: Catalogue) -> None:
    """Software, version and chain against the specs; history may name what the tables lack."""
    software, version = values.get("software"), values.get("version")
    if software and software not in catalogue.software:
        if nearest(software, catalogue.software, 0.8):
            record.fault("software", software, "is not in software.yaml", suggest(software, catalogue.software))
        else:
            record.note("software", software, "is not in software.yaml: it cannot be planned before it is")
    elif software and version and version not in catalogue.software[software].versions:
        known = ", ".join(catalogue.software[software].versions)
        record.note("version", version, f"is not in software.yaml ({known}): it cannot be planned before it is")
    chain = values.get("chain")
    if chain and chain not in catalogue.chains:
        record.fault("chain", chain, "is not a chain", suggest(chain, catalogue.chains))
    check_place(record, values, catalogue)


def check_place(record: Record, values: Mapping[str, Any], catalogue: Catalogue) -> None:
    """Queue and storage that a request is pinned to; one that is out of service now may be back when it is planned."""
    queue, rse = values.get("queue"), values.get("rse")
    queues = {one.name: one for one in catalogue.sites.queues}
    if queue and queue not in queues:
        record.fault("queue", queue, "is not a queue of sites.yaml", suggest(queue, queues))
    elif queue and not queues[queue].enabled:
        record.note("queue", queue, "is out of service (sites.yaml): it cannot be planned before it is back")
    if rse and rse not in catalogue.sites.rses:
        record.fault("rse", rse, "is not a storage of sites.yaml", suggest(rse, catalogue.sites.rses))


def check_partition(record: Record, values: Mapping[str, Any], catalogue: Catalogue) -> None:
    """Campaign and stage must give a partition that has a policy."""
    table = catalogue.partitions
    name, campaign, stage = (values.get(key) for key in ("partition", "campaign", "stage"))
    if not name and not (campaign and re.fullmatch(r"S\d+", str(stage))):
        return  # said by the model
    try:
        table.policy_of(str(name or table.partition_for(str(campaign), str(stage))))
    except SpecInvalid as error:
        record.fault("partition" if name else "campaign", name or campaign, error.message, error.remedy)


def pick_chain(record: Record, words: Mapping[str, str], catalogue: Catalogue) -> str | None:
    """Chain with these steps; when only some of a chain's steps are shown it is taken all the same, with a note.

    Parameters
    ----------
    record
        Where notes and faults go.
    words
        Kind of each step shown -> the word that stands for it in the source.
    catalogue
        The known chains.
    """
    wanted, shown_words = set(words), ", ".join(words.values())
    makers = {name: chain for name, chain in catalogue.chains.items() if not chain.reads}  # a sheet names no inputs
    steps = {name: {step.kind for step in chain.steps} for name, chain in makers.items()}
    for name in sorted(steps):
        if steps[name] == wanted:
            return name
    default = RequestSpec.model_fields["chain"].default
    for name in sorted(steps, key=lambda one: (one != default, len(steps[one]), one)):
        if wanted and wanted < steps[name]:
            more = ", ".join(step.kind for step in makers[name].steps if step.kind not in wanted)
            record.note(
                "step", shown_words, f"only this step is shown: the chain {name} is taken, which runs {more} too"
            )
            return name
    record.fault("step", shown_words, "no chain has these steps", f"known: {', '.join(sorted(steps))}")
    return None


def _check_inputs(record: Record, spec: RequestSpec, catalogue: Catalogue) -> None:
    """A chain that reads needs inputs, others take none; history is taken as it is."""
    chain = catalogue.chains.get(spec.chain)
    if chain is None or STATE_OF_RECORD[spec.recorded_status] is RequestState.RECORDED:
        return
    try:
        check_inputs(spec, chain)
    except SpecInvalid as error:
        name = error.place.rpartition(".")[2]
        value = spec.chain if name == "chain" else ", ".join(spec.inputs.values())
        record.fault(name, value, error.message, error.remedy)


def _add_model_faults(record: Record, error: ValidationError, values: Mapping[str, Any]) -> None:
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else "tag"
        if item["type"] == "missing" or record.is_faulty(name):
            continue  # an empty or unreadable cell is named already
        cause = (item.get("ctx") or {}).get("error")
        if isinstance(cause, SpecInvalid):
            record.fault(name, "", cause.message, cause.remedy)
        elif item["loc"]:
            info = RequestSpec.model_fields.get(name)
            message, remedy = plain_words(item, (info.description if info else "") or "")
            record.fault(name, item["input"], message, remedy)
        elif not record.faults:
            record.fault(name, values.get(name, ""), str(item["msg"]).removeprefix("Value error, "), "mend the row")
    if not record.faults:
        missing = ", ".join(str(item["loc"][0]) for item in error.errors(include_url=False) if item["loc"])
        record.fault("request_id", "", f"lacks {missing}", "fill it in")
