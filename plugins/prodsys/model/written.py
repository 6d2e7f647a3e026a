"""What people write as a request, before it is one: texts cleaned, words known, sizes within bounds.

`RequestSpec` loads what is stored as it was stored; a `WrittenRequest` is what comes in by a door.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationInfo, field_validator

from prodsys.errors import SpecInvalid
from prodsys.model import seeds as seed_ranges
from prodsys.model import text as text_of
from prodsys.model.request import RequestSpec
from prodsys.model.specs import Catalogue
from prodsys.model.statuses import STATE_OF_RECORD, RequestState

LENGTHS = {
    "request_id": text_of.ID_LENGTH,
    "input_request": text_of.ID_LENGTH,
    "campaign": text_of.CAMPAIGN_LENGTH,
    "stage": text_of.WORD_LENGTH,
    "collision": text_of.WORD_LENGTH,
    "polarization": text_of.WORD_LENGTH,
    "geometry": text_of.GEOMETRY_LENGTH,
    "software": text_of.WORD_LENGTH,
    "version": text_of.WORD_LENGTH,
    "tag": text_of.TAG_LENGTH,
    "chain": text_of.WORD_LENGTH,
    "partition": text_of.WORD_LENGTH,
    "variant": text_of.WORD_LENGTH,
    "script_version": text_of.WORD_LENGTH,
}
"""Fields that make a configuration or a name, with the longest text that each takes."""


def clean_field(name: str, value: Any) -> Any:
    """A value of a field as it is kept; what is no text comes back as it is.

    Raises
    ------
    SpecInvalid
        A text that cannot be: a control character, a letter of another alphabet, too long.
    """
    if name == "labels" and isinstance(value, list | tuple):
        if len(value) > text_of.LABELS:
            raise SpecInvalid(name, f"there are {len(value)}", f"write at most {text_of.LABELS}")
        return [text_of.clean_reason(one, name, text_of.LABEL_LENGTH) if isinstance(one, str) else one for one in value]
    if not isinstance(value, str):
        return value
    if name == "description":
        return _clean_description(value)
    if name not in LENGTHS:
        return value
    text_of.check_length(value, name, 2 * LENGTHS[name])  # before it is looked at: it may be of any size
    word = text_of.check_word(value, name)
    return text_of.check_length(text_of.separate(word) if name == "geometry" else word, name, LENGTHS[name])


def _clean_description(value: str) -> str:
    text_of.check_length(value, "description", 2 * text_of.DESCRIPTION_LENGTH)
    cleaned = text_of.clean_text(value)
    if found := text_of.control_in(cleaned.replace("\n", "").replace("\t", "")):
        message = f"holds the control character {text_of.name_of(found)}"
        raise SpecInvalid("description", message, "write plain text")
    return text_of.check_length(cleaned, "description", text_of.DESCRIPTION_LENGTH)


class WrittenRequest(RequestSpec):
    """A request as somebody writes it; its texts are cleaned, and what only looks like a word is refused."""

    @field_validator(*LENGTHS, "description", "labels", mode="before")
    @classmethod
    def _clean(cls, value: Any, info: ValidationInfo) -> Any:
        assert info.field_name is not None  # a validator of fields
        return clean_field(info.field_name, value)


def plain(spec: RequestSpec) -> RequestSpec:
    """The same request without the rules of its door."""
    return RequestSpec.model_validate(spec.model_dump(mode="json"))


def read_request(values: Mapping[str, Any]) -> RequestSpec:
    """The request of values that people wrote.

    Raises
    ------
    SpecInvalid
        A value cannot be; all of them are named.
    """
    return plain(WrittenRequest.checked(values))


def merged(spec: RequestSpec, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a request with some of them changed, by the rules of a JSON merge patch (RFC 7396).

    None takes a value away, so that its default counts. Events that are not named follow from the seeds.
    """
    values = _merge(spec.model_dump(mode="json"), changes)
    per_file, seeds = values.get("events_per_file"), values.get("seeds")
    follow = {"seeds", "events_per_file"} & changes.keys() and "events" not in changes
    if follow and isinstance(seeds, str) and isinstance(per_file, int):
        values["events"] = seed_ranges.count(seed_ranges.parse_seeds(seeds)) * per_file
    return values


def _merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if name not in changes}
    for name, change in changes.items():
        if isinstance(change, Mapping):
            before = values.get(name)
            kept[name] = _merge(before if isinstance(before, Mapping) else {}, change)
        elif change is not None:
            kept[name] = change
    return kept


# --- beside the specs -----------------------------------------------------------------------------------------------
def spelled_as_known(spec: RequestSpec, catalogue: Catalogue) -> RequestSpec:
    """The request with words spelled as ``physics.yaml`` spells them; history stays as it is."""
    values = spec.model_dump(mode="json")
    changed = {} if is_history(spec) else catalogue.physics.spelled(values)
    return RequestSpec.model_validate(values | changed) if changed else spec


def is_history(spec: RequestSpec) -> bool:
    """Whether a request is recorded as it was, and not planned here."""
    return STATE_OF_RECORD[spec.recorded_status] is RequestState.RECORDED


def faults_of_request(spec: RequestSpec, catalogue: Catalogue) -> Iterator[SpecInvalid]:
    """Words that no list knows, and sizes beyond the bounds of ``policy.yaml``; history is only held to its bounds."""
    if not is_history(spec):
        yield from catalogue.physics.faults(spec)
    for field, words, given, limit, remedy in _sizes(spec, catalogue):
        if given > limit:
            message = f"{words} {_grouped(given)}; at most {_grouped(limit)} may be"
            yield SpecInvalid(f"{spec.request_id}.{field}", message, f"{remedy}; see limits in policy.yaml")


def _sizes(spec: RequestSpec, catalogue: Catalogue) -> Iterator[tuple[str, str, int, int, str]]:
    """Field, words, size, bound and remedy of everything that has a bound."""
    limits, number = catalogue.policy.limits, spec.seed_count
    chain = catalogue.chains.get(spec.chain)
    yield "seeds", "the largest seed is", spec.seeds[-1].last, limits.largest_seed, "take lower seeds"
    yield "seeds", "seeds asked for:", number, limits.seeds, "make several requests"
    yield (
        "seeds",
        "ranges of seeds:",
        len(spec.seeds),
        limits.ranges,
        "ask for longer ranges, or make several requests",
    )
    yield "events", "events asked for:", spec.events, limits.events, "check the number of digits"
    of_task, bunches = -(-number // spec.bunches), -(-number // limits.jobs_of_task)
    yield "bunches", "jobs of one task:", of_task, limits.jobs_of_task, f"run it in at least {bunches} bunches"
    jobs = number * (len(chain.steps) if chain else 1)
    yield "seeds", "jobs of all steps:", jobs, limits.jobs_of_request, "make several requests"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def check_request(spec: RequestSpec, catalogue: Catalogue) -> None:
    """All is known and within bounds.

    Raises
    ------
    SpecInvalid
        Something is not; all of it is named.
    """
    found = list(faults_of_request(spec, catalogue))
    if len(found) == 1:
        raise found[0]
    if found:
        words = "; ".join(f"{one.place.rpartition('.')[2]}: {one.message}" for one in found)
        raise SpecInvalid(spec.request_id, words, "; ".join(dict.fromkeys(one.remedy for one in found)))
