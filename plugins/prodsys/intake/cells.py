"""Cells as people write them: numbers with blanks, ``27 GeV``, ``Runnig``, a remark after the tag."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from prodsys.errors import SpecInvalid
from prodsys.intake.nearest import nearest, suggest
from prodsys.model.names import RequestId
from prodsys.model.seeds import SeedRange, parse_seeds
from prodsys.model.statuses import RecordedStatus
from prodsys.model.tag import parse_tag, split_remark
from prodsys.model.text import DASHES, clean_line, foreign_in

T = TypeVar("T")
MAX_COUNT = 10**12  # events; beyond it somebody pasted something else
CLOSE = 0.85  # likeness at which a misspelt status is understood: Runnig, but not Undone
_TWO_WAYS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}", re.ASCII)  # thousands to one reader, decimals to another
_PLAIN = re.compile(r"\d+(?:\.0)?", re.ASCII)
_GROUPED = re.compile(r"\d{1,3}(?:([ ,.'])\d{3})(?:\1\d{3})*", re.ASCII)
_ENERGY = re.compile(r"(\d+(?:[.,]\d+)?) ?([A-Za-z]*)", re.ASCII)
_UNITS = {"mev": 1e-3, "gev": 1.0, "tev": 1e3}
_SOFTWARE = re.compile(r"([A-Za-z][A-Za-z0-9_\-]*?)[- /]v?(\d+(?:\.\d+)*)", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_\-]+", re.ASCII)
_REMARK = re.compile(r"[\w.,:;+()\-]{1,64}")
_STATUSES = {  # the first word of each is its own, the others are understood with a note
    "draft": RecordedStatus.DRAFT,
    "new": RecordedStatus.DRAFT,
    "ready": RecordedStatus.READY,
    "running": RecordedStatus.RUNNING,
    "in progress": RecordedStatus.RUNNING,
    "done": RecordedStatus.DONE,
    "completed": RecordedStatus.DONE,
    "cancelled": RecordedStatus.CANCELLED,
    "canceled": RecordedStatus.CANCELLED,
}
_STEPS = {"simu": "SIM", "simul": "SIM", "sim": "SIM", "simulation": "SIM", "reco": "RECO", "reconstruction": "RECO"}


class CellRefused(Exception):
    """A cell that cannot be understood; whoever knows its place makes a Fault of it."""

    def __init__(self, message: str, remedy: str) -> None:
        self.message, self.remedy = message, remedy
        super().__init__(f"{message} ({remedy})")


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What a cell says, and what there is to say about how."""

    value: T
    notes: tuple[str, ...] = ()


Reader = Callable[[str], Reading[Any]]


def squeeze(text: str) -> str:
    """The text on one line, as `model.text` cleans it."""
    return clean_line(text)


def is_ambiguous(text: str) -> bool:
    """A number such as ``1,500`` or ``1.500``: thousands to one reader, decimals to another."""
    return bool(_TWO_WAYS.fullmatch(text))


def number_text(value: float) -> str:
    """A number that a program gave, as a text that nobody takes for thousands: 27, 4.1, 1.8770."""
    text = str(int(value)) if float(value).is_integer() and abs(value) < 10**15 else repr(value)
    return f"{text}0" if is_ambiguous(text) else text


def taken(value: T, own: str, text: str, notes: tuple[str, ...] = ()) -> Reading[T]:
    """A reading of words: whatever was understood otherwise than it is written gets a note."""
    return Reading(value, notes if own == text else (f"is taken as {own!r}", *notes))


def _understand(text: str, words: Mapping[str, T], known: Iterable[str]) -> Reading[T]:
    """The value of a known word, of another word for it, or of a slight misspelling; case does not count."""
    word = text.casefold()
    found = word if word in words else nearest(word, words, CLOSE)
    if found is None:
        raise CellRefused("is not a known word", suggest(word, known))
    own = next(name for name, value in words.items() if value == words[found])
    return taken(words[found], own, word)


def read_word(text: str) -> Reading[str]:
    """A text as it is."""
    return Reading(text)


def read_request_id(text: str, prefixes: Iterable[str]) -> Reading[str]:
    """An id such as ``PROD2025-016``, its prefix one of the policy's."""
    try:
        parsed = RequestId.parse(text.translate(DASHES))
    except SpecInvalid as error:
        message = f"is not a request id{_foreign_letters(text)}"
        raise CellRefused(message, "prefix, year, dash, three or more digits: PROD2025-016") from error
    if parsed.prefix not in prefixes:
        remedy = f"{suggest(parsed.prefix, prefixes)}; a new one goes into policy.yaml"
        raise CellRefused(f"begins with an unknown prefix {parsed.prefix!r}", remedy)
    notes = () if str(parsed) == text else (f"is taken as {parsed}: one number is one id",)
    return Reading(str(parsed), notes)


def read_count(text: str) -> Reading[int]:
    """A number of things: ``4000``, ``40 000 000``, ``40,000,000``."""
    text = text.replace("\u2019", "'")
    grouped = _GROUPED.fullmatch(text)
    if grouped and grouped[1] in ",." and len(re.findall(r"[,.]", text)) == 1:
        plain = re.sub(r"[,.]", "", text)
        raise CellRefused("can be read in two ways", f"write {plain} when it is {int(plain):,}".replace(",", " "))
    if grouped:
        text = text.replace(grouped[1], "")
    elif not _PLAIN.fullmatch(text):
        raise CellRefused("is not a whole number", "digits only, such as 40000000 or 40 000 000")
    value = int(text.removesuffix(".0")) if len(text) < 30 else MAX_COUNT + 1
    if not 0 < value <= MAX_COUNT:
        raise CellRefused(f"is not between 1 and {MAX_COUNT:,}".replace(",", " "), "check the number of digits")
    return Reading(value)


def read_energy(text: str) -> Reading[float]:
    """An energy [GeV]: ``27 GeV``, ``27GeV``, ``27,5 GeV``."""
    found = _ENERGY.fullmatch(text)
    unit = found[2].casefold() if found else ""
    if not found or (unit and unit not in _UNITS):
        raise CellRefused("is not an energy", "a number and GeV, such as 27 GeV")
    if is_ambiguous(found[1]):
        whole, decimals = re.split("[.,]", found[1])
        rest = f"{text[found.end(1) :]}"
        remedy = f"write {whole}{decimals}{rest}, or {whole}.{decimals}0{rest} when the mark is a decimal one"
        raise CellRefused("can be read in two ways", remedy)
    value = float(found[1].replace(",", "."))
    if unit and _UNITS[unit] != 1.0:
        raise CellRefused("is not in GeV", f"write {value * _UNITS[unit]:g} GeV")
    if not 0 < value <= 100_000:
        raise CellRefused("is not an energy between 0 and 100000 GeV", "a number and GeV, such as 27 GeV")
    return Reading(value, () if unit else ("has no unit: GeV is taken",))


def read_energy_gev(text: str) -> Reading[float]:
    """An energy whose heading or key says GeV already."""
    return Reading(read_energy(text).value)


def read_status(text: str) -> Reading[RecordedStatus]:
    """What the source says about the request; a slight misspelling is understood, with a note."""
    try:
        return _understand(text, _STATUSES, [status.value for status in RecordedStatus])
    except CellRefused as refused:
        raise CellRefused("is not a known status", refused.remedy) from refused


def read_seeds(text: str) -> Reading[tuple[SeedRange, ...]]:
    """Ranges of seeds, with any dash: ``1-10000``."""
    plain = re.sub(r"(?<=\d) (?=\d{3}(?:\D|$))", "", text.translate(DASHES))
    try:
        return Reading(parse_seeds(plain))
    except SpecInvalid as error:
        raise CellRefused(error.message, error.remedy) from error


def read_seed(text: str) -> Reading[int]:
    """One seed."""
    seed = read_count(text).value
    try:
        return Reading(SeedRange(first=seed, last=seed).first)
    except ValueError as error:
        raise CellRefused("is too large for a seed", "at most 2147483647") from error


def read_software(text: str) -> Reading[tuple[str, str]]:
    """Name and version: ``spdroot-dev-4.1.7.2``."""
    found = _SOFTWARE.fullmatch(text.translate(DASHES))
    if not found:
        raise CellRefused("is not a software with its version", "name, dash, version: spdroot-dev-4.1.7.2")
    return taken((found[1], found[2]), f"{found[1]}-{found[2]}", text)


def read_tag(text: str) -> Reading[tuple[str, tuple[str, ...]]]:
    """Tag and labels; words after the tag are remarks, not part of any name and no choice of a partition."""
    tag, remarks = split_remark(text.translate(DASHES))
    if not _TAG.fullmatch(tag):
        message = f"cannot be part of a dataset name{_foreign_letters(tag)}"
        raise CellRefused(message, "letters, digits, - and _ only, then a blank and remarks")
    if odd := [word for word in remarks if not _REMARK.fullmatch(word)]:
        raise CellRefused(f"has a strange remark {odd[0]!r} after the tag", "plain words only")
    notes = [f"{word!r} after the tag is a remark: a label, no part of names, no partition" for word in remarks]
    if parsed := parse_tag(tag).note:
        notes.append(parsed)
    return taken((tag, remarks), " ".join((tag, *remarks)), text, tuple(notes))


def read_step(text: str) -> Reading[str]:
    """Kind of a step: SIM of ``simu``, RECO of ``reco``."""
    try:
        return _understand(text, _STEPS, ("simu", "reco"))
    except CellRefused as refused:
        raise CellRefused("is not a kind of step", refused.remedy) from refused


def _foreign_letters(text: str) -> str:
    """Letters of other alphabets, by name: a Cyrillic letter looks like a Latin one."""
    names = foreign_in(text)
    return f": it holds {names}" if names else ""
