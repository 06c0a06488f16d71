"""What one proxy is to do, decided: the complete input of `envoy.render`, and of the load assignments.

In: a workload and its `Surroundings`. Out: a `ProxyView`, frozen, with its findings. It raises on nothing that a user
wrote. A view has two sides: the inward one is a proxy's own, the outward one is shared by all proxies of one
`Outlook`. Endpoints are not in a view: they come and go too often (`assignment_of`).
"""

from outrig.view.destination import Destination, Hop
from outrig.view.endpoints import Assignment, Endpoint, Lookup, assignment_of, called
from outrig.view.guard import Gate, Guard, Traffic
from outrig.view.inbound import inward_of
from outrig.view.outbound import outward_of
from outrig.view.policies import shape_for, tls_mode
from outrig.view.proxy import (
    NOWHERE,
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
    all_findings,
)
from outrig.view.select import view_of

__all__ = [
    "NOWHERE",
    "Assignment",
    "Destination",
    "Endpoint",
    "Gate",
    "Guard",
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
    "Traffic",
    "Upstream",
    "VirtualHost",
    "all_findings",
    "assignment_of",
    "called",
    "inward_of",
    "outward_of",
    "shape_for",
    "tls_mode",
    "view_of",
]
