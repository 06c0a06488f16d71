"""Which virtual host takes a request: Envoy's choice by domain.

Source: envoy.config.route.v3.VirtualHost.domains. The order is exact, suffix wildcard (`*.shop`), prefix wildcard
(`shop.*`), `*`; of several wildcards of a kind the longest. Compared without case; our tables ignore the port.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from outrig.model import Protocol, Service, ServicePort
from outrig.view import HttpOutbound, VirtualHost
from outrig.view.imports import Imported
from outrig.view.names import claim_names
from outrig.why.question import Call, in_brackets

_USUAL_PORT: Final = 80
_SOME_PORT: Final = ServicePort(0, "", Protocol.UNSPECIFIED, 0)


@dataclass(frozen=True, slots=True)
class Match:
    """The virtual host that takes a Host, and the domain by which it does."""

    host: VirtualHost
    domain: str


def match_host(name: str, hosts: Sequence[VirtualHost]) -> Match | None:
    """The virtual host for a Host without its port; None if none takes it."""
    taken = {domain.lower(): Match(host, domain) for host in reversed(hosts) for domain in reversed(host.domains)}
    domain = match_domain(name, taken)
    return taken[domain] if domain is not None else None


def match_domain(name: str, domains: Iterable[str]) -> str | None:
    """The one of these (lower-case) domains that Envoy prefers for a name; None if none fits."""
    name, known = name.lower(), set(domains)
    if name in known:
        return name
    suffixes = [domain for domain in known if domain.startswith("*") and len(domain) > 1]
    prefixes = [domain for domain in known if domain.endswith("*") and len(domain) > 1]
    fitting = [
        *_longest_first(domain for domain in suffixes if _longer(name, domain) and name.endswith(domain[1:])),
        *_longest_first(domain for domain in prefixes if _longer(name, domain) and name.startswith(domain[:-1])),
        *known & {"*"},
    ]
    return fitting[0] if fitting else None


def _longer(name: str, wildcard: str) -> bool:
    """The star stands for one character at least."""
    return len(name) >= len(wildcard)


def _longest_first(domains: Iterable[str]) -> list[str]:
    return sorted(domains, key=lambda domain: (-len(domain), domain))


def names_of(service: Service, home: str) -> tuple[str, ...]:
    """The names by which callers of a namespace may know a service, as domains."""
    names, _ = claim_names([Imported(service, _SOME_PORT)], home)
    return names[0]


def route_of(call: Call, listener: HttpOutbound) -> Match | None:
    """The virtual host of a listener for a call. Where services of all ports meet, the port in the Host counts."""
    return match_host(host_header(call) if listener.any_port else in_brackets(call.host), listener.hosts)


def host_header(call: Call) -> str:
    """The Host that clients send: with its port, but for the usual one."""
    return in_brackets(call.host) if call.port == _USUAL_PORT else f"{in_brackets(call.host)}:{call.port}"
