"""Envoy's admin interface over its unix socket: what the agent reads there, typed, and the orders it gives.

Raises `EnvoyFailed` if Envoy does not answer, or not as expected. Source: Envoy 1.40, "Administration interface".
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from outrig.agent.exchange import Request, ask_unix
from outrig.agent.problems import EnvoyFailed
from outrig.agent.readiness import Listener

INBOUND_CLUSTER = "inbound|"  # clusters that lead to the application: `inbound|PORT||`
READINESS_STATS = r"^(listener_manager\.(workers_started|lds\.update_success)|control_plane\.connected_state)$"
_CALLS = r"^(http\.inbound.*\.downstream_rq|cluster\.inbound\|.*\.upstream_rq)_(active|total)$"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where Envoy forwards to the application. `port` 0: `host` is the path of a unix socket."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


@dataclass(frozen=True, slots=True)
class Calls:
    """What the application is asked: requests, streams and TCP sessions. `total`: since Envoy's start."""

    active: int
    total: int


class Admin:
    """One Envoy's admin interface. `socket`: path."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def statistics(self, pattern: str) -> Mapping[str, int]:
        """Counters and gauges whose names fit a regular expression."""
        return read_statistics(await self._get(f"/stats?format=json&filter={quote(pattern)}"))

    async def listeners(self) -> tuple[Listener, ...]:
        """All listeners the control plane sent, those refused or still warming included."""
        return tuple(read_listeners(await self._get("/config_dump?resource=dynamic_listeners")))

    async def application(self) -> tuple[Upstream, ...]:
        """The application's addresses."""
        filtered = quote("^" + INBOUND_CLUSTER.replace("|", r"\|"))
        return tuple(dict.fromkeys(read_application(await self._get(f"/clusters?format=json&filter={filtered}"))))

    async def calls(self) -> Calls:
        """What comes in for the application."""
        return read_calls(await self.statistics(_CALLS))

    async def drain_inbound(self) -> None:
        """Ask peers to leave: health checks fail, GOAWAY and `connection: close` go out; the ports stay open."""
        await self._ask("POST", "/healthcheck/fail")
        await self._ask("POST", "/drain_listeners?graceful&inboundonly&skip_exit")

    async def close_inbound(self) -> None:
        """Close the ports to new connections; those there are stay."""
        await self._ask("POST", "/drain_listeners?inboundonly")

    async def _get(self, target: str) -> Any:
        body = await self._ask("GET", target)
        try:
            return json.loads(body)
        except ValueError:
            raise EnvoyFailed(f"Envoy {target}", "the answer is not JSON") from None

    async def _ask(self, method: str, target: str) -> bytes:
        request = Request(method, "envoy", target, timeout=5.0, most=64 * 1024 * 1024)
        try:
            answer = await ask_unix(request, self._socket)
        except OSError as error:
            raise EnvoyFailed(f"Envoy {target}", f"no answer: {error or type(error).__name__}") from None
        if answer.status != 200:
            raise EnvoyFailed(f"Envoy {target}", f"status {answer.status}")
        return answer.body


def read_statistics(document: Any) -> Mapping[str, int]:
    """Name → value from `/stats?format=json`; histograms are left out."""
    return {s["name"]: s["value"] for s in document.get("stats", ()) if isinstance(s.get("value"), int)}


def read_calls(statistics: Mapping[str, int]) -> Calls:
    """Requests towards Envoy and from it to the application, together: a sum is zero when both are."""
    active = sum(value for name, value in statistics.items() if name.endswith("_active"))
    return Calls(active, sum(statistics.values()) - active)


def read_listeners(document: Any) -> Iterator[Listener]:
    """Listeners from `/config_dump?resource=dynamic_listeners`."""
    for dynamic in document.get("configs", ()):
        active, warming = dynamic.get("active_state"), dynamic.get("warming_state")
        listener = (active or warming or {}).get("listener", {})
        yield Listener(
            name=dynamic.get("name", ""),
            inbound=listener.get("traffic_direction") == "INBOUND",
            active=active is not None,
            refused=" ".join(dynamic.get("error_state", {}).get("details", "").split())[:500],
        )


def read_application(document: Any) -> Iterator[Upstream]:
    """The hosts of inbound clusters from `/clusters?format=json`."""
    for cluster in document.get("cluster_statuses", ()):
        if not cluster.get("name", "").startswith(INBOUND_CLUSTER):
            continue
        for host in cluster.get("host_statuses", ()):
            address = host.get("address", {})
            if "pipe" in address:
                yield Upstream(address["pipe"]["path"], 0)
            elif "socket_address" in address:
                yield Upstream(address["socket_address"]["address"], address["socket_address"]["port_value"])
