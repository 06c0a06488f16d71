"""Ages as kubectl shows them: coarser as they grow, so that each is read at a glance."""

from datetime import datetime, timedelta

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400

# (below this many seconds, unit, its letter, smaller unit or 0, its letter). As k8s.io/apimachinery util/duration does.
STEPS = (
    (2 * MINUTE, 1, "s", 0, ""),
    (10 * MINUTE, MINUTE, "m", 1, "s"),
    (3 * HOUR, MINUTE, "m", 0, ""),
    (8 * HOUR, HOUR, "h", MINUTE, "m"),
    (2 * DAY, HOUR, "h", 0, ""),
    (8 * DAY, DAY, "d", HOUR, "h"),
    (2 * YEAR, DAY, "d", 0, ""),
    (8 * YEAR, YEAR, "y", DAY, "d"),
)


def human_duration(age: timedelta) -> str:
    """`45s`, `5m30s`, `3h20m`, `2d3h`; a little in the future is `0s` (clocks differ), more is `<invalid>`."""
    seconds = int(age.total_seconds())
    if seconds < -1:
        return "<invalid>"
    for bound, unit, letter, smaller, small_letter in STEPS:
        if seconds < bound:
            rest = max(seconds, 0) % unit // smaller if smaller else 0
            return f"{max(seconds, 0) // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{seconds // YEAR}y"


def age_of(moment: str, now: datetime) -> str:
    """The age of an RFC 3339 time; `<unknown>` for what is none."""
    try:
        since = datetime.fromisoformat(moment)
    except ValueError:
        return "<unknown>"
    return human_duration(now - since) if since.tzinfo else "<unknown>"
