"""A request: what a physicist asks for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from prodsys.errors import SpecInvalid
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import NAME_LENGTH, Did, RequestId, Sample, energy_text
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import RecordedStatus
from prodsys.model.tag import parse_tag
from prodsys.model.text import clean_line, separate
from prodsys.model.written_numbers import check_number_field


def _seeds_before(value: Any) -> Any:
    return seed_ranges.parse_seeds(value) if isinstance(value, str) else value


Seeds = Annotated[
    tuple[SeedRange, ...],
    BeforeValidator(_seeds_before, json_schema_input_type=str),
    AfterValidator(seed_ranges.normalise),
    PlainSerializer(seed_ranges.show, return_type=str),
]


def _check_did(value: str) -> str:
    return str(Did.parse(value))


def _is_none(value: object) -> bool:
    return value is None


InputDid = Annotated[str, AfterValidator(_check_did)]
DataType = Annotated[str, Field(pattern=r"^[A-Za-z]{1,8}$")]
Label = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^<>{}\x00-\x1f]+$")]


class RequestSpec(BaseModel):
    """One request for a Monte Carlo sample; frozen, and equal specs have equal digests."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    request_id: str = Field(description="<prefix><year>-<number>, such as PROD2025-016", examples=["PROD2025-016"])
    campaign: str = Field(
        pattern=r"^[A-Za-z0-9 ._\-]{1,64}$", description="round of production", examples=["SPD MC 2025"]
    )
    stage: str = Field(pattern=r"^S[0-9]+$", description="stage of the detector: S1, S2")
    collision: str = Field(pattern=r"^[a-zA-Z]{2,6}$", description="collision type: pp, dd")
    energy_gev: float = Field(gt=0, le=100_000, description="energy [GeV]")
    polarization: str = Field(pattern=r"^[A-Za-z0-9]{1,8}$", description="UU: both beams unpolarized")
    geometry: str = Field(
        pattern=r"^[^<>{}\x00-\x1f]{1,500}$", description="geometry, as the detector people name it, without < > { }"
    )
    software: str = Field(pattern=r"^[A-Za-z0-9_\-]+$", description="software, such as spdroot-dev")
    version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*$", description="version of the software, such as 4.1.7.2")
    tag: str = Field(pattern=r"^[A-Za-z0-9_\-]+$", description="middle of every dataset name, without remarks")
    events: int = Field(gt=0, le=10**13, description="events asked for")
    events_per_file: int = Field(gt=0, le=10**9, description="events one job simulates and one file holds")
    seeds: Seeds = Field(description="ranges of seeds, one seed a job: 40001-50000")
    chain: str = Field(
        default="SIM-RECO", pattern=r"^[A-Z0-9\-]+$", description="name of a chain in include/specs/chains"
    )
    inputs: dict[DataType, InputDid] = Field(
        default_factory=dict,
        description="of a chain that reads: data type -> dataset as it stands in Rucio, scope:name",
        examples=[{"S": "MC2025_S1:MC2025_S1...PROD2025-016.SIM.1.S", "P": "MC2025_S1:MC2025_S1...SIM.1.P"}],
    )
    input_request: str | None = Field(
        default=None,
        description="of a chain that reads: request of this ledger whose files it reads, instead of inputs",
    )
    partition: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_]{0,24}$",
        description="Rucio scope; None: follows from campaign and stage",
    )
    variant: str = Field(
        default="", pattern=r"^[A-Za-z0-9]*$", description="physics variant of the scripts, such as D0sig"
    )
    script_version: str | None = Field(
        default=None, pattern=r"^V[0-9]+$", description="None: the software's current one"
    )
    queue: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$",
        exclude_if=_is_none,  # digests of requests without it stay what they were before there was one
        description="PanDA queue that all jobs must run at; None: PanDA chooses a queue for every job",
    )
    rse: str | None = Field(
        default=None,
        pattern=r"^[A-Z0-9]+([_\-][A-Z0-9]+)*$",
        exclude_if=_is_none,
        description="storage (RSE) that PanDA registers the outputs for; None: that of the queue where a job runs",
    )
    priority: int = Field(default=900, ge=0, le=1000, description="PanDA task priority")
    bunches: int = Field(
        default=1, ge=1, le=500, description="pieces of consecutive seeds, each a task of its own a step"
    )
    bunches_at_once: int = Field(default=4, ge=1, le=100, description="bunches that may run at once")
    recorded_status: RecordedStatus = Field(default=RecordedStatus.DRAFT, description="what the source says about it")
    labels: tuple[Label, ...] = Field(default=(), description="remarks that trailed the tag, and others")
    description: str = Field(
        default="", max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$", description="free text"
    )

    _numbers = field_validator("*", mode="before")(check_number_field)

    @field_validator("request_id")
    @classmethod
    def _id_reads_back(cls, value: str) -> str:
        return str(RequestId.parse(value))

    @field_validator("input_request")
    @classmethod
    def _input_request_reads_back(cls, value: str | None) -> str | None:
        return None if value is None else str(RequestId.parse(value))

    @model_validator(mode="after")
    def _inputs_are_named_once(self) -> RequestSpec:
        if self.inputs and self.input_request:
            raise ValueError("inputs and input_request both say what is read: keep one of them")
        if self.input_request == self.request_id:
            raise ValueError(f"{self.request_id} cannot read its own files: name the request that simulated")
        if len(set(self.inputs.values())) != len(self.inputs):
            raise ValueError("inputs name one dataset twice: each data type has a dataset of its own")
        return self

    @model_validator(mode="after")
    def _events_follow_from_seeds(self) -> RequestSpec:
        if not self.seeds:
            raise ValueError("a request needs at least one seed, such as 40001-50000")
        number = seed_ranges.count(self.seeds)
        if number * self.events_per_file != self.events:
            raise ValueError(
                f"{number} seeds x {self.events_per_file} events per file are {number * self.events_per_file} events, "
                f"but {self.events} are asked for: mend seeds, events per file or events"
            )
        return self

    @model_validator(mode="after")
    def _every_bunch_has_a_seed(self) -> RequestSpec:
        if self.bunches > (number := seed_ranges.count(self.seeds)):
            raise ValueError(f"{self.bunches} bunches of {number} seeds: make at most {number}")
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> RequestSpec:
        longest = Sample("X" * 25, self.tag, self.energy_gev, self.polarization, self.request_id)
        length = len(f"{longest}.RECO.b000.00.log.000000.root")
        if length > NAME_LENGTH:
            raise ValueError(
                f"the tag is too long: names of files would have up to {length} characters, Rucio takes {NAME_LENGTH}; "
                f"take {length - NAME_LENGTH} off the tag"
            )
        return self

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """The request of these values.

        Raises
        ------
        SpecInvalid
            A value cannot be; all of them are named.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            found = error.errors(include_url=False)
            words = [(".".join(map(str, item["loc"])), _words(item)) for item in found]
            message = "; ".join(f"{place}: {text}" if place else text for place, text in words)
            raise SpecInvalid(str(values.get("request_id", "request")), message) from error

    @property
    def reads(self) -> bool:
        """Whether it works on files that exist: its seeds are those of the files, and stay their request's own."""
        return bool(self.inputs or self.input_request)

    @property
    def seed_count(self) -> int:
        """Number of seeds, which is the number of SIM jobs."""
        return seed_ranges.count(self.seeds)

    def digest(self) -> str:
        """``sha256:...`` over what is asked for; two specs that ask for the same have the same."""
        return digest_of(self.model_dump(mode="json"))


def _words(item: Mapping[str, Any]) -> str:
    """What one of pydantic's errors says; of one of ours, without the place, which stands before it."""
    cause = (item.get("ctx") or {}).get("error")
    if isinstance(cause, SpecInvalid):
        return cause.message + (f" ({cause.remedy})" if cause.remedy else "")
    return str(item["msg"]).removeprefix("Value error, ")


class Configuration(BaseModel):
    """What makes events equal: two requests of one configuration with a common seed hold the same events.

    The version of the scripts is not in it (a rewritten script does not make other events), their physics variant is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str
    collision: str
    energy: str = Field(description="[GeV]")
    polarization: str
    stage: str
    geometry: str
    software: str
    version: str
    variant: str

    @classmethod
    def of(cls, spec: RequestSpec) -> Configuration:
        """Configuration of a request."""
        return cls(
            generator=parse_tag(spec.tag).physics.casefold(),
            collision=spec.collision.casefold(),
            energy=energy_text(spec.energy_gev),
            polarization=spec.polarization.upper(),
            stage=spec.stage.upper(),
            geometry=normalise_geometry(spec.geometry),
            software=spec.software.casefold(),
            version=spec.version,
            variant=spec.variant.casefold(),
        )

    def digest(self) -> str:
        """``sha256:...`` of the configuration."""
        return digest_of(self.model_dump(mode="json"))

    def beam(self) -> tuple[str, str, str, str]:
        """Generator, collision, energy, polarization: equal beams with other detectors share generator events."""
        return self.generator, self.collision, self.energy, self.polarization


def normalise_geometry(text: str) -> str:
    """Geometry with case, blanks, separators and the order of detectors taken out: ``bbc, ecal, ...``."""
    parts = (clean_line(part).casefold() for part in separate(clean_line(text)).split(","))
    return ", ".join(sorted(part for part in parts if part))


def digest_of(body: Any) -> str:
    """``sha256:<64 hex digits>`` of a JSON value, independent of the order of keys."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
