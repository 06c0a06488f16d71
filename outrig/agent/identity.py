"""Showing who this workload is: as a task of ECS by its role's signature, as any other host by a token from a file,
as a data plane by its token.

In: a join request without proof, and a challenge. Out: the request with its proof. The token's file is read anew for
every join, so whatever keeps it fresh (a projected token, a timer) need not tell the agent.
Source for tokens: RFC 7519; the control plane trusts the issuers it is configured with.
"""

import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from outrig.agent.configuration import Endpoint
from outrig.agent.control_plane import explain, utc_now
from outrig.agent.problems import TokenUnreadable
from outrig.agent.setup import AUTO, DataplaneToken, Host, Setup, TaskAddress
from outrig.agent.signing import prove
from outrig.agent.task import Task, describe_task, fetch_credentials
from outrig.wire.join import Challenge, EcsTask, HostAddress, JoinRequest, JwtProof, TokenProof

_MOST = 16 * 1024  # characters of a token


class Identity(Protocol):
    """Who this workload is. Both raise OutrigError."""

    async def describe(self) -> Task:
        """What is known of the workload now."""
        ...

    async def prove(self, request: JoinRequest, challenge: Challenge, *, task: Task, now: datetime) -> JoinRequest:
        """The request with a proof for that challenge. `now`: UTC."""
        ...


def identity_of(setup: Setup) -> Identity:
    """The identity that the agent was given."""
    if setup.task is not None:
        return TaskIdentity(setup.task)
    if setup.host is not None:
        return HostIdentity(setup.host, setup.seat.endpoint)
    if setup.token is not None:
        return TokenIdentity(setup.token)
    raise AssertionError("a setup has one of them")


def proof_ends(identity: Identity, moment: datetime) -> bool:
    """Whether what ends at that moment ends because the proof does."""
    return isinstance(identity, TokenIdentity) and identity.shown_until == moment.timestamp()


def has_another_proof(identity: Identity) -> bool:
    """Whether it could show another proof than the one that it was let in with."""
    return isinstance(identity, TokenIdentity) and identity.has_another()


class TaskIdentity:
    """A task of ECS: the signature of its role."""

    def __init__(self, address: TaskAddress) -> None:
        self._address = address

    async def describe(self) -> Task:
        """The task, as its metadata has it. Raises TaskEndpointFailed."""
        return await describe_task(self._address)

    async def prove(self, request: JoinRequest, challenge: Challenge, *, task: Task, now: datetime) -> JoinRequest:
        """See `Identity`. Raises TaskEndpointFailed."""
        credentials = await fetch_credentials(self._address)
        proof = prove(credentials, challenge, base64.b64decode(request.csr), region=task.region, now=now)
        return replace(request, aws=proof, ecs=EcsTask(cluster=task.cluster, task_arn=task.arn))


class HostIdentity:
    """Any other host: the token in its file. Its address is that towards the control plane, unless it is told one."""

    def __init__(self, host: Host, endpoint: Endpoint) -> None:
        self._host, self._endpoint = host, endpoint

    async def describe(self) -> Task:
        """The host; only its own address is known. Raises Unreachable."""
        own = await _address_towards(self._endpoint)
        return Task(arn="", cluster="", region="", zone="", addresses=(own,))

    async def prove(self, request: JoinRequest, challenge: Challenge, *, task: Task, now: datetime) -> JoinRequest:  # noqa: ARG002
        """See `Identity`. Raises TokenUnreadable."""
        token = read_token(self._host.token_file)
        addresses = tuple(self._advertised(task.addresses[0], request.connected_over))
        return replace(request, jwt=JwtProof(token, challenge.nonce), addresses=addresses)

    def _advertised(self, own: str, over: str) -> Iterator[HostAddress]:
        """Over the internet others may reach the host by an address that it does not have itself; it has one anyway."""
        address = own if self._host.address == AUTO else self._host.address
        yield HostAddress(address, over)
        if over == "INTERNET" and address != own:
            yield HostAddress(own, "VPC")


class TokenIdentity:
    """A data plane, or a zone proxy: its token, or none where the control plane asks for none.

    Its addresses are in its own text.
    """

    def __init__(self, token: DataplaneToken) -> None:
        self._token = token
        self._shown = ""

    @property
    def shown_until(self) -> float:
        """When the token that was shown last ends, seconds since 1970; 0 if it does not say. Nothing is verified."""
        try:
            part = self._shown.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            return float(claims["exp"])
        except (IndexError, KeyError, TypeError, ValueError):
            return 0.0

    def has_another(self) -> bool:
        """Whether the token's file holds another token by now than the one that was shown last."""
        try:
            return bool(self._token.file) and read_token(self._token.file) != self._shown
        except TokenUnreadable:
            return False

    async def describe(self) -> Task:
        """Nothing is known, and nothing asked for."""
        return Task(arn="", cluster="", region="", zone="", addresses=())

    async def prove(self, request: JoinRequest, challenge: Challenge, *, task: Task, now: datetime) -> JoinRequest:  # noqa: ARG002
        """See `Identity`. Raises TokenUnreadable."""
        self._shown = read_token(self._token.file) if self._token.file else self._token.text
        return replace(request, token=TokenProof(self._shown, challenge.nonce))


def read_token(file: str) -> str:
    """The token in a file. Raises TokenUnreadable."""
    try:
        return check_token(file, Path(file).read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        hint = "OUTRIG_JWT_FILE, or --dataplane-token-file, names a file with a token"
        raise TokenUnreadable(file, f"cannot be read: {error}", hint) from None


def check_token(source: str, text: str) -> str:
    """The text without what surrounds it, if it has the form of a token. Raises TokenUnreadable, not telling it."""
    text = text.strip()
    if not text or len(text) > _MOST or not (text.isascii() and text.isprintable()) or text.count(".") != 2:
        raise TokenUnreadable(source, "does not hold one signed token", "three parts with dots between, nothing else")
    return text


async def _address_towards(endpoint: Endpoint) -> str:
    """This host's address as packets to the control plane have it. A UDP socket is asked; nothing is sent."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as asked:
            asked.connect(where)
            return str(asked.getsockname()[0])
    except OSError as error:
        raise explain(error, endpoint, utc_now()) from None
