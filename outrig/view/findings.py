"""What may be doubtful about a proxy's listeners, as findings: codes OUT601 to OUT614."""

from collections.abc import Sequence

from outrig.errors import Finding, Severity
from outrig.model import Service, ServicePort
from outrig.resources import Key


def nothing_imported(origin: Key, path: str, *, host: str, home: str) -> Finding:
    """An import that names a host finds none."""
    problem = f"there is no service {host!r}"
    hint = f"is there such a Service, and is it exported to namespace {home!r}?"
    return Finding("OUT601", origin, path, problem, hint, Severity.WARNING)


def nothing_called(origin: Key, path: str, *, name: str) -> Finding:
    """A listener is for one service, which is not there."""
    problem = f"there is no service {name!r}, so what is called here fails"
    hint = "it works as soon as there is one; is the name right, and is the service exported?"
    return Finding("OUT601", origin, path, problem, hint, Severity.WARNING)


def port_not_imported(origin: Key, path: str, *, service: Service, port: int) -> Finding:
    """An import that names a service is on a listener whose port it lacks."""
    has = ", ".join(str(p.number) for p in service.ports) or "none"
    problem = f"{service.host} has no port {port}, so it cannot be called here"
    return Finding("OUT602", origin, path, problem, f"its ports: {has}", Severity.WARNING)


def port_given_away(origin: Key, path: str, address: str, *, earlier: str, first: Service, more: int) -> Finding:
    """Services of an import without port have a port that an earlier one listens on, without importing them."""
    who, them = (f"{first.host} and {more} more", "them") if more else (first.host, "it")
    problem = f"{who} cannot be called on {address}, which {earlier} has without importing {them}"
    return Finding("OUT602", origin, path, problem, f"add {them} to the hosts of {earlier}", Severity.WARNING)


def address_taken(origin: Key, path: str, address: str, *, holder: str, severity: Severity = Severity.ERROR) -> Finding:
    """Two things want to listen on one address; the later one does not."""
    problem = f"{address} is taken by {holder}, so the proxy does not listen here"
    return Finding("OUT603", origin, path, problem, "choose another bind or port", severity)


def port_twice(origin: Key, path: str, port: int) -> Finding:
    """Two ingress listeners have one port number."""
    return Finding("OUT603", origin, path, f"an earlier ingress has port {port}", "ingress ports differ in number")


def name_taken(origin: Key, path: str, name: str, *, by: str, wanted: str) -> Finding:
    """Two services claim a name; the later one is not reached by it."""
    problem = f"{name!r} leads to {by}, not to {wanted}"
    return Finding("OUT604", origin, path, problem, f"call {wanted} by its full name", Severity.WARNING)


def host_hidden(origin: Key, path: str, hidden: Service) -> Finding:
    """Two services have one host; the later one is not reached at all."""
    problem = f"{hidden.origin} has the host {hidden.host!r}, which another service has already"
    hint = "import only the namespace of the one that is meant"
    return Finding("OUT604", origin, path, problem, hint, Severity.WARNING)


def not_by_host(origin: Key, path: str, service: Service) -> Finding:
    """A service of bytes on a listener of requests."""
    problem = f"{service.host} does not speak HTTP, which this listener does, so it cannot be called here"
    hint = "give it an egress with a port and bind of its own"
    return Finding("OUT605", origin, path, problem, hint, Severity.WARNING)


def one_of_many(origin: Key, path: str, *, taken: Service, others: int) -> Finding:
    """Several services on a listener of bytes, which leads to one only."""
    problem = f"a TCP listener leads to one service: {taken.host}; {others} more cannot be called here"
    return Finding("OUT606", origin, path, problem, "give each an egress with a bind of its own", Severity.WARNING)


def leads_nowhere(origin: Key, path: str) -> Finding:
    """A listener of bytes without a service."""
    problem = "no service is imported, so the proxy does not listen here"
    return Finding("OUT606", origin, path, problem, "import one service with this port", Severity.WARNING)


def no_way_out(origin: Key) -> Finding:
    """Unknown hosts cannot be let through: nothing redirects traffic, so its destination is not known."""
    problem = "a call to an unknown host gets 502: without redirection its destination is not known"
    return Finding("OUT607", origin, "outboundTrafficPolicy", problem, "import the services it calls", Severity.WARNING)


def no_shape(origin: Key) -> Finding:
    """Nothing says what a proxy is to listen on."""
    problem = "no Sidecar chooses this workload, so its proxy listens on nothing"
    return Finding("OUT608", origin, "", problem, "add one whose selector fits its labels", Severity.WARNING)


def policy_ignored(origin: Key, *, by: Key) -> Finding:
    """Several policies of one scope are meant for one workload; the oldest applies, whole."""
    problem = f"has no effect on this workload: {by} comes first and applies; they are never merged"
    return Finding("OUT610", origin, "", problem, "make one of both, or narrow a selector", Severity.WARNING)


def not_received(origin: Key, port: ServicePort, *, number: int, shape: Key) -> Finding:
    """A service sends calls to a workload whose proxy does not receive on that port."""
    problem = f"calls to its port {port.number} come to port {number} of this workload, where its proxy does not listen"
    return Finding("OUT611", origin, "", problem, f"add an ingress with that port to {shape}", Severity.WARNING)


def no_authority(origin: Key, mesh: str) -> Finding:
    """A mesh without a certificate authority."""
    problem = f"mesh {mesh!r} has no certificate authority yet, so the proxy listens on nothing"
    return Finding("OUT609", origin, "", problem, severity=Severity.WARNING)


def names_nobody(origin: Key, name: str) -> Finding:
    """A permission names whoever is behind a service, behind which no group is."""
    problem = f"{name} is no service that chooses a WorkloadGroup by the labels it declares, so the rule names nobody"
    return Finding("OUT612", origin, "", problem, "is the name right?", Severity.WARNING)


def rule_elsewhere(origin: Key, rule: str, ports: list[int], *, received: list[int]) -> Finding:
    """A rule is about ports on which the workload does not receive."""
    has = ", ".join(map(str, received)) or "none"
    problem = f"{rule} is about port {', '.join(map(str, ports))}, where the proxy of this workload does not receive"
    hint = f"it receives on {has}: the numbers of its ingress, not those of Services"
    return Finding("OUT613", origin, "", problem, hint, Severity.WARNING)


def section_elsewhere(origin: Key, section: str, *, has: Sequence[str]) -> Finding:
    """A permission is for a port, by its name, that the workload does not have."""
    problem = f"is for inbound {section!r}, which this workload does not have, so it has no effect here"
    return Finding("OUT613", origin, "", problem, f"it has {', '.join(has) or 'none'}", Severity.WARNING)


def rule_about_requests(origin: Key, rule: str, port: int, *, denies: bool) -> Finding:
    """A rule asks for what only requests have, at a port that takes bytes."""
    effect = "it denies by what else it says" if denies else "it never allows anything there"
    problem = f"{rule} asks for hosts, methods, paths or headers, but port {port} takes bytes: {effect}"
    return Finding("OUT614", origin, "", problem, "limit it to the other ports", Severity.WARNING)
