"""The ports on which a proxy receives."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from typing import Final, TypeVar

from outrig.errors import Finding
from outrig.model import (
    AGENT_PORT,
    SOCKET,
    Address,
    Ingress,
    OwnPort,
    Policy,
    ProxyShape,
    Surroundings,
    Target,
    TlsMode,
    Workload,
)
from outrig.view import findings
from outrig.view.access import access_findings, guards_of, permissions_by_port, section_findings
from outrig.view.binds import Binds, spoken
from outrig.view.endpoints import number_of
from outrig.view.outbound import binds_of
from outrig.view.policies import levels, shape_for, tls_mode
from outrig.view.proxy import Inbound, Inward, Outlook

S = TypeVar("S")

ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - a workload whose address nobody knows can only listen on all it has
LOOPBACK: Final = "127.0.0.1"
# Istio's: by it an application on the workload's own address can tell its proxy from others. It has no IPv6 twin.
PROXY_SOURCE: Final = "127.0.0.6"


def inward_of(workload: Workload, mesh: Surroundings) -> Inward:
    """The inbound side of the workload's proxy. Its own health makes no difference.

    Without a shape, or without an authority that vouches for peers, it listens on nothing: a finding says why.
    """
    shape = shape_for(workload, mesh)
    if shape is None:
        return Inward(findings=(findings.no_shape(workload.origin),))
    if not mesh.trusted:
        return Inward(findings=(findings.no_authority(workload.origin, mesh.name),))
    binds = _taken_already(workload, shape.settings)
    inbound, found = _listening(workload, shape, mesh, binds=binds)
    settings = replace(shape.settings, ingress=())
    outlook = Outlook(workload.namespace, settings, binds.seen_from(binds_of(settings)))
    unanswered = _unanswered(workload, {one.port for one in inbound}, shape, mesh=mesh)
    permissions = permissions_by_port(workload, shape.settings.ingress, inbound, mesh)
    doubts = (*access_findings(permissions, mesh), *section_findings(workload, shape.settings.ingress, mesh))
    return Inward(
        tuple(inbound),
        outlook,
        guards_of(workload.regime, permissions, mesh),
        shape,
        (*_rivals(workload, shape, mesh), *found, *unanswered, *doubts),
    )


def _unanswered(
    workload: Workload, received: Set[int], shape: Policy[ProxyShape], *, mesh: Surroundings
) -> Iterator[Finding]:
    """Services that send members' calls to a port on which this proxy does not receive."""
    services = (service for service in mesh.services_of(workload) if not service.external)
    for service in sorted(services, key=lambda service: (service.origin, service.host)):
        for port in service.ports:
            number = number_of(workload, port)
            if number is None or number in received or tls_mode(workload, number, mesh) is TlsMode.DISABLE:
                continue
            yield findings.not_received(service.origin, port, number=number, shape=shape.origin)


def _rivals(workload: Workload, shape: Policy[ProxyShape], mesh: Surroundings) -> Iterator[Finding]:
    """Policies that are as close to the workload as one that applies, and are ignored all the same."""
    demands = list(mesh.tls_for(workload))
    yield from _ignored(mesh.shapes_for(workload), [shape])
    yield from _ignored(demands, levels(demands))


def _ignored(policies: Iterable[Policy[S]], applied: Iterable[Policy[S]]) -> Iterator[Finding]:
    first = {policy.rank[:1]: policy.origin for policy in applied}
    for policy in sorted(policies, key=lambda policy: policy.origin):
        by = first.get(policy.rank[:1])
        if by is not None and by != policy.origin:
            yield findings.policy_ignored(policy.origin, by=by)


def _taken_already(workload: Workload, shape: ProxyShape) -> Binds:
    binds = Binds()
    binds.take(Address(LOOPBACK, AGENT_PORT), "the agent")
    for position, ingress in enumerate(shape.ingress):
        target = _target(workload, ingress)
        address = target if isinstance(target, Address) else Address(f"{SOCKET}{target.path}", 0)
        binds.take(address, f"the application of {shape.words[0]}[{position}]")
    return binds


def _target(workload: Workload, ingress: Ingress) -> Target:
    if isinstance(ingress.target, OwnPort):
        return Address(workload.host or LOOPBACK, ingress.target.port)
    return ingress.target


def _listening(
    workload: Workload, shape: Policy[ProxyShape], mesh: Surroundings, *, binds: Binds
) -> tuple[list[Inbound], list[Finding]]:
    kept: dict[int, Inbound] = {}
    found: list[Finding] = []
    for position, ingress in enumerate(shape.settings.ingress):
        path = f"{shape.settings.words[0]}[{position}]"
        address = Address(ingress.bind or workload.host or ANY_ADDRESS, ingress.port)
        if ingress.port in kept:
            found.append(findings.port_twice(shape.origin, path, ingress.port))
        elif holder := binds.take(address, path):
            found.append(findings.address_taken(shape.origin, path, spoken(address), holder=holder))
        else:
            kept[ingress.port] = _inbound(workload, ingress, bind=address.host, mesh=mesh)
    return list(kept.values()), found


def _inbound(workload: Workload, ingress: Ingress, *, bind: str, mesh: Surroundings) -> Inbound:
    target = _target(workload, ingress)
    return Inbound(
        bind=bind,
        port=ingress.port,
        protocol=ingress.protocol,
        target=target,
        tls=tls_mode(workload, ingress.port, mesh),
        source=_source(target) if isinstance(ingress.target, OwnPort) else "",
        pool=ingress.pool,
    )


def _source(target: Target) -> str:
    return PROXY_SOURCE if isinstance(target, Address) and ":" not in target.host else ""
