"""The tag: the middle of every dataset name, ``[<collision>-]<process>-<generator>-<software>-<flavour>``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAG = re.compile(
    r"(?:(?P<collision>pp|dd|pd|dp)-)?(?P<process>[A-Za-z0-9_]+)-(?P<generator>[A-Za-z0-9_]+)"
    r"-(?P<software>[A-Za-z]+\d[A-Za-z0-9_]*)-(?P<flavour>[A-Za-z0-9_]+)"
)


@dataclass(frozen=True)
class ParsedTag:
    """The parts of a tag. When it has another form, ``generator`` is the whole tag and ``note`` says so."""

    tag: str
    generator: str
    process: str = ""
    collision: str = ""
    software: str = ""
    flavour: str = ""
    note: str = ""

    @property
    def physics(self) -> str:
        """What of the tag makes events equal: process and generator, or the whole tag when it was not understood."""
        return f"{self.process}-{self.generator}" if self.process else self.generator


def parse_tag(tag: str) -> ParsedTag:
    """The parts of a tag such as ``dd-minbias-FTF-spdroot4171-dev``; never fails."""
    found = _TAG.fullmatch(tag)
    if not found:
        form = "[<collision>-]<process>-<generator>-<software>-<flavour>"
        note = f"tag {tag!r} has not the form {form}: generator = the whole tag"
        return ParsedTag(tag=tag, generator=tag, note=note)
    return ParsedTag(
        tag=tag,
        generator=found["generator"],
        process=found["process"],
        collision=found["collision"] or "",
        software=found["software"],
        flavour=found["flavour"],
    )


def split_remark(text: str) -> tuple[str, tuple[str, ...]]:
    """Tag and trailing words: people write ``minbias-P8-spdroot4172-dev test`` and mean a remark by ``test``."""
    words = text.split()
    return (words[0] if words else ""), tuple(words[1:])
