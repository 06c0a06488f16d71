"""Route configurations: Host to cluster on the way out, everything to the application on the way in.

A Host is compared without its port. What nobody serves gets 502. There is no timeout: only an application knows how
long its requests take, and streams have no end.
"""

from typing import Final

from outrig.envoy import api
from outrig.envoy.clusters import grpc_cluster, may_mix
from outrig.envoy.parts import Field, named
from outrig.view import HttpOutbound, Inbound, VirtualHost

_EVERYTHING: Final[Field] = {"prefix": "/"}
_NO_TIMEOUT: Final[Field] = {"seconds": 0}
_UNKNOWN_HOST: Final[Field] = {
    "name": "block_all",
    "domains": ["*"],
    "routes": [{"name": "block_all", "match": _EVERYTHING, "direct_response": {"status": 502}}],
}


def outbound_routes(listener: HttpOutbound) -> api.RouteConfiguration:
    """The routes of a listener of requests."""
    return api.RouteConfiguration(
        name=listener.routes,
        ignore_port_in_host_matching=True,
        virtual_hosts=[*map(_virtual_host, listener.hosts), _UNKNOWN_HOST],
    )


def inbound_routes(inbound: Inbound) -> api.RouteConfiguration:
    """The routes to the application: calls that look like gRPC go by HTTP/2, if the port may mix them."""
    grpc = _route({**_EVERYTHING, "grpc": {}}, grpc_cluster(inbound), _NO_RETRY)
    default = _route(_EVERYTHING, inbound.cluster, _RETRY_HERE)
    host = {
        "name": f"inbound|http|{inbound.port}",
        "domains": ["*"],
        "routes": [grpc, default] if may_mix(inbound) else [default],
    }
    return api.RouteConfiguration(name=inbound.cluster, virtual_hosts=[host])


def _virtual_host(host: VirtualHost) -> Field:
    route = _route(_EVERYTHING, host.cluster, _RETRY_ELSEWHERE)
    return {"name": host.name, "domains": host.domains, "routes": [route]}


def _route(match: Field, cluster: str, retry: Field) -> Field:
    action = {"cluster": cluster, "timeout": _NO_TIMEOUT, "retry_policy": retry}
    return {"name": "default", "match": match, "route": action}


# Only requests that no application can have seen are sent again.
_RETRY_ELSEWHERE: Final[Field] = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": {"value": 2},
    "retry_host_predicate": [named("envoy.retry_host_predicates.previous_hosts", api.PreviousHostsPredicate())],
    "host_selection_retry_max_attempts": 3,
}
_RETRY_HERE: Final[Field] = {"retry_on": "reset-before-request", "num_retries": {"value": 2}}
_NO_RETRY: Final[Field] = {}
