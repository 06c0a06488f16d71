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
from outrig.admission.meshes import Meshes
from outrig.api.access.gate import Gate
from outrig.api.agents.join import join_routes
from outrig.api.agents.stream import AgentStream
from outrig.api.kube.app import kube_app
from outrig.api.kuma.about import Installation
from outrig.api.kuma.app import Parts, kuma_routes
from outrig.api.operator.rehearsal import rehearsal_route
from outrig.api.operator.why import why_route
from outrig.attest.attestor import open_attestor
from outrig.attest.endings import open_endings
from outrig.attest.tokens import TokenAttestor
from outrig.ca.authorities import Authorities, open_authorities
from outrig.control.bans import Bans, NamespaceBans, Revocations
from outrig.control.configurations import Configurations
from outrig.control.doubts import Doubts
from outrig.control.following import follow
from outrig.control.hub import Hub
from outrig.control.insights import Insights
from outrig.control.reaper import Graces, Reaper
from outrig.control.registry import Place, Registry
from outrig.control.replicas import Replicas, present
from outrig.control.sessions import Sessions
from outrig.control.status import utc_now
from outrig.control.verdicts import Verdicts
from outrig.control.whereabouts import Whereabouts
from outrig.control.withdrawals import Withdrawals
from outrig.control.witness import Witness
from outrig.control.world import World
from outrig.kit.tasks import Loop, running
from outrig.server.access import desk_of, forget_revoked, open_gate, record_own
from outrig.server.certificates import ServerCertificate, warn_of_end
from outrig.server.config_page import config_page
from outrig.server.diagnostics import Gauges, Readiness, diagnostics_app
from outrig.server.files import DataDir, api_url, read_given, server_hosts
from outrig.server.first_start import Defaults, write_defaults
from outrig.server.issuers import read_issuers
from outrig.server.kinds import FOLLOWED, KINDS, KUMA_KINDS, TOLD
from outrig.server.logs import configure_logs
from outrig.server.naming import replica_name
from outrig.server.own_credentials import warn_without_credentials
from outrig.server.ports import Apps, open_ports, ports_of
from outrig.server.pruning import prune
from outrig.server.public_keys import token_settings
from outrig.server.reissuing import Reissuing
from outrig.server.settings import (
    Settings,
    admission_settings,
    attest_settings,
    ca_settings,
    postgres_settings,
    xds_address,
)
from outrig.server.trail import open_trail
from outrig.server.warrants import TokenWarrants
from outrig.store.opening import open_store
from outrig.store.protocol import Query, Store
from outrig.tokens.tokens import Tokens
from outrig.xds.server import XdsServer

READY: Final = "control plane ready"


@dataclass(frozen=True, slots=True)
class Plane:
    """The parts that run; what is served is made of them."""

    store: Store
    replicas: Replicas
    authorities: Authorities
    certificate: ServerCertificate
    sessions: Sessions
    world: World
    hub: Hub
    xds: XdsServer
    registry: Registry
    tokens: TokenAttestor
    signed: Tokens
    loops: tuple[Loop, ...]


async def run(settings: Settings) -> None:
    """Run until asked to stop. Raises OutrigError where it cannot start."""
    stopping = _stop_requested()
    data = DataDir(settings.data_dir)
    data.prepare()
    trail = open_trail(settings.audit_log, data)
    configure_logs(trail.write, level=settings.log_level)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, trail.reopen)
    async with AsyncExitStack() as stack:
        database = postgres_settings(settings)
        store = await stack.enter_async_context(open_store(database or data.database))
        authorities = await open_authorities(store, ca_settings(settings))
        signed = Tokens(token_settings(settings))
        await write_defaults(store, _defaults(settings, signed), utc_now())
        data.write_roots(authorities)
        replicas = await stack.enter_async_context(present(store, replica_name(shared=database is not None)))
        certificate = ServerCertificate(authorities, data, server_hosts(settings))
        if given := read_given(settings.tls_cert_file):
            warn_of_end(given, utc_now())
        plane = _plane(settings, replicas, signed, store=store, authorities=authorities, certificate=certificate)
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
            url = api_url(settings, ports["apiHttps"])
            await forget_revoked(store, data)
            data.write_kubeconfig(authorities, server=url, now=datetime.now(UTC), given=given)
            await record_own(store, data, utc_now())
        ready.serving = True
        print(READY, *_whereabouts(data, ports), sep="\n", flush=True)
        await stopping.wait()


def _whereabouts(data: DataDir, ports: Mapping[str, int]) -> tuple[str, str]:
    listed = ", ".join(f"{name} {port}" for name, port in ports.items())
    return f"  kubeconfig {data.kubeconfig}", f"  ports {listed}"


def _defaults(settings: Settings, signed: Tokens) -> Defaults:
    meshes = Meshes(ca_settings(settings))
    return Defaults(meshes, signed, mesh=not settings.skip_mesh_creation, admin_token=settings.admin_user_token)


def _plane(
    settings: Settings,
    replicas: Replicas,
    signed: Tokens,
    *,
    store: Store,
    authorities: Authorities,
    certificate: ServerCertificate,
) -> Plane:
    sessions, verdicts = Sessions(store, authorities), Verdicts(store, name=replicas.name, others=replicas)
    endings = open_endings(attest_settings(settings))
    reaper = Reaper(store, _graces(settings), tasks=endings, others=replicas)
    world = World(TOLD)
    bursts, doubts = follow(store, Query(kinds=FOLLOWED)), Doubts(world, verdicts.note_findings)
    hub = Hub(world, bursts, on_verdict=verdicts.note, on_presence=verdicts.note_presence, on_dirty=doubts.look)
    address = xds_address(settings)
    xds = XdsServer(hub, certificate.credentials, identify=sessions.identify, address=address)
    withdrawals = Withdrawals(hub, replicas)
    place = Place(replicas.name, drain_bound=settings.drain_bound.total_seconds())
    registry = Registry(store, withdrawals, reaper=reaper, place=place, end_proxy=xds.end)
    whereabouts = Whereabouts(replicas, reaper, hub, is_here=registry.has)
    replicas.listen(whereabouts.turned)
    attending = registry.run(whereabouts.heard, withdrawals.heard)
    tokens = TokenAttestor(read_issuers(settings.jwt_issuers))
    reissuing = Reissuing(store, registry, withdrawals, utc_now)
    loops = (hub.run(), verdicts.run(), reaper.run(), attending, withdrawals.run(), replicas.run(), xds.run())
    rest = (
        certificate.run(),
        prune(store, replicas, world=world, hub=hub),
        Insights(store, hub, name=replicas.name).run(),
        tokens.run(utc_now),
        Bans(store, registry, NamespaceBans(), Revocations(TokenWarrants(store, signed)), others=replicas).run(),
        reissuing.run(),
        reissuing.sweep(),
    )
    return Plane(
        store, replicas, authorities, certificate, sessions, world, hub, xds, registry, tokens, signed, (*loops, *rest)
    )


async def _apps(
    settings: Settings, plane: Plane, data: DataDir, *, xds_port: int, stack: AsyncExitStack, ready: Readiness
) -> Apps:
    attestor = open_attestor(attest_settings(settings))
    stack.push_async_callback(attestor.close)
    await warn_without_credentials(settings, attestor)
    known = admission_settings(settings, xds_port=xds_port)
    admission = Admission(
        known,
        store=plane.store,
        attestor=attestor,
        tokens=plane.tokens,
        authorities=plane.authorities,
        dataplane_tokens=plane.signed,
    )
    gate = await stack.enter_async_context(open_gate(settings, data, plane.store, plane.signed))
    agents = [*join_routes(admission), AgentStream(plane.registry, plane.sessions.identify).route()]
    return Apps(
        agents=Starlette(routes=agents),
        api=_api(settings, plane, gate),
        diagnostics=diagnostics_app(is_ready=ready, gauges=_gauges(plane), replica=plane.replicas.name),
    )


def _api(settings: Settings, plane: Plane, gate: Gate) -> Starlette:
    """What operators ask first, then Kuma's paths: the rest of all paths is kubectl's."""
    why = why_route(Witness(plane.store, plane.world, plane.hub.nacks), gate)
    parts = Parts(
        store=plane.store,
        kinds=KUMA_KINDS,
        gate=gate,
        keep_mesh=Meshes(ca_settings(settings)),
        tokens=plane.signed,
        inspector=Configurations(plane.world),
        installation=_installation(settings, plane),
    )
    desk = desk_of(plane.store, gate, plane.authorities)
    ours = [why, rehearsal_route(parts, KINDS), *desk.routes()]
    return Starlette(routes=[*ours, *kuma_routes(parts), *kube_app(plane.store, KINDS, gate).routes])


def _installation(settings: Settings, plane: Plane) -> Installation:
    shown = config_page(settings)
    return Installation(socket.gethostname(), plane.replicas.name, plane.authorities.cluster_id, lambda: shown)


def _gauges(plane: Plane) -> Gauges:
    return {
        "outrig_agents_connected": ("Agents whose stream is open.", lambda: float(plane.registry.connected)),
        "outrig_xds_streams": ("Open xDS streams.", lambda: float(plane.xds.statistics().streams)),
        "outrig_xds_responses": (
            "xDS responses sent since the start.",
            lambda: float(plane.xds.statistics().responses),
        ),
        "outrig_replicas": ("Replicas that live, this one included.", lambda: 1.0 + len(plane.replicas.others)),
        "outrig_on_duty": ("Whether this replica has the duties of all.", lambda: float(plane.replicas.on_duty)),
        "outrig_store_revision": ("The state that proxies are given.", lambda: float(plane.hub.stamp)),
    }


def _graces(settings: Settings) -> Graces:
    return Graces(
        disconnected=settings.disconnect_grace.total_seconds(),
        removed=settings.absence_grace.total_seconds(),
        deregistered=settings.dataplane_deregistration_delay.total_seconds(),
    )


def _stop_requested() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping
