"""What is asked: from where, to where. Text into frozen data; refuses (OUT901) what cannot be a call.

Targets are `http://HOST[:PORT][/PATH]`, `https://…`, `tcp://HOST:PORT`, or `HOST:PORT` alone, where the listener
decides whether it takes requests or bytes.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit

from outrig.errors import OutrigError
from outrig.model import SOCKET, Address, Workload
from outrig.view.binds import spoken

LONGEST: Final = 2048  # characters of a target; what is longer is no call that somebody typed


class BadQuestion(OutrigError):
    """The question names no call, or no workload that could make it."""

    code = "OUT901"


class Scheme(StrEnum):
    """What the application speaks when it calls. ANY: it was not said."""

    HTTP = "http"
    HTTPS = "https"
    TCP = "tcp"
    ANY = ""


_PORTS: Final = {Scheme.HTTP: 80, Scheme.HTTPS: 443}
_FORMS: Final = "write http://HOST:PORT/PATH, tcp://HOST:PORT or HOST:PORT"


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its application makes it. `host` is in lower case, an IPv6 address without brackets."""

    scheme: Scheme
    host: str
    port: int
    path: str = ""

    @property
    def address(self) -> Address | None:
        """Where it connects to, if its host is an IP address."""
        return Address(self.host, self.port) if is_ip(self.host) else None

    def __str__(self) -> str:
        scheme = f"{self.scheme}://" if self.scheme else ""
        return f"{scheme}{spoken(Address(self.host, self.port))}{self.path}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was typed. `namespace`: where to look for a source without one; empty: everywhere."""

    source: str
    target: str
    via: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """`via`: the address that the application really connects to; None: that of the listener that is found.

    `among`: how many workloads the source names, of which this is one.
    """

    source: Workload
    call: Call
    via: Address | None = None
    among: int = 1


def parse_call(text: str) -> Call:
    """The call that a target names. Raises BadQuestion."""
    place = f"target {text[:80]!r}"
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > LONGEST:
        raise BadQuestion(place, "is no URL and no host:port", _FORMS)
    has_scheme = "://" in text
    parts = _split(text if has_scheme else f"//{text}", place)
    scheme = _scheme(parts.scheme, place) if has_scheme else Scheme.ANY
    host, port = parts.hostname or "", parts.port or _PORTS.get(scheme, 0)
    if not host or parts.username is not None:
        raise BadQuestion(place, "names no host" if not host else "has a user name, which no route looks at", _FORMS)
    if not port:
        raise BadQuestion(place, "has no port", _FORMS)
    query = f"?{parts.query}" if parts.query else ""
    return Call(scheme, _host(host, place), port, f"{parts.path}{query}")


def parse_via(text: str) -> Address | None:
    """The address, or unix socket (port 0), that the application really connects to; None for no text.

    Raises BadQuestion.
    """
    if not text:
        return None
    place = f"--via {text[:80]!r}"
    if text.startswith(SOCKET) and len(text) > len(SOCKET):
        return Address(text, 0)
    parts = _split(f"//{text}", place)
    if not parts.hostname or not parts.port or parts.path or not is_ip(parts.hostname):
        raise BadQuestion(place, "is no address and port", "write it like 127.0.0.2:9080 or unix:///path")
    return Address(str(ipaddress.ip_address(parts.hostname)), parts.port)


def is_ip(host: str) -> bool:
    """Whether it is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def in_brackets(host: str) -> str:
    """A host as it stands before a colon."""
    return f"[{host}]" if ":" in host else host


def _split(text: str, place: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # read here for its ValueError
    except ValueError as error:
        raise BadQuestion(place, f"cannot be read: {error}", _FORMS) from None
    return parts


def _scheme(text: str, place: str) -> Scheme:
    try:
        return Scheme(text.lower() or "none")
    except ValueError:
        raise BadQuestion(place, f"{text!r} is not a scheme that can be explained", _FORMS) from None


def _host(host: str, place: str) -> str:
    if is_ip(host):
        return str(ipaddress.ip_address(host))
    if not all(char.isalnum() or char in "-._" for char in host):
        raise BadQuestion(place, f"{host!r} is not a host", _FORMS)
    return host.lower()
