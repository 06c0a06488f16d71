"""The control plane wired: store, authorities, hub, xDS, agents' API, kubectl's API, diagnostics.

In: settings. Out: a running control plane, until SIGTERM or SIGINT. What serves is stopped before what it serves from.
"""

import asyncio
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.applications import Starlette

from outrig.admission.admission import Admission
from outrig.api.agents.join import join_routes
from outrig.api.agents.stream import AgentStream
from outrig.api.kube.app import kube_app
from outrig.api.kube.callers import Authenticate
from outrig.api.operator.why import why_route
from outrig.attest.attestor import open_attestor
from outrig.attest.endings import open_endings
from outrig.attest.tokens import TokenAttestor
from outrig.ca.authorities import Authorities, open_authorities
from outrig.control.bans import Bans
from outrig.control.doubts import Doubts
from outrig.control.following import follow
from outrig.control.hub import Hub
from outrig.control.reaper import Graces, Reaper
from outrig.control.registry import Place, Registry
from outrig.control.sessions import Sessions
from outrig.control.status import utc_now
from outrig.control.verdicts import Verdicts
from outrig.control.witness import Witness
from outrig.control.world import World
from outrig.kit.tasks import Loop, running
from outrig.model import Trust
from outrig.resources import Key
from outrig.server.callers import authenticator
from outrig.server.certificates import ServerCertificate
from outrig.server.diagnostics import Gauges, Readiness, diagnostics_app
from outrig.server.files import DataDir, api_url, server_hosts
from outrig.server.first_start import write_defaults
from outrig.server.issuers import read_issuers
from outrig.server.kinds import FOLLOWED, KINDS
from outrig.server.ports import Apps, open_ports, ports_of
from outrig.server.pruning import prune
from outrig.server.settings import Settings, admission_settings, attest_settings, ca_settings, xds_address
from outrig.store.protocol import Query, Store
from outrig.store.sqlite import open_sqlite
from outrig.xds.server import XdsServer

READY: Final = "control plane ready"


@dataclass(frozen=True, slots=True)
class Plane:
    """The parts that run; what is served is made of them."""

    store: Store
    authorities: Authorities
    certificate: ServerCertificate
    sessions: Sessions
    world: World
    hub: Hub
    xds: XdsServer
    registry: Registry
    tokens: TokenAttestor
    loops: tuple[Loop, ...]


async def run(settings: Settings) -> None:
    """Run until asked to stop. Raises OutrigError where it cannot start."""
    stopping = _stop_requested()
    data = DataDir(settings.data_dir)
    data.prepare()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_sqlite(data.database))
        authorities = await open_authorities(store, ca_settings(settings))
        await write_defaults(store)
        data.write_roots(authorities)
        plane = _plane(settings, store, authorities, ServerCertificate(authorities, data, server_hosts(settings)))
        await stack.enter_async_context(running(*plane.loops))
        await plane.hub.wait_ready()
        ports = {"xds": await plane.xds.wait_listening()}
        ready = Readiness(store, stopping)
        apps = await _apps(settings, plane, data, xds_port=ports["xds"], stack=stack, ready=ready)
        servings = await open_ports(ports_of(settings, apps, data), stack)
        plane.certificate.tell(serving.reload for serving in servings.values())
        ports |= {name: serving.port for name, serving in servings.items()}
        data.write_ports(ports)
        if "apiHttps" in ports:
            data.write_kubeconfig(authorities, server=api_url(settings, ports["apiHttps"]), now=datetime.now(UTC))
        ready.serving = True
        print(READY, *_whereabouts(data, ports), sep="\n", flush=True)
        await stopping.wait()


def _whereabouts(data: DataDir, ports: Mapping[str, int]) -> tuple[str, str]:
    listed = ", ".join(f"{name} {port}" for name, port in ports.items())
    return f"  kubeconfig {data.kubeconfig}", f"  ports {listed}"


def _plane(settings: Settings, store: Store, authorities: Authorities, certificate: ServerCertificate) -> Plane:
    sessions, verdicts = Sessions(store, authorities), Verdicts(store)
    reaper = Reaper(store, _graces(settings), tasks=open_endings(attest_settings(settings)))
    world = _world(authorities)
    bursts, doubts = follow(store, Query(kinds=FOLLOWED)), Doubts(world, verdicts.note_findings)
    hub = Hub(world, bursts, on_verdict=verdicts.note, on_presence=verdicts.note_presence, on_dirty=doubts.look)
    address = xds_address(settings)
    xds = XdsServer(hub, certificate.credentials, identify=sessions.identify, address=address)
    registry = Registry(store, hub, reaper=reaper, place=_place(settings), end_proxy=xds.end)
    tokens = TokenAttestor(read_issuers(settings.jwt_issuers))
    loops = (hub.run(), verdicts.run(), reaper.run(), registry.run(), prune(store), xds.run(), certificate.run())
    joining = (tokens.run(utc_now), Bans(store, registry).run())
    return Plane(store, authorities, certificate, sessions, world, hub, xds, registry, tokens, (*loops, *joining))


async def _apps(
    settings: Settings, plane: Plane, data: DataDir, *, xds_port: int, stack: AsyncExitStack, ready: Readiness
) -> Apps:
    attestor = open_attestor(attest_settings(settings))
    stack.push_async_callback(attestor.close)
    known = admission_settings(settings, xds_port=xds_port)
    admission = Admission(
        known, store=plane.store, attestor=attestor, tokens=plane.tokens, authorities=plane.authorities
    )
    agents = [*join_routes(admission), AgentStream(plane.registry, plane.sessions.identify).route()]
    return Apps(
        agents=Starlette(routes=agents),
        api=_api(plane, authenticator(settings, data)),
        diagnostics=diagnostics_app(is_ready=ready, gauges=_gauges(plane)),
    )


def _api(plane: Plane, authenticate: Authenticate) -> Starlette:
    """What operators ask first: the rest of all paths is kubectl's."""
    why = why_route(Witness(plane.store, plane.world, plane.hub.nacks), authenticate)
    return Starlette(routes=[why, *kube_app(plane.store, KINDS, authenticate).routes])


def _gauges(plane: Plane) -> Gauges:
    return {
        "outrig_agents_connected": ("Agents whose stream is open.", lambda: float(plane.registry.connected)),
        "outrig_xds_streams": ("Open xDS streams.", lambda: float(plane.xds.statistics().streams)),
        "outrig_xds_responses": (
            "xDS responses sent since the start.",
            lambda: float(plane.xds.statistics().responses),
        ),
        "outrig_store_revision": ("The state that proxies are given.", lambda: float(plane.hub.stamp)),
    }


def _world(authorities: Authorities) -> World:
    world = World(KINDS)
    for mesh, domain in authorities.trust_domains.items():
        origin = Key("outrig.internal", "Authority", "", "", f"mesh/{mesh}")
        authority = authorities.mesh(mesh)
        world.trust(Trust(origin, mesh, domain, (authority.pem,) if authority else ()))
    return world


def _graces(settings: Settings) -> Graces:
    return Graces(
        disconnected=settings.disconnect_grace.total_seconds(), removed=settings.absence_grace.total_seconds()
    )


def _place(settings: Settings) -> Place:
    return Place(instance=socket.gethostname(), drain_bound=settings.drain_bound.total_seconds())


def _stop_requested() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping
