"""Load assignments: the endpoints behind a cluster, grouped by priority and locality."""

from itertools import groupby
from typing import Final

from outrig.envoy import api
from outrig.envoy.parts import Field, address_of
from outrig.model import Address, Pipe
from outrig.view import Assignment, Endpoint

# What the metadata of endpoints says that take no TLS.
PLAIN_ENDPOINT: Final = api.Struct(fields={"tls": {"string_value": "off"}})

# The key under which Envoy looks when a cluster has `transport_socket_matches`.
_SOCKET_MATCH = "envoy.transport_socket_match"


def load_assignment(assignment: Assignment) -> api.ClusterLoadAssignment:
    """A destination's endpoints; without any it is sent too, as an empty one is how a cluster is emptied."""
    places = groupby(assignment.endpoints, key=lambda endpoint: (endpoint.priority, endpoint.locality))
    return api.ClusterLoadAssignment(
        cluster_name=assignment.name,
        endpoints=[
            {
                "locality": _locality(locality),
                "lb_endpoints": [_endpoint(endpoint) for endpoint in endpoints],
                "priority": priority,
            }
            for (priority, locality), endpoints in places
        ],
    )


def _endpoint(endpoint: Endpoint) -> Field:
    built: dict[str, object] = {
        "endpoint": {"address": address_of(_target(endpoint))},
        "health_status": "DRAINING" if endpoint.draining else "HEALTHY",
        "load_balancing_weight": {"value": endpoint.weight},
    }
    if endpoint.plain:
        built["metadata"] = {"filter_metadata": {_SOCKET_MATCH: PLAIN_ENDPOINT}}
    return built


def _target(endpoint: Endpoint) -> Address | Pipe:
    if endpoint.address.startswith("unix://"):
        return Pipe(endpoint.address.removeprefix("unix://"))
    return Address(endpoint.address, endpoint.port)


def _locality(name: str) -> Field:
    """From `region/zone/subzone`, later parts optional."""
    parts = dict(zip(("region", "zone", "sub_zone"), name.split("/", 2), strict=False))
    return dict(parts) if name else {}
