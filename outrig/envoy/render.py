"""A view as resources: what one proxy should have, but for load assignments and trust bundles, which it shares."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from outrig.envoy.access import guard_extensions
from outrig.envoy.applications import application_cluster, applications_of
from outrig.envoy.clusters import nowhere_cluster, upstream_cluster
from outrig.envoy.encodings import Encodings
from outrig.envoy.endpoints import load_assignment
from outrig.envoy.listeners import inbound_listener, outbound_listener
from outrig.envoy.routes import inbound_routes, outbound_routes
from outrig.envoy.secrets import trust_bundle
from outrig.snapshot import CLUSTER, EXTENSION, LISTENER, ROUTES, Encoded, Snapshot
from outrig.view import NOWHERE, Assignment, HttpOutbound, Inward, Outbound, Outward, ProxyView

RENDERED: Final = (CLUSTER, EXTENSION, LISTENER, ROUTES)


def render(view: ProxyView, encodings: Encodings) -> Snapshot:
    """The clusters, listeners and route configurations of a view. Equal pieces of other views are the same objects."""
    inward = render_inward(view.mesh, view.domain, view.inward, encodings=encodings)
    outward = render_outward(view.mesh, view.outward, encodings)
    return {type_url: {**outward[type_url], **inward[type_url]} for type_url in RENDERED}


def render_inward(mesh: str, domain: str, inward: Inward, *, encodings: Encodings) -> Snapshot:
    """The inbound side of a view."""
    of = encodings.of
    inbound = inward.inbound
    applications = [found for one in inbound for found in applications_of(one)]
    return {
        CLUSTER: _by_name(of(found, partial(application_cluster, found)) for found in applications),
        EXTENSION: _by_name(
            of((name, guard), build) for guard in inward.guards for name, build in guard_extensions(guard)
        ),
        LISTENER: _by_name(of((mesh, domain, one), partial(inbound_listener, mesh, domain, one)) for one in inbound),
        # Not keyed by the inbound itself: its address is no part of its routes.
        ROUTES: _by_name(
            of((ROUTES, one.port, one.protocol), partial(inbound_routes, one)) for one in inbound if one.takes_requests
        ),
    }


def render_outward(mesh: str, outward: Outward, encodings: Encodings) -> Snapshot:
    """The outbound side of a view."""
    of = encodings.of
    tables = [one for one in outward.listeners if isinstance(one, HttpOutbound)]
    nowhere = [of(NOWHERE, nowhere_cluster)] if any(one.leads_nowhere for one in outward.listeners) else []
    called = [of((mesh, one), partial(upstream_cluster, mesh, one)) for one in outward.upstreams]
    return {
        CLUSTER: _by_name([*nowhere, *called]),
        EXTENSION: {},
        LISTENER: _by_name(of(one, partial(outbound_listener, one)) for one in map(_without_hosts, outward.listeners)),
        ROUTES: _by_name(of((ROUTES, one), partial(outbound_routes, one)) for one in tables),
    }


def encode_assignment(assignment: Assignment, encodings: Encodings) -> Encoded:
    """A destination's load assignment."""
    return encodings.of(assignment, partial(load_assignment, assignment))


def encode_trust(mesh: str, authorities: tuple[str, ...], encodings: Encodings) -> Encoded:
    """A mesh's trust bundle."""
    return encodings.of((mesh, authorities), partial(trust_bundle, mesh, authorities))


def _without_hosts(outbound: Outbound) -> Outbound:
    """As its listener sees it: hosts come and go in its routes."""
    return replace(outbound, hosts=()) if isinstance(outbound, HttpOutbound) else outbound


def _by_name(resources: Iterable[Encoded]) -> dict[str, Encoded]:
    return {resource.name: resource for resource in resources}
