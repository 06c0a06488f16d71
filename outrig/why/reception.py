"""How one endpoint receives a call: who is there, what it demands, and whether this caller offers it."""

from dataclasses import dataclass

from outrig.envoy.handshake import Chain, Opening, chain_taking, opening_of
from outrig.model import Protocol, Regime, TlsMode, Workload
from outrig.snapshot import LISTENER
from outrig.view import Inbound, Traffic, Upstream, inward_of, shape_for
from outrig.view.binds import WILDCARDS
from outrig.view.policies import decided_tls
from outrig.why.endpoints import Target
from outrig.why.explanation import Ending, Verdict
from outrig.why.knowledge import Known
from outrig.why.near_miss import Refused
from outrig.why.permission import Arrival, look_at_permission
from outrig.why.question import Call

_MEANS = {
    TlsMode.STRICT: "only callers with a certificate of the mesh",
    TlsMode.PERMISSIVE: "callers with a certificate of the mesh, and plaintext",
    TlsMode.DISABLE: "plaintext only",
}
_HTTP2 = (Protocol.HTTP2, Protocol.GRPC)


@dataclass(frozen=True, slots=True)
class Demand:
    """The resource that says which TLS mode a port has (empty: the default), and what that means."""

    resource: str
    says: str


@dataclass(frozen=True, slots=True)
class Reception:
    """How one endpoint receives a call. `by`: the workload that does; `inbound`: its listener, if it has a proxy.

    `refused`: that nothing there allows the call.
    """

    target: Target
    by: Workload
    verdict: Verdict
    says: str
    notes: tuple[str, ...] = ()
    resource: str = ""
    do: str = ""
    ending: Ending = Ending.ANSWERED
    inbound: Inbound | None = None
    refused: Refused | None = None


def demanded_by(workload: Workload, port: int, known: Known) -> Demand:
    """The TLS mode of a port, and who says so."""
    mode, policy = decided_tls(workload, port, known.mesh)
    by = f"says {policy.origin}" if policy else "the default without a PeerAuthentication"
    return Demand(str(policy.origin) if policy else "", f"{mode}, {by}: it takes {_MEANS[mode]}")


def listening_at(address: str, port: int, known: Known) -> tuple[Workload, Inbound] | None:
    """The workload whose proxy receives at an address, and the listener by which it does."""
    there = [one for one in known.workloads.values() if one.address == address and one.proxied]
    for workload in sorted(there, key=lambda one: one.id):
        if inbound := _inbound(workload, address, port, known):
            return workload, inbound
    return None


def _inbound(workload: Workload, address: str, port: int, known: Known) -> Inbound | None:
    own = inward_of(workload, known.mesh).inbound
    return next((one for one in own if one.port == port and one.bind in {address} | WILDCARDS), None)


@dataclass(frozen=True, slots=True)
class Talk:
    """What a caller's proxy says to the endpoints of one upstream, and what it hears."""

    caller: Workload
    call: Call
    upstream: Upstream
    known: Known

    def receive(self, target: Target) -> Reception:
        """How an endpoint receives it. An entry that a user wrote may have the address of a task with a proxy."""
        address, port, by = target.endpoint.address, target.endpoint.port, self.known.whole(target.workload)
        if by.proxied:
            inbound = _inbound(by, address, port, self.known)
            return self._meet(target, by, inbound) if inbound else _not_listening(target, self.known)
        found = listening_at(address, port, self.known)
        return self._meet(target, *found) if found else _without_proxy(target)

    def _meet(self, target: Target, by: Workload, inbound: Inbound) -> Reception:
        """Whether the listener is there, takes what the caller opens with, and both accept each other."""
        mesh, demand = self.known.mesh, demanded_by(by, inbound.port, self.known)
        opening = opening_of(mesh.name, self.upstream, plain=target.endpoint.plain)
        chain = chain_taking(opening, mesh.name, mesh.domain, inbound=inbound)

        def stopped(says: str, do: str, ending: Ending = Ending.NOT_REACHED) -> Reception:
            says, notes = f"{self.known.name(by)} at {inbound.listener}: {says}", (demand.says,)
            return Reception(target, by, Verdict.STOPS, says, notes, demand.resource, do, ending, inbound)

        if refused := self.known.observation(by).refusal(LISTENER, inbound.listener):
            return stopped("its proxy refused this listener", refused.reason)
        if problem := _not_taken(opening, chain):
            ending = Ending.NOT_REACHED if opening.offers else Ending.BROKEN_OFF
            return stopped(f"the caller sends {problem}", _do_about(opening, inbound, by), ending)
        if opening.http2 and chain and not chain.requests and self.upstream.protocol not in _HTTP2:
            return stopped(
                "the caller sends HTTP/2, which is handed on as bytes", _do_about(opening, inbound, by), Ending.GARBLED
            )
        if opening.offers and (problem := self._strangers(by)):
            return stopped(problem, "correct the service account, or wait for the next certificate")
        return self._guarded(target, by, inbound, opening=opening, chain=chain)

    def _guarded(
        self, target: Target, by: Workload, inbound: Inbound, *, opening: Opening, chain: Chain | None
    ) -> Reception:
        """What the permissions of the port say to a call that the listener takes."""
        demand, name = demanded_by(by, inbound.port, self.known), self.known.name(by)
        arrival = self._arrival(opening, chain)
        permission = look_at_permission(arrival, by, inbound, self.known)
        notes = (demand.says, *self._shown(opening))
        resource = permission.resource or demand.resource
        if permission.verdict is Verdict.STOPS:
            says = f"{name} at {inbound.listener} refuses it: {permission.says}"
            ending = Ending.FORBIDDEN if chain and chain.requests else Ending.BROKEN_OFF
            refused = Refused(arrival, by, inbound.port) if permission.unallowed else None
            return Reception(target, by, Verdict.STOPS, says, notes, resource, permission.do, ending, inbound, refused)
        how = f"mutual TLS (ALPN {opening.offers[0]})" if opening.offers else "plaintext"
        says = f"{inbound.listener} of {name} takes it by {how}"
        told = (*notes, permission.says) if permission.says else notes
        return Reception(target, by, permission.verdict, says, told, resource, inbound=inbound)

    def _arrival(self, opening: Opening, chain: Chain | None) -> Arrival:
        identities = self.caller.identities if opening.offers else ()
        traffic = Traffic.REQUESTS if chain and chain.requests else Traffic.BYTES
        return Arrival(identities, self.caller.host, traffic, self.call)

    def _shown(self, opening: Opening) -> tuple[str, ...]:
        return (f"the caller shows {', '.join(self.caller.identities)}",) if opening.offers else ()

    def _strangers(self, by: Workload) -> str:
        """Why one of the two does not accept the other's certificate; empty if both do."""
        if not set(by.identities) & set(self.upstream.identities):
            accepted = ", ".join(self.upstream.identities) or "nobody"
            return f"it is {', '.join(by.identities) or 'nobody by certificate'}; the caller accepts {accepted}"
        mesh = self.known.mesh
        names = tuple(f"spiffe://{name}/" for name in (mesh.domain, mesh.name))
        if not any(identity.startswith(names) for identity in self.caller.identities):
            return f"it accepts trust domain {mesh.domain}, of which the caller has no certificate"
        return ""


def _not_taken(opening: Opening, chain: Chain | None) -> str:
    """Why no filter chain, or the wrong one, takes the connection; empty if the right one does."""
    sent = f"TLS with ALPN {', '.join(opening.offers)}" if opening.offers else "plaintext"
    if chain is None:
        return f"{sent}, which none of its filter chains takes"
    if opening.offers and not chain.members:
        return f"{sent}, which is handed on to the application unopened"
    return ""


def _do_about(opening: Opening, inbound: Inbound, by: Workload) -> str:
    demand = "PeerAuthentication" if by.regime is Regime.OPEN else "Mesh"
    if not opening.offers and not opening.http2:
        return f"relax its {demand} to PERMISSIVE, or give what is behind the service a certificate"
    return f"say the same protocol in the Service's port and in ingress {inbound.port} of its Sidecar"


def _without_proxy(target: Target) -> Reception:
    by = target.workload
    if not target.endpoint.plain:
        says = f"{target.text} has no proxy of ours; it is expected to speak TLS as {', '.join(by.identities)}"
        return Reception(target, by, Verdict.DOUBTFUL, says, resource=str(by.origin))
    says = f"{target.text} has no proxy of ours: it is called in plaintext"
    return Reception(target, by, Verdict.OK, says, resource=str(by.origin))


def _not_listening(target: Target, known: Known) -> Reception:
    """No inbound listener has the endpoint's address and port."""
    by, port = known.whole(target.workload), target.endpoint.port
    shape = shape_for(by, known.mesh)
    if shape is None:
        says, origin, do = f"no Sidecar chooses {known.name(by)}", by.origin, f"add one with an ingress for port {port}"
    else:
        has = ", ".join(f"{one.bind or by.address}:{one.port}" for one in shape.settings.ingress) or "nowhere"
        says, origin = f"{shape.origin} has ingress at {has}", shape.origin
        do = f"give it an ingress with port {port}, or the Service another targetPort"
    text = f"the proxy of {known.name(by)} does not listen at {target.text}"
    return Reception(target, by, Verdict.STOPS, text, (says,), str(origin), do, Ending.NOT_REACHED)
