"""The control plane wired: store, authorities, hub, xDS, agents' API, kubectl's API, diagnostics.

In: settings. Out: a running control plane, until SIGTERM or SIGINT. What serves is stopped before what it serves from.
"""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.applications import Starlette

from outrig.admission.admission import Admission
from outrig.admission.settings import AdmissionSettings
from outrig.api.agents.join import join_routes
from outrig.api.kube.app import kube_app
from outrig.api.kube.callers import Authenticator
from outrig.attest.attestor import open_attestor
from outrig.ca.authorities import Authorities, open_authorities
from outrig.control.hub import Hub
from outrig.control.world import World
from outrig.model import Trust
from outrig.resources import Key
from outrig.server.certificates import ServerCertificate
from outrig.server.diagnostics import diagnostics_app
from outrig.server.files import DataDir, server_hosts
from outrig.server.first_start import write_defaults
from outrig.server.kinds import FOLLOWED, KINDS
from outrig.server.logs import configure_logs
from outrig.server.ports import Apps, open_ports, ports_of
from outrig.server.sessions import identify_by
from outrig.server.settings import Settings, attest_settings, ca_settings
from outrig.store.protocol import Query
from outrig.store.sqlite import open_sqlite
from outrig.xds.server import XdsServer


async def run(settings: Settings) -> int:
    """Run until asked to stop; gives the exit status. Raises OutrigError where it cannot start."""
    configure_logs()
    stopping = _stop_requested()
    data = DataDir(settings.data_dir)
    data.prepare()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_sqlite(data.database))
        authorities = await open_authorities(store, ca_settings(settings))
        await write_defaults(store)
        data.write_roots(authorities)
        certificate = ServerCertificate(authorities, data, server_hosts(settings.advertised_hosts))
        hub = Hub(_world(authorities), store, query=Query(kinds=FOLLOWED))
        xds = XdsServer(
            hub,
            certificate.credentials,
            identify=identify_by(authorities, store),
            address=f"{settings.bind}:{settings.xds_port}",
        )
        async with running(hub.run(), xds.run()) as tasks:
            await hub.wait_ready()
            xds_port = await xds.wait_listening()
            admission = Admission(
                AdmissionSettings(xds_port, settings.xds_host),
                store=store,
                attestor=open_attestor(attest_settings(settings)),
                authorities=authorities,
            )
            apps = Apps(
                agents=Starlette(routes=join_routes(admission)),
                api=kube_app(store, KINDS, Authenticator(now=lambda: datetime.now(UTC))),
                diagnostics=diagnostics_app(is_ready=lambda: True, gauges={}),
            )
            servings = await open_ports(ports_of(settings, apps, data), stack)
            data.write_ports({"xds": xds_port, **{n: s.port for n, s in servings.items()}})
            data.write_kubeconfig(authorities, port=servings["apiHttps"].port, now=datetime.now(UTC))
            print("control plane ready", flush=True)
            await stopping.wait()
    return 0


from contextlib import asynccontextmanager
@asynccontextmanager
async def running(*loops):
    tasks = [asyncio.create_task(l) for l in loops]
    try:
        yield tasks
    finally:
        for t in tasks: t.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

def _stop_requested() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _world(authorities: Authorities) -> World:
    world = World(KINDS)
    for mesh, domain in authorities.trust_domains.items():
        origin = Key("outrig.internal", "Authority", "", "", f"mesh/{mesh}")
        authority = authorities.mesh(mesh)
        world.trust(Trust(origin, mesh, domain, (authority.pem,) if authority else ()))
    return world
