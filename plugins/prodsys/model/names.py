"""Names of requests, tasks, datasets, files and containers: built in one place, and every one reads back.

Names are for ever (DESIGN decision 11): a Rucio DID and a JEDI task name cannot be used a second time.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from prodsys.errors import SpecInvalid
from prodsys.model.text import DASHES

NAME_LENGTH = 250  # Rucio's generic schema and database
SCOPE_LENGTH = 25
_TYPE = re.compile(r"\.(?P<type>[A-Za-z]+)(?:\.\d+)?$", re.ASCII)
_NAME = re.compile(r"[/A-Za-z0-9][/A-Za-z0-9.\-_]*")
_SCOPE = re.compile(r"[a-zA-Z_\-.0-9]+")
_REQUEST = r"(?P<prefix>[A-Z][A-Z0-9]*?)(?P<year>\d{4})-(?P<number>\d{3,9})"  # a longer number is a slip
WRITTEN_DIGITS, NUMBER_DIGITS = 3, 9  # of the number of an id, at least and at most
_ID = re.compile(r"(?P<prefix>[A-Z][A-Z0-9]*?)(?P<year>\d{4})-(?P<number>\d{3,40})", re.ASCII)
_STEP = r"(?P<step>[A-Z][A-Z0-9]*)"
_BUNCH = r"(?:\.b(?P<bunch>\d{3,}))?"
_TASK_RE = re.compile(rf"(?P<request>{_REQUEST})\.{_STEP}{_BUNCH}(?:\.(?P<attempt>\d+))?", re.ASCII)
_SAMPLE = r"(?P<partition>[A-Za-z0-9_]+)\.(?P<tag>[^.]+)\.(?P<energy>\d+(?:\.\d+)?)GeV-(?P<polarization>[A-Za-z0-9]+)"
_END = r"(?:\.(?P<sn>\d{6,})\.(?P<suffix>[a-z.]+?)(?:\.\d+)?|\.(?P<instance>\d+))?"  # of a file; of an instance
_DATA_RE = re.compile(
    rf"{_SAMPLE}\.(?P<request>{_REQUEST})"
    rf"(?:\.{_STEP}(?:{_BUNCH}\.(?P<attempt>\d+))?\.(?P<type>[A-Za-z]+){_END})?",
    re.ASCII,
)


@dataclass(frozen=True, order=True)
class RequestId:
    """``<prefix><year>-<three or more digits>``, such as ``PROD2025-016``.

    One number is one id: further zeros in front of it, as in ``PROD2025-0016``, are read and not written.
    """

    prefix: str
    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of an id.

        Raises
        ------
        SpecInvalid
            The text has another form.
        """
        found = _ID.fullmatch(text)
        if not found or len(found["number"].lstrip("0")) > NUMBER_DIGITS:
            remedy = f"prefix, year, dash, a number of {WRITTEN_DIGITS} to {NUMBER_DIGITS} digits"
            raise SpecInvalid("request id", f"{text!r} is not of the form PROD2025-016", remedy)
        return cls(found["prefix"], int(found["year"]), int(found["number"]))

    def __str__(self) -> str:
        return f"{self.prefix}{self.year:04d}-{self.number:03d}"


def canonical_id(text: str) -> str:
    """An id as it is kept, without further zeros or blanks around it; what is no id comes back as it is."""
    cleaned = text.strip().translate(DASHES)
    return str(RequestId.parse(cleaned)) if _ID.fullmatch(cleaned) else text


@dataclass(frozen=True)
class TaskName:
    """``<request>.<STEP>[.bNNN][.<attempt>]``: the first attempt is not written."""

    request_id: str
    step: str
    bunch: int | None = None
    attempt: int = 1

    def __str__(self) -> str:
        return f"{self.request_id}.{self.step}{_bunch(self.bunch)}" + (f".{self.attempt}" if self.attempt > 1 else "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of a task name; SpecInvalid when it is not one of ours."""
        found = _TASK_RE.fullmatch(text)
        if not found:
            raise SpecInvalid("task name", f"{text!r} is not of the form PROD2025-016.SIM.2")
        return cls(found["request"], found["step"], _number(found["bunch"]), int(found["attempt"] or 1))


@dataclass(frozen=True)
class Sample:
    """What all names of one request begin with: partition, tag, beam and request."""

    partition: str
    tag: str
    energy_gev: float
    polarization: str
    request_id: str

    @property
    def scope(self) -> str:
        """Rucio scope: the partition."""
        return self.partition

    def __str__(self) -> str:
        beam = f"{energy_text(self.energy_gev)}GeV-{self.polarization}"
        return f"{self.partition}.{self.tag}.{beam}.{self.request_id}"

    def dataset(self, step: str, data_type: str, attempt: int = 1, bunch: int | None = None) -> str:
        """``<sample>.<STEP>[.bNNN].<attempt>.<type>``: the dataset one task fills."""
        return check_name(f"{self}.{step}{_bunch(bunch)}.{attempt}.{data_type}")

    def step_container(self, step: str, data_type: str) -> str:
        """``<sample>.<STEP>.<type>``: all datasets of one type of a step."""
        return check_name(f"{self}.{step}.{data_type}")

    def request_container(self) -> str:
        """``<sample>``: all step containers of the request."""
        return check_name(str(self))


@dataclass(frozen=True)
class DataName:
    """A parsed name of a dataset, step container, request container or file; absent parts are None.

    PanDA's stock refiner fills ``<dataset>.<instance>``, with the id it gave to that dataset.
    """

    sample: Sample
    step: str | None = None
    bunch: int | None = None
    attempt: int | None = None
    data_type: str | None = None
    serial: int | None = None
    suffix: str | None = None
    instance: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of a name; SpecInvalid when it does not follow the rule."""
        found = _DATA_RE.fullmatch(text)
        if not found or (found["instance"] and not found["attempt"]):  # only datasets of tasks have instances
            raise SpecInvalid(
                "dataset name", f"{text!r} does not follow <partition>.<tag>.<energy>GeV-<pol>.<request>..."
            )
        sample = Sample(
            found["partition"], found["tag"], float(found["energy"]), found["polarization"], found["request"]
        )
        numbers = {name: _number(found[name]) for name in ("bunch", "attempt", "instance")}
        suffix, serial = found["suffix"], _number(found["sn"])
        return cls(sample, found["step"], data_type=found["type"], serial=serial, suffix=suffix, **numbers)

    def __str__(self) -> str:
        if self.step is None or self.data_type is None:
            return self.sample.request_container()
        if self.attempt is None:
            return self.sample.step_container(self.step, self.data_type)
        dataset = self.sample.dataset(self.step, self.data_type, self.attempt, self.bunch)
        if self.instance is not None:
            return instance_name(dataset, self.instance)
        return dataset if self.serial is None else file_name(dataset, self.serial, self.suffix or "root")

    @property
    def dataset(self) -> str:
        """Planned name of the dataset that this file belongs to (or of this dataset itself)."""
        return str(replace(self, serial=None, suffix=None, instance=None))


def dag_id_of(request_id: str) -> str:
    """``prod__PROD2025-016``: the Airflow DAG of a request."""
    return f"prod__{request_id}"


def recurring_dag_id_of(template_name: str) -> str:
    """``recurring__weekly-validation``: the Airflow DAG of a template of recurring productions."""
    return f"recurring__{template_name}"


class DataKind(StrEnum):
    """What a dataset or container of the ledger is of its request."""

    DATASET = "dataset"
    INPUT = "input"  # made for one task because the originals hold more than it shall read
    STEP_CONTAINER = "step container"
    REQUEST_CONTAINER = "request container"


CONTAINERS = frozenset({DataKind.STEP_CONTAINER, DataKind.REQUEST_CONTAINER})


@dataclass(frozen=True, order=True)
class Did:
    """A Rucio data identifier."""

    scope: str
    name: str

    def __str__(self) -> str:
        return f"{self.scope}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """``scope:name``; SpecInvalid otherwise."""
        scope, colon, name = text.partition(":")
        if not (colon and _SCOPE.fullmatch(scope) and len(scope) <= SCOPE_LENGTH):
            raise SpecInvalid("DID", f"{text!r} is not of the form scope:name")
        return cls(scope, check_name(name))


def guid_of(file: Did) -> str:
    """GUID of a file for which nobody reported one, 32 hex digits; always the same for the same file."""
    return uuid.uuid5(uuid.NAMESPACE_URL, str(file)).hex


def check_name(name: str) -> str:
    """The name itself, when Rucio takes it.

    Raises
    ------
    SpecInvalid
        It is longer than 250 characters or holds a character Rucio refuses.

    Notes
    -----
    Source: Rucio 41.5, generic schema.
    """
    if len(name) > NAME_LENGTH:
        raise SpecInvalid("name", f"{name} has {len(name)} characters", f"at most {NAME_LENGTH}")
    if not _NAME.fullmatch(name):
        bad = sorted(set(re.findall(r"[^/A-Za-z0-9.\-_]", name))) or [name[:1] + " in front"]
        raise SpecInvalid("name", f"{name!r} holds {' '.join(map(repr, bad))}", "letters, digits and . - _ / only")
    return name


def file_name(dataset: str, serial: int, suffix: str = "root") -> str:
    """``<dataset>.<serial, 6 digits>.<suffix>``."""
    return check_name(f"{dataset}.{serial:06d}.{suffix}")


def instance_name(dataset: str, dataset_id: int) -> str:
    """``<dataset>.<id>``: what PanDA's stock refiner makes of a planned name."""
    return check_name(f"{dataset}.{dataset_id}")


def data_type_of(dataset: str) -> str | None:
    """Data type at the end of a dataset's name, with or without the id of an instance; None when there is none."""
    found = _TYPE.search(dataset)
    return found["type"] if found else None


def energy_text(energy_gev: float) -> str:
    """Energy as names carry it: ``27``, ``3.5`` [GeV]."""
    return f"{energy_gev:.6f}".rstrip("0").rstrip(".")


def _bunch(bunch: int | None) -> str:
    return "" if bunch is None else f".b{bunch:03d}"


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
