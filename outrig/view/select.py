"""The one question: what is this proxy to do?"""

from outrig.model import OutboundPolicy, Policy, ProxyShape, Surroundings, Workload
from outrig.view import findings
from outrig.view.binds import Binds
from outrig.view.inbound import inbound_of
from outrig.view.outbound import outbound_of
from outrig.view.policies import shape_for
from outrig.view.proxy import ProxyView


def view_of(workload: Workload, mesh: Surroundings) -> ProxyView:
    """What the workload's proxy is to do. Its own health makes no difference.

    Without a shape, or without an authority that vouches for peers, it listens on nothing: a finding says why.
    """
    shape = shape_for(workload, mesh)
    if shape is None:
        return ProxyView(mesh.name, mesh.domain, findings=(findings.no_shape(workload.origin),))
    if not mesh.trusted:
        return ProxyView(mesh.name, mesh.domain, findings=(findings.no_authority(workload.origin, mesh.name),))
    return _listening(workload, shape, mesh)


def _listening(workload: Workload, shape: Policy[ProxyShape], mesh: Surroundings) -> ProxyView:
    binds = Binds()
    inbound, found = inbound_of(workload, shape, mesh, binds=binds)
    outbound = outbound_of(workload.namespace, shape, mesh, binds=binds)
    if shape.settings.outbound is OutboundPolicy.ALLOW_ANY:
        found.append(findings.no_way_out(shape.origin))
    return ProxyView(
        mesh=mesh.name,
        domain=mesh.domain,
        inbound=tuple(inbound),
        outbound=tuple(outbound.listeners),
        upstreams=tuple(outbound.upstreams[name] for name in sorted(outbound.upstreams)),
        findings=(*found, *outbound.found),
        imports=frozenset(outbound.imports),
    )
