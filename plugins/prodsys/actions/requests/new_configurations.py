"""A configuration that nobody has used and that is one word away from a used one: is that word meant?"""

from __future__ import annotations

from difflib import SequenceMatcher

from sqlalchemy.orm import Session

from prodsys.ledger.configurations import used_configurations
from prodsys.model.request import Configuration, RequestSpec

QUESTION = "question: "  # begins what whoever approves has to answer; nothing is approved automatically with one open


def configuration_questions(session: Session, spec: RequestSpec) -> tuple[str, ...]:
    """One question for each field in which alone a new configuration differs from one that was used.

    A slip of the hand makes another configuration, and seeds are counted apart in it.
    """
    if spec.reads:
        return ()  # its events exist
    mine = Configuration.of(spec)
    used = used_configurations(session, spec.request_id)
    if any(other == mine for _, other in used):
        return ()
    near: dict[str, list[tuple[str, str]]] = {}
    for request_id, other in used:
        differs = [name for name in Configuration.model_fields if getattr(mine, name) != getattr(other, name)]
        if len(differs) == 1:
            near.setdefault(differs[0], []).append((request_id, getattr(other, differs[0])))
    return tuple(_question(spec.request_id, name, getattr(mine, name), others) for name, others in near.items())


def _question(request_id: str, field: str, word: str, others: list[tuple[str, str]]) -> str:
    """The question, with the request whose word is most like this one."""
    other, theirs = max(others, key=lambda pair: SequenceMatcher(None, word, pair[1]).ratio())
    return (
        f"{QUESTION}is {field} {word!r} meant? No production has this configuration; {other} differs from {request_id} "
        f"in nothing but {field} {theirs!r}. Seeds of the two are counted apart"
    )


def open_questions_in(warnings: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a plan's warnings that a person must answer by approving."""
    return tuple(one for one in warnings if one.startswith(QUESTION))
