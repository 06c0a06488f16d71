"""Durations as people write them: `90s`, `15m`, `1h30m`, `250ms`."""

import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def duration(text: str) -> timedelta:
    """The duration of such a text. Raises ValueError."""
    if not text or _PART.sub("", text):
        raise ValueError(f"not a duration: {text!r}")
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    except OverflowError:
        raise ValueError(f"too long a duration: {text!r}") from None


def in_words(value: timedelta) -> str:
    """The shortest such text of a duration, to the millisecond."""
    rest, parts = round(value.total_seconds() * 1000), []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"
