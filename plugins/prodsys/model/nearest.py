"""Did you mean?"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that looks most like this one, or None; case does not count."""
    by_folded = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def suggest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Remedy for an unknown word: ``did you mean "ready"? known: ...``."""
    names = sorted(set(known))
    near = nearest(word, names, cutoff)
    listed = f"known: {', '.join(names)}"
    return f"did you mean {near!r}? {listed}" if near else listed
