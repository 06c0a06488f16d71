"""The HTTP ports: which application is served where, under which certificate. A port set to `off` is not opened."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.types import ASGIApp

from outrig.api.serving import Serving, Tls, serve
from outrig.server.files import DataDir
from outrig.server.forms import OFF
from outrig.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Port:
    """One port. `name` is its name in `ports.json`."""

    name: str
    app: ASGIApp
    host: str
    number: int
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Apps:
    """The applications."""

    agents: ASGIApp
    api: ASGIApp
    diagnostics: ASGIApp


def ports_of(settings: Settings, apps: Apps, data: DataDir) -> list[Port]:
    """All ports that the settings open. Plain HTTP never leaves loopback, but for diagnostics.

    Diagnostics come first: what is opened first is closed last, so they tell of the start and of the stop.
    """
    agents, api = (_as_given(settings, made) for made in (data.agents_tls, data.api_tls))
    ports = [
        Port("diagnostics", apps.diagnostics, settings.diagnostics_bind, settings.diagnostics_port),
        Port("agents", apps.agents, settings.bind, settings.agents_port, agents),
        Port("onboarding", apps.agents, settings.bind, settings.onboarding_port, agents),
        Port("apiHttp", apps.api, "127.0.0.1", settings.api_http_port),
        Port("apiHttps", apps.api, settings.api_bind, settings.api_https_port, api),
    ]
    return [port for port in ports if port.number != OFF]


def _as_given(settings: Settings, made: Tls) -> Tls:
    """With the certificate of the settings, if they give one; who may call stays the same."""
    if not settings.tls_cert_file:
        return made
    chain, key = (Path(file).expanduser() for file in (settings.tls_cert_file, settings.tls_key_file))
    return replace(made, chain=chain, key=key)


async def open_ports(ports: Sequence[Port], stack: AsyncExitStack) -> dict[str, Serving]:
    """Serve on all of them until the stack closes. Raises CannotServe."""
    return {
        port.name: await stack.enter_async_context(serve(port.app, host=port.host, port=port.number, tls=port.tls))
        for port in ports
    }
