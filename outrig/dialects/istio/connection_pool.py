"""Connection pools: how many connections and requests the application is given. Schema, findings, and what they mean.

As in Istio 0 means no bound, and what one pool leaves out is not filled in from a wider one. Refuses durations below
a millisecond or not of whole milliseconds.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from outrig.dialects.durations import duration_of
from outrig.dialects.findings import INVALID, MISSING, NOT_HONOURED, Place
from outrig.dialects.schema import Count, Form
from outrig.errors import Finding
from outrig.model import ConnectionPool, Keepalive

_SHORTEST: Final = timedelta(milliseconds=1)
_SECOND: Final = timedelta(seconds=1)
_LONGEST_SILENCE: Final = timedelta(
    seconds=32767
)  # Linux, tcp(7): TCP_KEEPIDLE and TCP_KEEPINTVL; connections fail beyond
_MOST_PROBES: Final = 127  # TCP_KEEPCNT
_SPELLING: Final = "whole milliseconds, for example 250ms, 10s or 1h30m"
Duration = Annotated[str, Field(max_length=64)]


class TcpKeepalive(Form):
    """How dead connections are found."""

    probes: Annotated[int, Field(ge=0, le=_MOST_PROBES)] = Field(default=0, description="Probes without an answer.")
    time: Duration = Field(default="", description="Silence before the first probe; whole seconds count.")
    interval: Duration = Field(default="", description="Time between probes; whole seconds count.")


class TcpPool(Form):
    """Bounds on connections."""

    max_connections: Count = Field(default=0, description="Connections at once; 0: any number.")
    connect_timeout: Duration = Field(default="", description="Time to connect; 5s unless set.")
    tcp_keepalive: TcpKeepalive | None = Field(default=None, description="How dead connections are found.")
    idle_timeout: Duration = Field(default="", description="Silence after which bytes end; 1h unless set, 0s: never.")
    max_connection_duration: Duration = Field(default="", description="Life of a connection; unbounded unless set.")


class HttpPool(Form):
    """Bounds on requests."""

    http1_max_pending_requests: Count = Field(default=0, description="Requests waiting for a connection; 0: any.")
    http2_max_requests: Count = Field(default=0, description="Requests under way at once; 0: any number.")
    max_requests_per_connection: Count = Field(default=0, description="Requests in the life of a connection; 0: any.")
    max_retries: Count = Field(default=0, description="Retries at once; 0: 1000.")
    idle_timeout: Duration = Field(default="", description="Life of an idle connection; 1s unless set.")
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] = Field(
        default="DEFAULT", description="Has no effect here: the port's protocol decides."
    )
    use_client_protocol: bool = Field(default=False, description="Has no effect: between proxies it is always HTTP/2.")
    max_concurrent_streams: Count = Field(default=0, description="Requests at once on one HTTP/2 connection; 0: any.")


class PoolForm(Form):
    """Bounds on what an application is given."""

    tcp: TcpPool | None = Field(default=None, description="Bounds on connections.")
    http: HttpPool | None = Field(default=None, description="Bounds on requests.")


def pool_of(form: PoolForm) -> ConnectionPool:
    """The bounds that a pool without findings of severity error sets."""
    tcp, http = form.tcp or TcpPool(), form.http or HttpPool()
    return ConnectionPool(
        connections=tcp.max_connections or None,
        pending=http.http1_max_pending_requests or None,
        requests=http.http2_max_requests or None,
        retries=http.max_retries or None,
        requests_per_connection=http.max_requests_per_connection or None,
        streams=http.max_concurrent_streams or None,
        connect_timeout=duration_of(tcp.connect_timeout),
        idle=duration_of(tcp.idle_timeout),
        idle_http=duration_of(http.idle_timeout),
        lifetime=duration_of(tcp.max_connection_duration),
        keepalive=_keepalive(tcp.tcp_keepalive) if tcp.tcp_keepalive else None,
    )


def _keepalive(form: TcpKeepalive) -> Keepalive:
    return Keepalive(_seconds(form.time), _seconds(form.interval), form.probes or None)


def _seconds(text: str) -> int | None:
    value = duration_of(text)
    return value // _SECOND if value is not None else None


def inbound_pool_findings(place: Place, form: PoolForm) -> Iterator[Finding]:
    """What is wrong or without effect in a pool towards the own application."""
    if form.tcp is None and form.http is None:
        yield place.error(MISSING, "a connection pool without bounds", "write tcp, http or both")
    if form.tcp:
        yield from _tcp(place / "tcp", form.tcp)
    if form.http:
        yield from _http(place / "http", form.http)


def _tcp(place: Place, form: TcpPool) -> Iterator[Finding]:
    yield from _duration(place / "connectTimeout", form.connect_timeout)
    yield from _duration(place / "idleTimeout", form.idle_timeout, least=timedelta())
    yield from _duration(place / "maxConnectionDuration", form.max_connection_duration)
    if form.tcp_keepalive:
        here = place / "tcpKeepalive"
        for field, text in (("time", form.tcp_keepalive.time), ("interval", form.tcp_keepalive.interval)):
            yield from _duration(here / field, text, least=_SECOND)
            if (duration_of(text) or _SECOND) > _LONGEST_SILENCE:
                yield (here / field).error(INVALID, f"{text!r} is too long", "at most 32767s, as Linux allows no more")


def _http(place: Place, form: HttpPool) -> Iterator[Finding]:
    upgrade = form.h2_upgrade_policy == "UPGRADE"
    yield from _duration(place / "idleTimeout", form.idle_timeout)
    if upgrade and form.use_client_protocol:
        yield (place / "useClientProtocol").error(INVALID, "cannot be true when h2UpgradePolicy is UPGRADE")
    elif upgrade:
        problem = "has no effect towards the own application"
        yield (place / "h2UpgradePolicy").warning(NOT_HONOURED, problem, "give the port protocol HTTP2")
    elif form.use_client_protocol:
        problem = "has no effect: callers' proxies always speak HTTP/2, whatever their applications speak"
        yield (place / "useClientProtocol").warning(NOT_HONOURED, problem)


def _duration(place: Place, text: str, *, least: timedelta = _SHORTEST) -> Iterator[Finding]:
    value = duration_of(text)
    if text and value is None:
        yield place.error(INVALID, f"{text!r} is no duration", _SPELLING)
    elif value is not None and value < least:
        yield place.error(INVALID, f"{text!r} is too short", f"at least {'1s' if least == _SECOND else '1ms'}")
