"""The agent's one long-lived stream: WebSocket `/v1/stream`, subprotocol `outrig.v1`, mutual TLS by control identity.

Each text frame is one message, `{"type": NAME, …fields}`. The agent speaks first, with `Hello`; the control plane
answers `Welcome`. The stream being open is what makes a workload's agent connected; nobody polls.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from outrig.wire.codec import WireError, build, encode, parse

PATH = "/v1/stream"
SUBPROTOCOL = "outrig.v1"


class State(StrEnum):
    """How the workload is, as its agent sees it."""

    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Hello:
    """Agent: who I am. `uid`: of the registration; must be that of the client certificate."""

    uid: str
    agent_version: str


@dataclass(frozen=True, slots=True)
class Report:
    """Agent: my state is now this. Sent after Hello and at every change. `reason`: one line, for people.

    `unready_ports`: the inbounds of a Dataplane whose probes fail (`JoinResponse.probes`), by port, in ascending order.
    """

    state: str
    reason: str = ""
    unready_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Welcome:
    """Server: you are connected to this instance."""

    connected_to: str


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Server: your registration, or its WorkloadEntry, is gone, or is not what your certificates say; join again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Renew:
    """Server: renew your certificates now, since what they are issued from has changed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ban:
    """Server: you are shut out; stop serving and do not come back with this identity."""

    reason: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Server, after a Report of draining: no peer has you among its endpoints any more (or the bound has passed)."""

    complete: bool


@dataclass(frozen=True, slots=True)
class Bye:
    """Server: I am going; reconnect after that many seconds."""

    reason: str
    retry_after: int = 0


Message = Hello | Report | Welcome | Rejoin | Renew | Ban | Withdrawn | Bye
_KINDS: dict[str, type[Message]] = {
    "hello": Hello,
    "report": Report,
    "welcome": Welcome,
    "rejoin": Rejoin,
    "renew": Renew,
    "ban": Ban,
    "withdrawn": Withdrawn,
    "bye": Bye,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def write(message: Message) -> str:
    """The frame of a message."""
    return json.dumps({"type": _NAMES[type(message)], **json.loads(encode(message))}, separators=(",", ":"))


def read(frame: str | bytes) -> Message:
    """The message of a frame. Raises WireError on anything that is not exactly one of ours."""
    value: Any = parse(frame)
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise WireError("a message has a type")
    if value["type"] not in _KINDS:
        raise WireError("unknown message type")
    return build(_KINDS[value.pop("type")], value)
