"""Route configurations: Host to cluster on the way out, everything to the application on the way in.

A Host is compared without its port, unless services of all ports share the listener. What nobody serves gets 502, or
goes to the service that takes what is unknown. There is no timeout: only an application knows how long its requests
take, and streams have no end.
"""

from typing import Final

from outrig.envoy import api
from outrig.envoy.applications import grpc_cluster, may_mix
from outrig.envoy.filters import UNDELIVERED
from outrig.envoy.parts import Field, named
from outrig.view import HttpOutbound, Inbound, VirtualHost

_ANY: Final = "*"
_EVERYTHING: Final[Field] = {"prefix": "/"}
_NO_TIMEOUT: Final[Field] = {"seconds": 0}
_UNKNOWN_HOST: Final[Field] = {
    "name": "block_all",
    "domains": [_ANY],
    "routes": [{"name": "block_all", "match": _EVERYTHING, "direct_response": {"status": 502}}],
}


def outbound_routes(listener: HttpOutbound) -> api.RouteConfiguration:
    """The routes of a listener of requests."""
    return api.RouteConfiguration(
        name=listener.routes,
        ignore_port_in_host_matching=not listener.any_port,
        virtual_hosts=[*map(_virtual_host, listener.hosts), *_unknown(listener)],
        response_headers_to_remove=[UNDELIVERED],
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
    # Only the proxy may say so: from an application it would have a request sent twice.
    return api.RouteConfiguration(name=inbound.cluster, virtual_hosts=[host], response_headers_to_remove=[UNDELIVERED])


def _unknown(listener: HttpOutbound) -> list[Field]:
    """What becomes of a Host that nobody has, where somebody does not have them all."""
    if any(_ANY in host.domains for host in listener.hosts):
        return []
    fallback = VirtualHost("allow_any", (_ANY,), listener.fallback)
    return [_virtual_host(fallback) if listener.fallback else _UNKNOWN_HOST]


def _virtual_host(host: VirtualHost) -> Field:
    route = _route(_EVERYTHING, host.cluster, _RETRY_FARTHER if host.near else _RETRY_ELSEWHERE)
    return {"name": host.name, "domains": host.domains, "routes": [route]}


def _route(match: Field, cluster: str, retry: Field) -> Field:
    action = {"cluster": cluster, "timeout": _NO_TIMEOUT, "retry_policy": retry}
    return {"name": "default", "match": match, "route": action}


# Only requests that no application can have seen are sent again. An endpoint that fails at once has the fewest requests
# and is chosen more often than others, so another is looked for more than a few times.
_RETRY_ELSEWHERE: Final[Field] = {
    "retry_on": "connect-failure,refused-stream,reset-before-request,retriable-headers",
    "retriable_headers": [{"name": UNDELIVERED, "present_match": True}],
    "num_retries": {"value": 2},
    "retry_host_predicate": [named("envoy.retry_host_predicates.previous_hosts", api.PreviousHostsPredicate())],
    "host_selection_retry_max_attempts": 20,
}
# A retry stays among endpoints of one priority; where priorities are zones, the next is tried in the next of them.
_RETRY_FARTHER: Final[Field] = {
    **_RETRY_ELSEWHERE,
    "retry_priority": named("envoy.retry_priorities.previous_priorities", api.PreviousPriorities(update_frequency=1)),
}
_RETRY_HERE: Final[Field] = {"retry_on": "reset-before-request", "num_retries": {"value": 2}}
_NO_RETRY: Final[Field] = {}
