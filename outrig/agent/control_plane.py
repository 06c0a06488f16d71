"""Asking the control plane: three requests over TLS, verified against the given roots and nothing else.

Raises `Unreachable`, `Untrusted`, `BadAnswer` or `JoinRefused`, each with a line that says what to look at.
"""

import os
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from outrig.agent.configuration import Endpoint
from outrig.agent.exchange import Answer, Request, ask_tls
from outrig.agent.problems import BadAnswer, JoinRefused, Unreachable, Untrusted
from outrig.errors import OutrigError
from outrig.wire.codec import WireError, decode, encode
from outrig.wire.join import Challenge, Discovery, JoinRequest, JoinResponse, Refusal

VERSION = 1
OTHER_PORT = "is it the control plane's port for agents, 5678 or 15443?"
SKEW_WORTH_SAYING = 60.0  # seconds
_MOST = 512 * 1024  # bytes of an answer
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64  # OpenSSL's X509_V_ERR codes
D = TypeVar("D")
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


class ControlPlane:
    """The control plane at an endpoint. `roots`: PEM of the only authorities that may vouch for it."""

    def __init__(self, endpoint: Endpoint, roots: str, clock: Clock = utc_now) -> None:
        self.endpoint = endpoint
        self._roots, self._clock = roots, clock

    def tls(self) -> ssl.SSLContext:
        """A fresh client context; a caller may load a client certificate into it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if not self.endpoint.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate given as root is a root
        context.load_verify_locations(cadata=self._roots)
        return context

    @property
    def name(self) -> str:
        """The name its certificate must carry."""
        return self.endpoint.sni or self.endpoint.host

    async def discover(self) -> Discovery:
        """What it serves. Raises BadAnswer if it does not speak our version."""
        found = self._read(Discovery, await self._ask("GET", "/v1/discovery"))
        if VERSION not in found.versions:
            spoken = ", ".join(map(str, found.versions))
            hint = "run an agent and a control plane of releases next to each other"
            raise BadAnswer(str(self.endpoint), f"speaks protocol {spoken}, this agent speaks {VERSION}", hint)
        return found

    async def challenge(self) -> Challenge:
        """A nonce for one join."""
        return self._read(Challenge, await self._ask("POST", "/v1/challenge"))

    async def join(self, request: JoinRequest) -> JoinResponse:
        """Join, or renew. Raises JoinRefused with the control plane's reason."""
        return self._read(JoinResponse, await self._ask("POST", "/v1/join", encode(request).encode()))

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        request = Request(method, str(self.endpoint), path, body=body, timeout=20.0, most=_MOST)
        try:
            return await ask_tls(request, self.endpoint.host, self.endpoint.port, tls=self.tls(), name=self.name)
        except OSError as error:
            raise explain(error, self.endpoint, self._clock()) from None

    def _read(self, kind: type[D], answer: Answer) -> D:
        if answer.status != 200:
            raise self._refused(answer)
        try:
            return decode(kind, answer.body)
        except WireError as error:
            raise BadAnswer(str(self.endpoint), f"the {kind.__name__} is not as agreed: {error}") from None

    def _refused(self, answer: Answer) -> OutrigError:
        try:
            refusal = decode(Refusal, answer.body)
        except WireError:
            return BadAnswer(str(self.endpoint), f"answered with status {answer.status}", OTHER_PORT)
        said = one_line(f"{refusal.reason} [{refusal.code}, reference {refusal.reference}]")
        hints = (one_line(refusal.hint), skew(answer.headers.get("date", ""), self._clock()))
        return JoinRefused(
            f"refused by {self.endpoint}", said, "; ".join(filter(None, hints)), retry_after=max(0, refusal.retry_after)
        )


def skew(date: str, now: datetime) -> str:
    """How far this clock is from the control plane's `Date`, where it is far enough to matter; else empty."""
    try:
        ahead = (now - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError):
        return ""
    if abs(ahead) < SKEW_WORTH_SAYING:
        return ""
    return f"this task's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the control plane's"


def explain(error: OSError, endpoint: Endpoint, now: datetime) -> OutrigError:
    """What a failed connection means to a user."""
    place = str(endpoint)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Untrusted(place, f"its certificate is not accepted: {error.verify_message}", _distrust(error, now))
    if isinstance(error, ssl.SSLError):
        problem = f"no TLS 1.3 connection: {(error.reason or str(error)).lower().replace('_', ' ')}"
        return Untrusted(place, problem, OTHER_PORT)
    if isinstance(error, socket.gaierror):
        hint = "check onboardingEndpoint.host or --cp-address, and that the VPC resolves it"
        return Unreachable(place, f"the name does not resolve: {error.strerror}", hint)
    if isinstance(error, TimeoutError):
        return Unreachable(place, "no answer in time", "check the security groups and the route to it")
    if isinstance(error, ConnectionResetError):
        return Unreachable(place, "the connection was cut", "does the control plane listen there, or something else?")
    reason = os.strerror(error.errno) if error.errno else one_line(str(error)) or type(error).__name__
    return Unreachable(place, f"no connection: {reason.lower()}", "is the control plane running there?")


def one_line(text: str) -> str:
    """A text from elsewhere, made fit for one line of a log: no control characters, 1,000 characters at most."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:1000]


def _distrust(error: ssl.SSLCertVerificationError, now: datetime) -> str:
    match error.verify_code:
        case c if c in (_NOT_YET_VALID, _EXPIRED):
            return f"this task's clock says {now:%Y-%m-%d %H:%M} UTC; if that is wrong, so is this"
        case c if c in (_OTHER_NAME, _OTHER_ADDRESS):
            return "set transportSecurity.tls.sni to a name the certificate carries, or correct the host"
        case _:
            return "does ONBOARDING_AGENT_ROOT_CERTS, or KUMA_CONTROL_PLANE_CA_CERT, hold the CA of this control plane?"
