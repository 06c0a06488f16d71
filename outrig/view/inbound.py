"""The ports on which a proxy receives."""

from outrig.errors import Finding
from outrig.model import Address, Ingress, Policy, ProxyShape, Surroundings, Workload
from outrig.view import findings
from outrig.view.binds import Binds
from outrig.view.outbound import binds_of
from outrig.view.policies import shape_for, tls_mode
from outrig.view.proxy import Inbound, Inward, Outlook

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - a workload whose address nobody knows can only listen on all it has


def inward_of(workload: Workload, mesh: Surroundings) -> Inward:
    """The inbound side of the workload's proxy. Its own health makes no difference.

    Without a shape, or without an authority that vouches for peers, it listens on nothing: a finding says why.
    """
    shape = shape_for(workload, mesh)
    if shape is None:
        return Inward(findings=(findings.no_shape(workload.origin),))
    if not mesh.trusted:
        return Inward(findings=(findings.no_authority(workload.origin, mesh.name),))
    binds = _taken_by_application(shape.settings)
    inbound, found = _listening(workload, shape, mesh, binds=binds)
    outlook = Outlook(workload.namespace, shape, binds.seen_from(binds_of(shape.settings)))
    return Inward(tuple(inbound), outlook, tuple(found))


def _taken_by_application(shape: ProxyShape) -> Binds:
    binds = Binds()
    for position, ingress in enumerate(shape.ingress):
        if isinstance(ingress.target, Address):
            binds.take(ingress.target, f"the application of ingress[{position}]")
    return binds


def _listening(
    workload: Workload, shape: Policy[ProxyShape], mesh: Surroundings, *, binds: Binds
) -> tuple[list[Inbound], list[Finding]]:
    kept: dict[int, Inbound] = {}
    found: list[Finding] = []
    for position, ingress in enumerate(shape.settings.ingress):
        path = f"ingress[{position}]"
        address = Address(ingress.bind or workload.address or ANY_ADDRESS, ingress.port)
        if ingress.port in kept:
            found.append(findings.port_twice(shape.origin, path, ingress.port))
        elif holder := binds.take(address, path):
            found.append(findings.address_taken(shape.origin, path, f"{address.host}:{address.port}", holder=holder))
        else:
            kept[ingress.port] = _inbound(workload, ingress, bind=address.host, mesh=mesh)
    return list(kept.values()), found


def _inbound(workload: Workload, ingress: Ingress, *, bind: str, mesh: Surroundings) -> Inbound:
    return Inbound(
        bind=bind,
        port=ingress.port,
        protocol=ingress.protocol,
        target=ingress.target,
        tls=tls_mode(workload, ingress.port, mesh),
    )
