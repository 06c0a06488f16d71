"""The forms that texts of settings have, and what they are read as.

In: a text. Out: the value, or ValueError. `FORMS` gives for the name of each form its reader, and in words what is
expected.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from outrig.admission.settings import AWS_IAM, DP_TOKEN, NONE, ZONE_TOKEN
from outrig.ca.settings import SHORTEST
from outrig.kit.durations import duration
from outrig.store.settings import FEWEST_CONNECTIONS, TlsMode

OFF: Final = -1  # a port that is not opened
LONGEST: Final = timedelta(days=3653)  # of a duration: beyond some size they cannot be added to a date
LEVELS: Final = ("debug", "info", "warning", "error")
SQLITE: Final = "sqlite"
POSTGRES: Final = "postgres"


class Hidden(str):
    """A text that is not to be shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


def _matching(pattern: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(text)
        return text

    return read


def _list_of(read: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return str(text)

    return read


def _some_of(*words: str) -> Callable[[str], tuple[str, ...]]:
    one = _list_of(_one_of(*words))

    def read(text: str) -> tuple[str, ...]:
        if not (found := one(text)):
            raise ValueError(text)
        return found

    return read


def _read_connections(text: str) -> int:
    if (number := int(_matching("[1-9][0-9]{0,5}")(text))) < FEWEST_CONNECTIONS:
        raise ValueError(text)
    return number


def _read_path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text)


def _read_port(text: str) -> int:
    if text in ("off", "false"):  # YAML reads a bare `off` as false
        return OFF
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def _read_open_port(text: str) -> int:
    if text == "off":
        raise ValueError(text)
    return _read_port(text)


def _read_boolean(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _read_duration(text: str) -> timedelta:
    if (value := duration(text)) > LONGEST:
        raise ValueError(text)
    return value


def _read_lifetime(text: str) -> timedelta:
    if (value := _read_duration(text)) < SHORTEST:
        raise ValueError(text)
    return value


def _read_level(text: str) -> str:
    return _one_of(*LEVELS)("error" if text == "off" else text)


def _read_regions(text: str) -> tuple[str, ...]:
    regions = _list_of(str)(text)
    if regions:
        from outrig.attest.regions import known_regions  # AWS's table is large: read only where it is asked for

        known_regions(regions)
    return regions


_HOST = r"[A-Za-z0-9.:_-]+"
_DURATION = "a duration such as `90s`, `15m` or `1h30m`, ten years at most"
FORMS: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    "path": (_read_path, "a path"),
    "file or none": (_matching(r"[^\0]*"), "the path of a file"),
    "level": (_read_level, f"one of {', '.join(LEVELS)}; or off, which is error"),
    "one of stores": (_one_of(SQLITE, POSTGRES), f"`{SQLITE}` or `{POSTGRES}`"),
    "tls mode": (_one_of(*TlsMode), f"one of {', '.join(TlsMode)}"),
    "data plane proofs": (_some_of(AWS_IAM, DP_TOKEN, NONE), f"a list of {AWS_IAM}, {DP_TOKEN}; or {NONE}"),
    "zone proxy proofs": (_some_of(AWS_IAM, ZONE_TOKEN, NONE), f"a list of {AWS_IAM}, {ZONE_TOKEN}; or {NONE}"),
    "secret": (Hidden, "a text"),
    "word": (_matching(r"[!-~]+"), "a word"),
    "connections": (_read_connections, f"a whole number, {FEWEST_CONNECTIONS} or more"),
    "port": (_read_port, "a port: 0 (any free one) to 65535, or `off`"),
    "open port": (_read_open_port, "a port: 0 (any free one) to 65535"),
    "count": (lambda text: int(_matching("[1-9][0-9]{0,8}")(text)), "a whole number, 1 or more"),
    "boolean": (_read_boolean, "`true` or `false`"),
    "duration": (_read_duration, _DURATION),
    "lifetime": (_read_lifetime, f"{_DURATION} and a minute at least"),
    "host": (_matching(_HOST), "a host's name or address"),
    "host or none": (_matching(f"({_HOST})?"), "a host's name or address"),
    "hosts": (_list_of(_matching(_HOST)), "a list of hosts' names and addresses, separated by commas"),
    "accounts": (_list_of(_matching(r"[0-9]{12}")), "a list of AWS account ids (12 digits), separated by commas"),
    "regions": (_read_regions, "a list of AWS regions, separated by commas"),
    "url": (_matching(r"(https?://[^\s/]+/?)?"), "an `http://` or `https://` URL without a path"),
    "domain": (
        _matching(r"[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?"),
        "a trust domain: lower-case letters, digits, dots and dashes",
    ),
}
