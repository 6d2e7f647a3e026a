"""The question whether a plan is approved, as people see it on Airflow's page, and what counts as an answer. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from prodsys.errors import SpecInvalid
from prodsys.model.estimate import Estimate
from prodsys.model.plan import Plan, describe
from prodsys.model.plan_changes import Change
from prodsys.model.text import COMMENT_LENGTH, clean_reason

DAG_ID = "approve_plan"
DIGEST_SHOWN = 12  # hexadecimal digits in names; the page shows all of them
SAID_LENGTH = 1000  # of the reason why it is asked again
TEXT_LENGTH = 300  # of one piece of text from outside
LINES = 20  # warnings, and changes, that a page lists


class Choice(StrEnum):
    """What can be said to a plan; spelled as the buttons are."""

    APPROVE = "Approve"
    REJECT = "Reject"


@dataclass(frozen=True)
class Subject:
    """What a question is about: one plan in the words in which it was shown."""

    request_id: str
    digest: str
    words: str  # digest of the words, so that others are asked anew

    @property
    def line(self) -> str:
        """One line that names it."""
        return f"{self.request_id}: plan {short(self.digest)}"

    def run_id(self, number: int) -> str:
        """Run that asks it for the nth time: ``PROD2026-001-9f2c41d0aa37``, then ``PROD2026-001-9f2c41d0aa37.2``."""
        name = f"{self.request_id}-{short(self.digest)}"
        return name if number == 1 else f"{name}.{number}"

    @property
    def conf(self) -> dict[str, str]:
        """What the run is given."""
        return {"request_id": self.request_id, "digest": self.digest, "words": self.words}

    @classmethod
    def of_conf(cls, conf: Mapping[str, Any]) -> Self:
        """What a run was given; "" for what a person who started it by hand left open."""
        return cls(*(str(conf.get(key) or "") for key in ("request_id", "digest", "words")))

    def is_about(self, other: Subject) -> bool:
        """Whether this question asks what the other one does; what is left open fits everything."""
        mine, others = (self.request_id, self.digest, self.words), (other.request_id, other.digest, other.words)
        return all(given in ("", wanted) for given, wanted in zip(mine, others, strict=True))


def short(digest: str) -> str:
    """The first digits of a digest, without the name of its kind."""
    return digest.rpartition(":")[2][:DIGEST_SHOWN]


def digest_of_words(words: str) -> str:
    """Tells whether a question is still asked in the words in which it was put."""
    return hashlib.sha256(words.encode()).hexdigest()[:DIGEST_SHOWN]


def fault_of_answer(choice: str, params: Mapping[str, Any], digest: str) -> str:
    """Why an answer cannot be taken, "" when it can. Airflow's API lets everything pass: it is looked at here."""
    given, comment = params.get("digest"), params.get("comment")
    if choice not in tuple(Choice):
        return f"{code(choice)} is none of {', '.join(Choice)}"
    if not isinstance(given, str) or given.strip() != digest:
        return f"the digest {code(given)} is not that of the plan; leave the one that stands there"
    if not isinstance(comment or "", str) or len(comment or "") > COMMENT_LENGTH:
        return f"the comment is no text of at most {COMMENT_LENGTH} characters"
    try:
        said = clean_reason(comment or "", "the comment", COMMENT_LENGTH)
    except SpecInvalid as error:
        return str(error)
    if choice == Choice.REJECT and not said:
        return "whoever rejects a plan has to say why: write it as comment"
    return ""


def describe_question(
    plan: Plan,
    digest: str,
    estimate: Estimate | None,
    changes: Sequence[Change],
    warnings: Sequence[str],
    first: str,
    needs: Sequence[str] = (),
) -> str:
    """The plan in Markdown with what is expected, changed and doubtful; text from outside cannot leave its place."""
    parts = [
        f"**{code(first)} has approved it; a second person must, too.**" if first else "",
        _listed("Before it can be approved", (code(one) for one in needs)),
        _listed("Warnings", (code(one) for one in warnings)),
        _listed("Changed against the last plan", map(_change, changes)),
        describe(plan, digest, describe_estimate(estimate) if estimate else ""),
    ]
    return "\n\n".join(part for part in parts if part)


def _change(one: Change) -> str:
    before, after = ("nothing" if value is None else code(value) for value in (one.before, one.after))
    return f"{code(one.field)}: {before} → {after}"


def describe_estimate(estimate: Estimate) -> str:
    """What a plan is expected to take, in Markdown, each figure with its source."""
    figures = (f"- {kind}: {words}, from {code(source)}" for kind, words, source in estimate.figures())
    total = (
        f"Expected: {estimate.volume_bytes / 1e9:,.1f} GB a copy, {estimate.volume_with_copies_bytes / 1e9:,.1f} GB in "
        f"all, {estimate.core_hours:,.1f} core hours, {estimate.duration_h:,.1f} h:"
    )
    return "\n".join((total, "", *figures))


def _listed(title: str, lines: Iterable[str]) -> str:
    found = list(lines)
    if not found:
        return ""
    more = [f"- and {len(found) - LINES} more: prodsys request plan"] if len(found) > LINES else []
    return "\n".join((f"**{title}**", "", *(f"- {line}" for line in found[:LINES]), *more))


def code(text: object) -> str:
    """Text of any origin as a code span of one line, which it cannot leave."""
    line = " ".join(str(text).replace("`", "'").split())
    return f"`{line[:TEXT_LENGTH] or ' '}`"
