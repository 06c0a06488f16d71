"""What one proxy is to do, decided: the complete input of `envoy.render`, and of the load assignments.

In: a workload and its `Surroundings`. Out: a `ProxyView`, frozen, with its findings. It raises on nothing that a user
wrote. Endpoints are not in a view: they come and go too often (`assignment_of`).
"""

from outrig.view.endpoints import Assignment, Endpoint, assignment_of
from outrig.view.policies import shape_for, tls_mode
from outrig.view.proxy import (
    Destination,
    HttpOutbound,
    Inbound,
    Outbound,
    ProxyView,
    TcpOutbound,
    Upstream,
    VirtualHost,
)
from outrig.view.select import view_of

__all__ = [
    "Assignment",
    "Destination",
    "Endpoint",
    "HttpOutbound",
    "Inbound",
    "Outbound",
    "ProxyView",
    "TcpOutbound",
    "Upstream",
    "VirtualHost",
    "assignment_of",
    "shape_for",
    "tls_mode",
    "view_of",
]
