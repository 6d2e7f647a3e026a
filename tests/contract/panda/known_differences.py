"""What the sandbox still does otherwise than the recordings, call by call, with the reason; nothing else may differ."""

from __future__ import annotations

KNOWN: dict[tuple[str, int], str] = {
    ("odd_input", 204): "a task name with an apostrophe and a blank: JEDI leaves such output templates unmarked",
    ("odd_input", 207): "the same task: JEDI drops the apostrophe from its file names and keeps the blank",
}
"""By scenario and number of the call in its recording; only for the target sandbox."""


def split_known(scenario: str, target: str, found: list[str]) -> tuple[list[str], list[str]]:
    """Differences nobody knows of, and the reasons of those that are known."""
    new, known = [], []
    for said in found:
        number = said.split(":", 1)[0].removeprefix("call ")
        reason = KNOWN.get((scenario, int(number))) if number.isdigit() and target == "sandbox" else None
        if reason and " went " not in said.splitlines()[0]:
            known.append(reason)
        else:
            new.append(said)
    return new, known
