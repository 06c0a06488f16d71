"""The ports on which a proxy receives."""

from outrig.errors import Finding
from outrig.model import Address, Ingress, Policy, ProxyShape, Surroundings, Workload
from outrig.view import findings
from outrig.view.binds import Binds
from outrig.view.policies import tls_mode
from outrig.view.proxy import Inbound

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - a workload whose address nobody knows can only listen on all it has


def inbound_of(
    workload: Workload, shape: Policy[ProxyShape], mesh: Surroundings, *, binds: Binds
) -> tuple[list[Inbound], list[Finding]]:
    """The inbound listeners of a shape; takes their addresses and those of the application from `binds`."""
    for position, ingress in enumerate(shape.settings.ingress):
        if isinstance(ingress.target, Address):
            binds.take(ingress.target, f"the application of ingress[{position}]")
    kept: dict[int, Inbound] = {}
    found: list[Finding] = []
    for position, ingress in enumerate(shape.settings.ingress):
        path = f"ingress[{position}]"
        address = Address(ingress.bind or workload.address or ANY_ADDRESS, ingress.port)
        if ingress.port in kept:
            found.append(findings.port_twice(shape.origin, path, ingress.port))
        elif holder := binds.take(address, path):
            found.append(findings.address_taken(shape.origin, path, _text(address), holder=holder))
        else:
            kept[ingress.port] = _inbound(workload, ingress, address.host, mesh)
    return list(kept.values()), found


def _inbound(workload: Workload, ingress: Ingress, bind: str, mesh: Surroundings) -> Inbound:
    return Inbound(
        bind=bind,
        port=ingress.port,
        protocol=ingress.protocol,
        target=ingress.target,
        tls=tls_mode(workload, ingress.port, mesh),
    )


def _text(address: Address) -> str:
    return f"{address.host}:{address.port}"
