"""Templates of recurring requests: ``include/specs/recurring/<name>.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from prodsys.errors import SpecInvalid
from prodsys.intake.catalogue import read_spec
from prodsys.intake.nearest import suggest
from prodsys.intake.result import Fault, shown
from prodsys.model.plan import build_plan
from prodsys.model.recurring import RecurringSpec
from prodsys.model.request import Configuration
from prodsys.model.specs import Catalogue

RECURRING = "recurring"
Templates = Sequence[tuple[Path, RecurringSpec]]


def read_template(path: Path) -> tuple[RecurringSpec | None, list[Fault]]:
    """The template of a file, whose name must be that of the template."""
    template, faults = read_spec(path, RecurringSpec)
    if template and template.name != path.stem:
        message = f"is not the name of the file, {path.name}"
        return None, [Fault(str(path), 1, "name", template.name, message, f"rename the file to {template.name}.yaml")]
    return template, faults


def read_templates(specs: Path) -> tuple[list[tuple[Path, RecurringSpec]], list[Fault]]:
    """All templates of a deployment in the order of their names; a faulty file harms no other."""
    found, faults = [], []
    for path in sorted((specs / RECURRING).glob("*.yaml")):
        template, wrong = read_template(path)
        faults += wrong
        if template:
            found.append((path, template))
    return found, faults


def lint_templates(paths: Sequence[Path], catalogue: Catalogue) -> list[Fault]:
    """Faults of template files, each alone, beside the other specs, and against each other."""
    read = [(path, *read_template(path)) for path in paths]
    faults = [fault for _, _, wrong in read for fault in wrong]
    return faults + templates_faults([(path, one) for path, one, _ in read if one is not None], catalogue)


def get_template(specs: Path, name: str) -> RecurringSpec:
    """The template of this name.

    Raises
    ------
    SpecInvalid
        There is none, or its file is faulty.
    """
    known = sorted(path.stem for path in (specs / RECURRING).glob("*.yaml"))
    if name not in known:
        raise SpecInvalid("template", f"there is no {name!r} in {specs / RECURRING}", suggest(name, known))
    template, faults = read_template(specs / RECURRING / f"{name}.yaml")
    if template is None:
        raise SpecInvalid(name, str(faults[0]), "prodsys recurring lint")
    return template


def templates_faults(templates: Templates, catalogue: Catalogue) -> list[Fault]:
    """What the rest of the specs says against templates, and they against each other."""
    faults = [fault for path, one in templates for fault in _faults_of(path, one, catalogue)]
    for (_, one), (path, other) in combinations(templates, 2):
        faults += _clashes(one, other, path, catalogue)
    return faults


def _faults_of(path: Path, template: RecurringSpec, catalogue: Catalogue) -> Iterator[Fault]:
    policy = catalogue.policy
    if template.id_prefix not in policy.prefixes:
        remedy = suggest(template.id_prefix, policy.prefixes)
        yield Fault(str(path), None, "id_prefix", template.id_prefix, "is an unknown prefix", remedy)
    if template.approve == "automatically" and template.seeds_per_interval > policy.recurring_jobs:
        message = f"but policy.yaml lets nobody approve {template.seeds_per_interval} jobs automatically"
        remedy = f"at most {policy.recurring_jobs} (recurring_jobs), or approve: by hand"
        yield Fault(str(path), None, "approve", template.approve, message, remedy)
    for ordinal in (0, template.intervals - 1):
        try:
            build_plan(template.request_of(ordinal, catalogue.partitions), 1, catalogue)
        except SpecInvalid as error:
            message = f"the request of interval {template.moments[ordinal]:%Y-%m-%d} cannot be: {error.message}"
            yield Fault(str(path), None, "request", shown(error.place), message, error.remedy)
            return


def _clashes(one: RecurringSpec, other: RecurringSpec, path: Path, catalogue: Catalogue) -> Iterator[Fault]:
    """Ids or seeds that two templates want both."""
    common = range(max(one.numbers.start, other.numbers.start), min(one.numbers.stop, other.numbers.stop))
    if one.id_prefix == other.id_prefix and common:
        message = f"numbers {common.start}-{common.stop - 1} are those of template {one.name} too"
        yield Fault(str(path), None, "first_number", str(other.first_number), message, f"from {one.numbers.stop}")
    shared = one.block.overlap(other.block)
    if shared and _configuration(one, catalogue) == _configuration(other, catalogue):
        message = f"seeds {shared} of this configuration are those of template {one.name} too"
        yield Fault(str(path), None, "first_seed", str(other.first_seed), message, f"from {one.last_seed + 1}")


def _configuration(template: RecurringSpec, catalogue: Catalogue) -> Configuration | None:
    try:
        return Configuration.of(template.request_of(0, catalogue.partitions))
    except SpecInvalid:
        return None
