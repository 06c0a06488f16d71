"""Load assignments: the endpoints behind a cluster, grouped by locality."""

from itertools import groupby

from outrig.envoy import api
from outrig.envoy.clusters import PLAIN_ENDPOINT
from outrig.envoy.parts import Field, socket_address
from outrig.view import Assignment, Endpoint

# The key under which Envoy looks when a cluster has `transport_socket_matches`.
_SOCKET_MATCH = "envoy.transport_socket_match"


def load_assignment(assignment: Assignment) -> api.ClusterLoadAssignment:
    """A destination's endpoints; without any it is sent too, as an empty one is how a cluster is emptied."""
    by_locality = groupby(assignment.endpoints, key=lambda endpoint: endpoint.locality)
    return api.ClusterLoadAssignment(
        cluster_name=assignment.name,
        endpoints=[
            {"locality": _locality(name), "lb_endpoints": [_endpoint(endpoint) for endpoint in endpoints]}
            for name, endpoints in by_locality
        ],
    )


def _endpoint(endpoint: Endpoint) -> Field:
    built: dict[str, object] = {
        "endpoint": {"address": socket_address(endpoint.address, endpoint.port)},
        "health_status": "DRAINING" if endpoint.draining else "HEALTHY",
        "load_balancing_weight": {"value": endpoint.weight},
    }
    if endpoint.plain:
        built["metadata"] = {"filter_metadata": {_SOCKET_MATCH: PLAIN_ENDPOINT}}
    return built


def _locality(name: str) -> Field:
    """From `region/zone/subzone`, later parts optional."""
    parts = dict(zip(("region", "zone", "sub_zone"), name.split("/", 2), strict=False))
    return dict(parts) if name else {}
