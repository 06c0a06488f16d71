"""Durations as Go writes them, which is how Kuma's flags have them: `1m30s`, `500ms`. In: text. Out: seconds."""

import re
from typing import Final

_FORM: Final = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d+)?)s)?(?:(\d{1,9})ms)?", re.ASCII)
_UNITS: Final = (3600.0, 60.0, 1.0, 0.001)


def seconds_of(text: str) -> float | None:
    """The seconds; None if it is no duration. Negative ones and those under a millisecond are none here."""
    found = _FORM.fullmatch("0s" if text == "0" else text)
    if found is None or not any(found.groups()):
        return None
    return sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part)
