"""All methods of panda-server 1.0.4 on tasks and jobs, as ``endpoints.txt`` lists them: verb, arguments, who may."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.contract.panda.recordings import DATA

_LINE = re.compile(r"(\S+)\s+/api/v1/((?:task|job)/\w+)\((.*)\)(?: \[(.*)\])?$")


@dataclass(frozen=True)
class Argument:
    """One argument of a method; `kind` is its annotation, empty without one."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True)
class Method:
    """One method of the API."""

    verb: str
    path: str
    arguments: tuple[Argument, ...]
    who: str

    @property
    def required(self) -> list[Argument]:
        """Arguments without a default, in their order."""
        return [one for one in self.arguments if one.required]

    @property
    def call_verb(self) -> str:
        """Verb to call it with."""
        return "POST" if self.verb == "any" else self.verb

    def good(self) -> dict[str, object]:
        """Values of the right types for the required arguments, ids that do not exist."""
        return {one.name: SAMPLES[one.kind] for one in self.required}


UNKNOWN_ID = 99999999
SAMPLES: dict[str, object] = {
    "": UNKNOWN_ID, "int": UNKNOWN_ID, "str": "x", "bool": False, "Dict": {}, "List[int]": [UNKNOWN_ID],
}  # fmt: skip


def read_methods() -> list[Method]:
    """All methods of the modules ``task`` and ``job``."""
    text = (DATA / "endpoints.txt").read_text(encoding="utf-8")
    found = [_LINE.match(line) for line in text.splitlines()]
    return [Method(one[1], one[2], tuple(_arguments(one[3])), one[4] or "") for one in found if one]


def _arguments(text: str) -> list[Argument]:
    parts = re.split(r",(?![^\[(]*[\])])", text) if text else []
    found = []
    for part in parts:
        declared, _, default = part.partition("=")
        name, _, kind = declared.partition(":")
        found.append(Argument(name.strip(), kind.strip(), not default))
    return found
