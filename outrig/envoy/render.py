"""A view as resources: what one proxy should have, but for load assignments and trust bundles, which it shares."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from outrig.envoy.clusters import application_cluster, applications, upstream_cluster
from outrig.envoy.encodings import Encodings
from outrig.envoy.endpoints import load_assignment
from outrig.envoy.listeners import inbound_listener, outbound_listener
from outrig.envoy.routes import inbound_routes, outbound_routes
from outrig.envoy.secrets import trust_bundle
from outrig.snapshot import CLUSTER, LISTENER, ROUTES, Encoded, Snapshot
from outrig.view import Assignment, HttpOutbound, ProxyView

RENDERED: Final = (CLUSTER, LISTENER, ROUTES)


def render(view: ProxyView, encodings: Encodings) -> Snapshot:
    """The clusters, listeners and route configurations of a view. Equal pieces of other views are the same objects."""
    return {
        CLUSTER: {found.name: found for found in _clusters(view, encodings)},
        LISTENER: {found.name: found for found in _listeners(view, encodings)},
        ROUTES: {found.name: found for found in _routes(view, encodings)},
    }


def encode_assignment(assignment: Assignment, encodings: Encodings) -> Encoded:
    """A destination's load assignment."""
    return encodings.of(assignment, partial(load_assignment, assignment))


def encode_trust(mesh: str, authorities: tuple[str, ...], encodings: Encodings) -> Encoded:
    """A mesh's trust bundle."""
    return encodings.of((mesh, authorities), partial(trust_bundle, mesh, authorities))


def _clusters(view: ProxyView, encodings: Encodings) -> Iterator[Encoded]:
    for upstream in view.upstreams:
        yield encodings.of((view.mesh, upstream), partial(upstream_cluster, view.mesh, upstream))
    for inbound in view.inbound:
        for application in applications(inbound):
            yield encodings.of(application, partial(application_cluster, application))


def _listeners(view: ProxyView, encodings: Encodings) -> Iterator[Encoded]:
    for outbound in view.outbound:
        yield encodings.of((LISTENER, outbound), partial(outbound_listener, outbound))
    for inbound in view.inbound:
        build = partial(inbound_listener, view.mesh, view.domain, inbound)
        yield encodings.of((LISTENER, view.mesh, view.domain, inbound), build)


def _routes(view: ProxyView, encodings: Encodings) -> Iterator[Encoded]:
    for outbound in view.outbound:
        if isinstance(outbound, HttpOutbound):
            yield encodings.of((ROUTES, outbound), partial(outbound_routes, outbound))
    for inbound in view.inbound:
        if inbound.takes_requests:
            # Not keyed by the inbound itself: its address is no part of its routes.
            yield encodings.of((ROUTES, inbound.port, inbound.protocol), partial(inbound_routes, inbound))
