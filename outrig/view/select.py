"""The one question: what is this proxy to do?"""

from outrig.model import Surroundings, Workload
from outrig.view.inbound import inward_of
from outrig.view.outbound import outward_of
from outrig.view.proxy import Outward, ProxyView


def view_of(workload: Workload, mesh: Surroundings) -> ProxyView:
    """What the workload's proxy is to do, both sides together. See `inward_of` and `outward_of`."""
    inward = inward_of(workload, mesh)
    outward = outward_of(inward.outlook, mesh) if inward.outlook else Outward()
    return ProxyView(mesh.name, mesh.domain, inward, outward)
