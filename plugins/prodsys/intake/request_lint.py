"""Request files looked at without any service: what cannot be read, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from prodsys.errors import SpecInvalid
from prodsys.intake.files import read_all
from prodsys.intake.processings import Processing
from prodsys.intake.result import Fault, shown
from prodsys.model.names import DataName, Did, data_type_of, energy_text
from prodsys.model.plan import LOG
from prodsys.model.request import RequestSpec
from prodsys.model.specs import Catalogue

OUTPUTS, INPUTS, PATTERN = "output_datasets", "input_datasets", "dsn_pattern"


class Severity(StrEnum):
    """What a finding means."""

    ERROR = "error"  # the row is not imported
    WARNING = "warning"  # it contradicts something: look at it
    NOTE = "note"  # understood, though not written as it should be


@dataclass(frozen=True)
class Finding:
    """One thing about one place of a file."""

    file: str
    row: int | None
    column: str
    value: str
    message: str
    remedy: str
    severity: Severity

    def as_json(self) -> dict[str, object]:
        """For ``--json``: the place, and what there is to say about it."""
        place = {"file": self.file, "row": self.row, "column": self.column}
        said = {"value": self.value, "message": self.message, "remedy": self.remedy}
        return {"place": place, **said, "severity": self.severity.value}


def lint_requests(paths: Sequence[Path], catalogue: Catalogue) -> list[Finding]:
    """Everything there is to say about request files and lists of processings, in the order of files and rows."""
    intake, processings = read_all(paths, catalogue)
    found = [_of_fault(one) for one in intake.faults]
    found += [Finding(one.file, one.row, one.column, one.value, one.message, "", Severity.NOTE) for one in intake.notes]
    specs = {one.spec.request_id: one.spec for one in intake.accepted}
    for processing in processings:
        found += _Row(processing, specs.get(processing.request_id), catalogue).findings()
    files = list(dict.fromkeys(one.file for one in found))
    return sorted(found, key=lambda one: (files.index(one.file), one.row or 0))


def _of_fault(fault: Fault) -> Finding:
    return Finding(fault.file, fault.row, fault.column, fault.value, fault.message, fault.remedy, Severity.ERROR)


@dataclass(frozen=True)
class _Row:
    """One row of a list of processings beside its request, when that was read too."""

    processing: Processing
    spec: RequestSpec | None
    catalogue: Catalogue

    def findings(self) -> Iterator[Finding]:
        """What its datasets contradict."""
        row = self.processing
        yield from self._pattern_findings()
        for column, datasets in ((INPUTS, row.input_datasets), (OUTPUTS, row.output_datasets)):
            for dataset in datasets:
                yield from self._dataset_findings(column, dataset)
        if row.output_datasets and self.spec and (lacking := self._lacking(self.spec)):
            message = f"has no dataset of type {', '.join(lacking)}, which {row.step} of {self.spec.chain} writes"
            yield self._say(OUTPUTS, "", message, "add it")

    def _say(self, column: str, value: str, message: str, remedy: str) -> Finding:
        row = self.processing
        return Finding(row.file, row.row, column, shown(value), message, remedy, Severity.WARNING)

    @property
    def _said(self) -> Mapping[str, str]:
        """Who says which scope -> the scope: the stage of the request, and the pattern."""
        found = {}
        if self.spec:
            scope = self.catalogue.partitions.partition_of(self.spec)
            found["the partition of its request" if self.spec.partition else f"stage {self.spec.stage}"] = scope
        if ":" in self.processing.dsn_pattern:
            found["the pattern"] = self.processing.dsn_pattern.partition(":")[0]
        return found

    def _pattern_findings(self) -> Iterator[Finding]:
        row, pattern = self.processing, self.processing.dsn_pattern
        if not pattern:
            return
        if not f".{pattern.rstrip('*')}.".count(f".{row.request_id}.{row.step}."):
            message = f"is not about {row.step} of {row.request_id}"
            yield self._say(PATTERN, pattern, message, f"...{row.request_id}.{row.step}*")
        if len(set(self._said.values())) > 1:
            scopes = ", ".join(f"{who} says {scope}" for who, scope in self._said.items())
            yield self._say(PATTERN, pattern, f"contradicts the request: {scopes}", "mend the wrong one")

    def _dataset_findings(self, column: str, dataset: str) -> Iterator[Finding]:
        try:
            did = Did.parse(dataset)
        except SpecInvalid as error:
            yield self._say(column, dataset, error.message, "scope:name")
            return
        yield from self._scope_findings(column, did)
        try:
            name = DataName.parse(did.name)
        except SpecInvalid as error:
            yield self._say(
                column, dataset, f"{error.message}: what it holds cannot be checked", "its real name is kept"
            )
            return
        if name.sample.partition != did.scope:
            message = f"begins with {name.sample.partition}, but stands in scope {did.scope}"
            yield self._say(column, dataset, message, f"{name.sample.partition}:{did.name}")
        for what, wanted, found in self._parts(column, name):
            if wanted != found:
                yield self._say(column, dataset, f"is of {what} {found}, not {wanted}", "mend the name, or the row")

    def _scope_findings(self, column: str, did: Did) -> Iterator[Finding]:
        against = {who: scope for who, scope in self._said.items() if scope != did.scope}
        if not against:
            return
        scopes = list(dict.fromkeys(against.values()))
        missing = f"; {self.processing.request_id} is not among the requests read here, its stage is not known"
        message = (
            f"stands in scope {did.scope}, but {' and '.join(against)} say{'s' if len(against) == 1 else ''} "
            f"{' and '.join(scopes)}" + ("" if self.spec else missing)
        )
        remedy = f"a new one goes into {scopes[0]}; one that exists keeps its real name, everywhere"
        yield self._say(column, str(did), message, remedy)

    def _parts(self, column: str, name: DataName) -> Iterator[tuple[str, str, str]]:
        """What a name says -> what the row or its request says, and what it says itself."""
        yield "request", self.processing.request_id, name.sample.request_id
        if column == OUTPUTS:
            yield "step", self.processing.step, name.step or "none"
        if self.spec:
            yield "tag", self.spec.tag, name.sample.tag
            yield "energy", energy_text(self.spec.energy_gev), energy_text(name.sample.energy_gev)
            yield "polarization", self.spec.polarization, name.sample.polarization

    def _lacking(self, spec: RequestSpec) -> list[str]:
        chain = self.catalogue.chains.get(spec.chain)
        steps = chain.steps if chain else ()
        wanted = [kind for step in steps if step.kind == self.processing.step for kind in (*step.outputs, LOG)]
        types = {data_type_of(dataset) for dataset in self.processing.output_datasets}
        return [one for one in wanted if one not in types]


def has_findings(findings: Iterable[Finding]) -> bool:
    """Whether somebody has to look: notes alone are none."""
    return any(one.severity is not Severity.NOTE for one in findings)
