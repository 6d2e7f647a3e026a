"""Text that people write, cleaned in one way at every door: files, REST, command line, Airflow's pages. Pure.

One thing has one spelling: composed letters (NFC), no invisible characters, one kind of blank. A control character is
refused, a line break in a sentence is a blank: nobody forges a line of a log.
"""

from __future__ import annotations

import re
import unicodedata

from prodsys.errors import SpecInvalid

# Lengths of all texts [characters]; REST, Airflow's pages, the command line and the models take them from here.
REASON_LENGTH = 2000  # why something was done, by REST and the command line
COMMENT_LENGTH = 500  # the same in a box on Airflow's pages
REUSE_LENGTH = 500  # why seeds are used again: it stands in the certificate
PERSON_LENGTH = 100
ID_LENGTH = 64
CAMPAIGN_LENGTH = 64
WORD_LENGTH = 64  # software, version, chain, variant and other words of a name
TAG_LENGTH = 150
GEOMETRY_LENGTH = 500
DESCRIPTION_LENGTH = 2000
LABEL_LENGTH = 64
LABELS = 50

PRINTED = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"  # of schemas: what `clean_reason` refuses, as a pattern
DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-")
_BLANK = frozenset({"Zs", "Zl", "Zp"})
_BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")  # letters and marks that show nothing
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # choose a shape, show nothing themselves
_SEPARATORS = str.maketrans(dict.fromkeys(";|\uff0c\uff1b\u3001\u060c\u061b\ufe10\ufe50\ufe51\ufe54\uff5c", ","))


def is_invisible(char: str) -> bool:
    """Whether a character shows nothing and is no blank: zero width, soft hyphen, direction marks, fillers."""
    return unicodedata.category(char) == "Cf" or char in _FILLERS or bool(_VARIATION.match(char))


def invisible_in(text: str) -> tuple[str, ...]:
    """Names of the invisible characters of a text, each once, in order."""
    return tuple(dict.fromkeys(name_of(char) for char in text if is_invisible(char)))


def clean_text(text: str) -> str:
    """The text composed (NFC), without invisible characters, every blank a space; lines and tabs stay."""
    seen = "".join(char for char in text if not is_invisible(char))
    spaced = "".join(" " if unicodedata.category(char) in _BLANK else char for char in seen)
    return unicodedata.normalize("NFC", spaced.replace("\r\n", "\n").replace("\r", "\n")).strip()


def clean_line(text: str) -> str:
    """The text cleaned and on one line, with single spaces between words; control characters stay, to be refused."""
    flat = "".join(" " if char in _BREAKS else char for char in clean_text(text))
    return re.sub(r" +", " ", flat).strip()


def control_in(text: str) -> str:
    """The first control character or lone surrogate of a text, "" when it has none."""
    return next((char for char in text if unicodedata.category(char) in {"Cc", "Cs"}), "")


def name_of(char: str) -> str:
    """A character in words: ``U+200B zero width space``."""
    known = unicodedata.name(char, "").lower() or _CONTROLS.get(char, "without a name")
    return f"U+{ord(char):04X} {known}"


_CONTROLS = {"\x00": "null", "\x07": "bell", "\x08": "backspace", "\x1b": "escape", "\x7f": "delete"}


# --- sentences ------------------------------------------------------------------------------------------------------
def clean_reason(text: str, place: str = "reason", length: int = REASON_LENGTH) -> str:
    """A reason or comment as one clean line; the rule is the same by REST, command line and on Airflow's pages.

    Raises
    ------
    SpecInvalid
        It holds a control character, or is too long.
    """
    line = clean_line(text)
    if found := control_in(line):
        raise SpecInvalid(place, f"holds the control character {name_of(found)}", "write plain text")
    return check_length(line, place, length)


def kept_reason(text: str) -> str:
    """A reason that a program puts together of texts that were kept: shortened and cleaned, never refused."""
    return "".join(char for char in clean_line(text) if not control_in(char))[:REASON_LENGTH]


def check_length(text: str, place: str, length: int) -> str:
    """The text itself, when it is not too long.

    Raises
    ------
    SpecInvalid
        It is.
    """
    if len(text) > length:
        raise SpecInvalid(place, f"has {len(text)} characters", f"write at most {length}")
    return text


# --- names of persons -----------------------------------------------------------------------------------------------
def person_name(text: str, place: str = "name of a person") -> str:
    """The name of a person or service, cleaned.

    Raises
    ------
    SpecInvalid
        It is empty, too long, or holds a control character or one of < > { }.
    """
    name = clean_reason(text, place, PERSON_LENGTH)
    if not name or any(char in "<>{}" for char in name):
        raise SpecInvalid(place, f"{name!r} is no name", "write a name, without < > { }")
    return name


def same_person(one: str | None, other: str | None) -> bool:
    """Whether two names are one person's: blanks, invisible characters, case and full-width letters do not count."""
    return one is not None and other is not None and _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return clean_line(unicodedata.normalize("NFKC", clean_line(name)).casefold())


# --- words of configurations and names ------------------------------------------------------------------------------
def foreign_in(text: str) -> str:
    """``'Т' (cyrillic capital letter te)``: characters that only look like plain Latin ones; "" when there is none."""
    found = dict.fromkeys(char for char in text if not char.isascii())
    return ", ".join(f"{char!r} ({unicodedata.name(char, 'unnamed').lower()})" for char in list(found)[:3])


def check_word(text: str, place: str) -> str:
    """A word of a configuration or name, cleaned.

    Raises
    ------
    SpecInvalid
        It holds a control character, or a letter of another alphabet.
    """
    word = clean_line(text).translate(DASHES)
    if found := control_in(word):
        raise SpecInvalid(place, f"holds the control character {name_of(found)}", "write plain text")
    if found := foreign_in(word):
        raise SpecInvalid(place, f"holds {found}", "write it with plain Latin letters, digits and signs")
    return word


def separate(geometry: str) -> str:
    """A geometry with commas where people write other separators."""
    return clean_line(re.sub(r" *, *", ", ", geometry.translate(_SEPARATORS))).strip(", ")
