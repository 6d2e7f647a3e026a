"""How a spreadsheet shows a number: what a person reads must be what the cell holds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

GENERAL = "General"
BUILT_IN = {  # ECMA-376, part 1, 18.8.30
    0: GENERAL,
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    37: "#,##0",
    38: "#,##0",
    39: "#,##0.00",
    40: "#,##0.00",
    41: "#,##0",
    42: '"$"#,##0',
    43: "#,##0.00",
    44: '"$"#,##0.00',
    48: "##0.0E+0",
    49: "@",
    **dict.fromkeys((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)), "yyyy-mm-dd"),
}
MAX_EXACT = 10**15  # a spreadsheet keeps fifteen digits
SHOWN_DIGITS = 11  # of a number in the format General
_ASIDE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)
_LITERAL = re.compile(r'"([^"]*)"|\\(.)')
_PLAIN = re.compile(r"[#0?, ']*(?:\.([#0?]+))?")
_UNITS = ("", "gev", "events")


def is_date(code: str) -> bool:
    """The format shows a date or a time."""
    return code != GENERAL and bool(re.search(r"[ymdhs]", _ASIDE.sub("", code.partition(";")[0]), re.IGNORECASE))


def date_text(value: float) -> str:
    """The date of a cell as a text, ``2031-01-12``."""
    try:
        moment = datetime(1899, 12, 30) + timedelta(days=value)
    except OverflowError:
        return f"{value:g}"
    return f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(" 00:00:00")


def shown_otherwise(value: float, code: str) -> str:
    """Why a person who looks at the cell reads something else than what it holds; "" when not."""
    if abs(value) >= MAX_EXACT:
        return "has more digits than a spreadsheet keeps: its last ones are lost"
    if code in (GENERAL, "@"):
        return _rounded(value, float(f"{value:.{SHOWN_DIGITS - 1}e}"))
    section = code.partition(";")[0]
    literal = "".join(text or char for text, char in _LITERAL.findall(section)).strip().casefold()
    if literal not in _UNITS:
        return f"is shown with {literal!r}, which is a part of its format and not of the cell"
    plain = _PLAIN.fullmatch(_ASIDE.sub("", section))
    if not plain or plain[0].rstrip(" 0").endswith(","):
        return f"is shown in the format {code!r}, not in plain digits"
    return _rounded(value, round(value, len(plain[1] or "")))


def _rounded(value: float, shown: float) -> str:
    return "" if shown == value else f"is shown as {shown:.15g}, but the cell holds {value!r}"
