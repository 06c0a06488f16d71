"""Durations as Kuma spells them: one number and one unit, from `10y` to `250ms`. Text in, a duration out, or None."""

import re
from datetime import timedelta
from types import MappingProxyType
from typing import Final

_DURATION: Final = re.compile(r"([0-9]{1,12})(ms|s|m|h|d|w|y)", re.ASCII)
_UNITS: Final = MappingProxyType(
    {
        "ms": timedelta(milliseconds=1),
        "s": timedelta(seconds=1),
        "m": timedelta(minutes=1),
        "h": timedelta(hours=1),
        "d": timedelta(days=1),
        "w": timedelta(weeks=1),
        "y": timedelta(days=365),
    }
)


def duration_of(text: str) -> timedelta | None:
    """The duration that the text spells, if it does, and if it is at most a century."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    number, unit = int(found[1]), _UNITS[found[2]]
    return number * unit if number <= timedelta(days=36500) / unit else None
