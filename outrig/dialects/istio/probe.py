"""The readiness probe of a WorkloadGroup: its schema, and what the schema cannot say. Agents run it."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from outrig.dialects import syntax
from outrig.dialects.findings import INVALID, MISSING, Place
from outrig.dialects.schema import QUOTED, Count, Form, Port, checked, empty_or
from outrig.errors import Finding


def _is_host(text: str) -> bool:
    return syntax.is_ip(text) or syntax.is_dns_subdomain(text.lower())


HeaderName = Annotated[str, checked(syntax.is_header_name, "a header name of letters, digits, '-' and '_'")]
HeaderValue = Annotated[str, QUOTED, checked(str.isprintable, "a header value: one line of printable characters")]
Host = Annotated[str, empty_or(_is_host, "a host name or an IP address")]


class HttpHeader(Form):
    """A header that the probe sends."""

    name: HeaderName = Field(description="Name of the header.")
    value: HeaderValue = Field(default="", description="Its value.")


class HttpProbe(Form):
    """Healthy: a status from 200 to 399."""

    path: str = Field(default="/", description="Path to ask for.")
    port: Port = Field(description="Port to ask on.")
    host: Host = Field(default="", description="Host to ask; empty means 127.0.0.1, where the application listens.")
    scheme: Literal["", "HTTP", "HTTPS"] = Field(default="", description="HTTP, or HTTPS without verification.")
    http_headers: list[HttpHeader] = Field(default=[], description="Headers to send.")


class TcpProbe(Form):
    """Healthy: the connection opens."""

    host: Host = Field(default="", description="Host to connect to; empty means 127.0.0.1.")
    port: Port = Field(description="Port to connect to.")


class ExecProbe(Form):
    """Healthy: the command exits with status 0. It runs in the agent's container."""

    command: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1, description="The command and arguments.")


class GrpcProbe(Form):
    """Healthy: the gRPC health service answers SERVING."""

    port: Port = Field(description="Port of 127.0.0.1 to ask on, without TLS.")
    service: str = Field(default="", description="Service to ask for.")


class Probe(Form):
    """How to find out whether the application is ready: exactly one method."""

    initial_delay_seconds: Count = Field(default=0, description="Seconds before the first try.")
    timeout_seconds: Count = Field(default=0, description="Seconds for one try; 0 means 1.")
    period_seconds: Count = Field(default=0, description="Seconds between tries; 0 means 10.")
    success_threshold: Count = Field(default=0, description="Good tries in a row to become ready; 0 means 1.")
    failure_threshold: Count = Field(default=0, description="Bad tries in a row to become unready; 0 means 1.")
    http_get: HttpProbe | None = Field(default=None, description="Ask by HTTP.")
    tcp_socket: TcpProbe | None = Field(default=None, description="Open a connection.")
    exec: ExecProbe | None = Field(default=None, description="Run a command.")
    grpc: GrpcProbe | None = Field(default=None, description="Ask the gRPC health service.")


def probe_findings(place: Place, probe: Probe) -> Iterator[Finding]:
    """Errors for a probe that has no method, or several."""
    methods = {"httpGet": probe.http_get, "tcpSocket": probe.tcp_socket, "exec": probe.exec, "grpc": probe.grpc}
    given = [name for name, method in methods.items() if method is not None]
    if not given:
        yield place.error(MISSING, "a probe needs a method", "one of httpGet, tcpSocket, exec, grpc")
    elif len(given) > 1:
        yield place.error(INVALID, f"a probe has one method, not {' and '.join(given)}")
