"""Words of physics that are known here: ``physics.yaml``. A configuration is only as good as its spelling. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from prodsys.errors import SpecInvalid
from prodsys.model.nearest import suggest
from prodsys.model.request import RequestSpec
from prodsys.model.spec_base import Spec
from prodsys.model.tag import parse_tag
from prodsys.model.text import separate

FILE = "physics.yaml"
LIKE, SHORT, SHORTER = 0.6, 0.5, 4  # likeness at which a word is proposed; of words with fewer than four letters
_REMARK = re.compile(r"\(([^()]*)\)")


def _each_spelling_once(words: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    seen: dict[str, str] = {}
    for word, others in words.items():
        for spelling in dict.fromkeys((_fold(word), *map(_fold, others))):
            if spelling in seen:
                raise ValueError(f"{spelling!r} stands for {seen[spelling]!r} and for {word!r}: keep one of them")
            seen[spelling] = word
    return words


def _fold(word: str) -> str:
    return " ".join(word.casefold().split())


Words = Annotated[dict[str, tuple[str, ...]], Field(min_length=1), AfterValidator(_each_spelling_once)]


class PhysicsSpec(Spec):
    """Known words, each with the other spellings that people use for it; case and blanks do not count."""

    stages: Words = Field(description="stages of the detector")
    collisions: Words = Field(description="colliding beams")
    polarizations: Words = Field(description="of both beams")
    geometry_parts: Words = Field(description="detectors: a geometry is a list of them")
    geometry_remarks: Words = Field(description="words that may stand in brackets behind a detector")
    processes: Words = Field(description="first part of a tag, behind the collision")
    generators: Words = Field(description="second part of a tag")

    @model_validator(mode="after")
    def _tags_can_hold_them(self) -> PhysicsSpec:
        for key in ("processes", "generators"):
            for word in getattr(self, key):
                if not re.fullmatch(r"[A-Za-z0-9_]+", word):
                    raise ValueError(f"{key}: {word!r} cannot be part of a tag: letters, digits and _ only")
        return self

    def find(self, key: str, word: str) -> str | None:
        """The known word of a list that this spelling stands for, or None."""
        folded = _fold(word)
        for known, others in getattr(self, key).items():
            if folded == _fold(known) or folded in map(_fold, others):
                return str(known)
        return None

    # --- what a request says ------------------------------------------------------------------------------------------
    def words_of(self, spec: RequestSpec) -> Iterator[tuple[str, str, str]]:
        """Field of the request, list that its word must come from, the word itself."""
        yield "stage", "stages", spec.stage
        yield "collision", "collisions", spec.collision
        yield "polarization", "polarizations", spec.polarization
        for part, remarks in _parts(spec.geometry):
            yield "geometry", "geometry_parts", part
            for remark in remarks:
                yield "geometry", "geometry_remarks", remark
        tag = parse_tag(spec.tag)
        yield "tag", "processes", tag.process or tag.tag
        if tag.process:
            yield "tag", "generators", tag.generator

    def faults(self, spec: RequestSpec) -> Iterator[SpecInvalid]:
        """Everything in a request that no list knows, each with what is near it."""
        for field, key, word in self.words_of(spec):
            if self.find(key, word) is None:
                yield _unknown(f"{spec.request_id}.{field}", key, word, getattr(self, key))
        beams = parse_tag(spec.tag).collision
        if beams and beams.casefold() != spec.collision.casefold():
            message = f"the tag {spec.tag} speaks of {beams}, the collision is {spec.collision}"
            yield SpecInvalid(f"{spec.request_id}.tag", message, "let both say the same")

    def spelled(self, values: Mapping[str, str]) -> dict[str, str]:
        """Fields that are to be spelled otherwise: as the lists spell the same word; unknown words stay."""
        found = {}
        for field, key in (("stage", "stages"), ("collision", "collisions"), ("polarization", "polarizations")):
            found[field] = self.find(key, values.get(field, "")) or values.get(field, "")
        found["geometry"] = self._geometry(values.get("geometry", ""))
        found["tag"] = self._tag(values.get("tag", ""))
        return {name: word for name, word in found.items() if word != values.get(name, "")}

    def _geometry(self, text: str) -> str:
        return ", ".join(self._part(part, remarks) for part, remarks in _parts(text))

    def _part(self, part: str, remarks: tuple[str, ...]) -> str:
        word = self.find("geometry_parts", part) or part
        return " ".join((word, *(f"({self.find('geometry_remarks', one) or one})" for one in remarks)))

    def _tag(self, text: str) -> str:
        parsed = parse_tag(text)
        if not parsed.process:
            return text
        front = f"{parsed.collision}-" if parsed.collision else ""
        process = self.find("processes", parsed.process) or parsed.process
        generator = self.find("generators", parsed.generator) or parsed.generator
        return f"{front}{process}-{generator}-{parsed.software}-{parsed.flavour}"


def _unknown(place: str, key: str, word: str, known: Mapping[str, object]) -> SpecInvalid:
    near = suggest(word, known, SHORT if len(word) < SHORTER else LIKE)
    message = f"{word!r} is not among the known {key.replace('_', ' ')}"
    return SpecInvalid(place, message, f"{near}; an administrator adds a new word to {FILE}, under {key}")


def _parts(geometry: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Detectors of a geometry, each with the remarks in brackets behind it."""
    for part in separate(geometry).split(","):
        remarks = tuple(" ".join(one.split()) for one in _REMARK.findall(part))
        word = " ".join(_REMARK.sub(" ", part).split())
        if word or remarks:
            yield word, remarks
