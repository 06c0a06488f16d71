"""What one proxy is to do, decided: the complete input of `envoy.render`, and of the load assignments.

In: a workload and its `Surroundings`. Out: a `ProxyView`, frozen, with its findings. It raises on nothing that a user
wrote. A view has two sides: the inward one is a proxy's own, the outward one is shared by all proxies of one
`Outlook`. Endpoints are not in a view: they come and go too often (`assignment_of`).
"""

from outrig.view.endpoints import Assignment, Endpoint, Lookup, assignment_of
from outrig.view.inbound import inward_of
from outrig.view.outbound import outward_of
from outrig.view.policies import shape_for, tls_mode
from outrig.view.proxy import (
    Destination,
    Hop,
    HttpOutbound,
    Inbound,
    Inward,
    Outbound,
    Outlook,
    Outward,
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
    "Hop",
    "HttpOutbound",
    "Inbound",
    "Inward",
    "Lookup",
    "Outbound",
    "Outlook",
    "Outward",
    "ProxyView",
    "TcpOutbound",
    "Upstream",
    "VirtualHost",
    "assignment_of",
    "inward_of",
    "outward_of",
    "shape_for",
    "tls_mode",
    "view_of",
]
