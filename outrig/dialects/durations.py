"""Durations as Go and Istio spell them: `90s`, `1h30m`, `1.5s`, `250ms`. Text in, an exact duration out, or None.

Source: Go's time.ParseDuration. Signs are left out, as no field takes less than nothing.
"""

import re
from datetime import timedelta
from fractions import Fraction
from typing import Final

_NANOSECONDS: Final = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART: Final = re.compile(r"(\d{1,19}(?:\.\d{0,19})?|\.\d{1,19})(ns|us|µs|ms|s|m|h)", re.ASCII)
_LONGEST: Final = 2**63 - 1  # nanoseconds, which Go counts in 64 bits
_MILLISECOND: Final = 10**6


def duration_of(text: str) -> timedelta | None:
    """The duration that the text spells, if it is one of whole milliseconds."""
    if text == "0":
        return timedelta()
    if not text or _PART.sub("", text):
        return None
    total = sum(Fraction(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text))
    if total > _LONGEST or total % _MILLISECOND:
        return None
    return timedelta(milliseconds=int(total / _MILLISECOND))
