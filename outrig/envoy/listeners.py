"""Listeners. Only addresses, protocols and TLS modes stand in them; what changes often is in routes and secrets.

A changed listener drains its connections; so a mode that is relaxed adds filter chains and leaves those for mutual
TLS, byte for byte, as they were.
"""

from collections.abc import Iterator
from typing import Final

from outrig.envoy import api, tls
from outrig.envoy.filters import bytes_in, bytes_out, requests_in, requests_out
from outrig.envoy.parts import Field, listening_address, named, refusals_log, socket_address, stat_name
from outrig.model import TlsMode
from outrig.view import HttpOutbound, Inbound, Outbound

# Where no requests are spoken a plaintext client may wait for the server to speak first: after this long it is taken
# as one that will not begin with TLS.
_PATIENCE: Final[Field] = {"listener_filters_timeout": {"seconds": 2}, "continue_on_listener_filters_timeout": True}


def outbound_listener(outbound: Outbound) -> api.Listener:
    """A listener for the own application's calls."""
    stat = stat_name(f"outbound_{outbound.listener}")
    if isinstance(outbound, HttpOutbound):
        taken = requests_out(stat, outbound.routes)
    else:
        taken = bytes_out(stat, outbound.cluster)
    return api.Listener(
        name=outbound.listener,
        address=listening_address(outbound.bind, outbound.port),
        stat_prefix=stat,
        traffic_direction="OUTBOUND",
        enable_reuse_port={"value": False},
        filter_chains=[{"name": "calls", "filters": [taken]}],
    )


def inbound_listener(mesh: str, domain: str, inbound: Inbound) -> api.Listener:
    """A listener for calls to the application. A port that is already in use is an error, never shared."""
    return api.Listener(
        name=inbound.listener,
        address=socket_address(inbound.bind, inbound.port),
        stat_prefix=_stat(inbound),
        traffic_direction="INBOUND",
        enable_reuse_port={"value": False},
        **_inspection(inbound),
        filter_chains=list(_chains(mesh, domain, inbound)),
        access_log=[refusals_log()],
    )


def _inspection(inbound: Inbound) -> Field:
    """How to tell TLS from plaintext, which nobody needs to know where TLS is off."""
    if inbound.tls is TlsMode.DISABLE:
        return {}
    inspector = named("envoy.filters.listener.tls_inspector", api.TlsInspector())
    return {"listener_filters": [inspector], **({} if inbound.protocol.is_http else _PATIENCE)}


def _chains(mesh: str, domain: str, inbound: Inbound) -> Iterator[Field]:
    """Mutual TLS for members of the mesh, then what the mode lets in besides."""
    if inbound.tls is not TlsMode.DISABLE:
        yield from _member_chains(mesh, domain, inbound)
    if inbound.tls is TlsMode.DISABLE:
        yield {"name": "plain", "filters": _plain(inbound)}
    if inbound.tls is TlsMode.PERMISSIVE:
        if not inbound.protocol.is_http:
            yield _chain("own-tls", {"transport_protocol": "tls"}, _bytes(inbound))
        yield _chain("plain", {"transport_protocol": "raw_buffer"}, _plain(inbound))


def _member_chains(mesh: str, domain: str, inbound: Inbound) -> Iterator[Field]:
    """The chains that members choose by their ALPN. A port of which nobody said what it speaks has both."""
    if inbound.takes_requests:
        socket = tls.from_callers(mesh, domain, ["h2", "http/1.1"])
        yield _chain("mesh", _offered(tls.MESH), _requests(inbound), transport_socket=socket)
    if not inbound.protocol.is_http:
        socket = tls.from_callers(mesh, domain, [tls.MESH_TCP])
        yield _chain("mesh-tcp", _offered(tls.MESH_TCP), _bytes(inbound), transport_socket=socket)


def _chain(name: str, match: Field, taken: list[Field], **more: Field) -> Field:
    return {"name": name, "filter_chain_match": match, "filters": taken, **more}


def _offered(alpn: str) -> Field:
    return {"transport_protocol": "tls", "application_protocols": [alpn]}


def _plain(inbound: Inbound) -> list[Field]:
    """What comes without mutual TLS: requests only if the user said so, as looking for them would stall protocols in
    which the server speaks first."""
    return _requests(inbound) if inbound.protocol.is_http else _bytes(inbound)


def _requests(inbound: Inbound) -> list[Field]:
    return [requests_in(_stat(inbound), inbound.cluster, inbound.port)]


def _bytes(inbound: Inbound) -> list[Field]:
    return bytes_in(_stat(inbound), inbound.cluster, inbound.port, inbound.pool)


def _stat(inbound: Inbound) -> str:
    return f"inbound_{inbound.port}"
