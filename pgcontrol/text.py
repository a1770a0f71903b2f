"""Numbers, counts and settings as text."""

import json
import math
import re
from typing import Any

# C0 without tab and newline, C1, lone surrogates, which no stream can write, and direction overrides, which can
# disguise a name (CVE-2021-42574)
CONTROLS = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")


def short(number: float) -> str:
    """Thousands with separators, smaller numbers with three digits."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def probability(p: float) -> str:
    """Two decimals: few runs do not settle more."""
    return f"{round(p, 2):g}"


def p_value(p: float) -> str:
    """Three digits, but "< 0.001" for anything smaller."""
    return "< 0.001" if p < 0.001 else short(p)


def difference(ahead: float, score: float) -> str:
    """A difference with the last digit that `short` shows of the scores."""
    return _to_digit(ahead, score, 3)


def with_error(number: float, half: float) -> str:
    """46 ± 3.1: two digits of the error, and the number to the same digit."""
    return f"{_to_digit(number, half, 2)} ± {_to_digit(half, half, 2)}"


def _to_digit(number: float, of: float, digits: int) -> str:
    """A number to the last digit that another has if it is written with so many, but never to tens or more."""
    if not of or not math.isfinite(of):
        return short(number)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(of))))
    return f"{round(number, decimals) + 0.0:,.{decimals}f}"  # 0.0 makes -0 a 0


def count(n: int, thing: str) -> str:
    """1 run, 2 runs."""
    return f"{n} {thing}{'s' * (n != 1)}"


def lasting(seconds: float) -> str:
    """40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def one_line(thing: object, most: int = 120) -> str:
    """Any text, such as an error message, in one line of at most `most` characters."""
    return " ".join(str(thing).split())[:most]


def typed(value: Any) -> str:
    """A value as typed on the command line."""
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def visible(words: object) -> str:
    """Text for a terminal: control characters and direction overrides as `\\x1b`."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(words))
