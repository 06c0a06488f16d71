"""What a port lets pass: all permissions that count for it, folded into denials and allowances.

In: a workload, its ports and what the mesh knows. Out: `Guard`s, with nothing in them but tests that a proxy can make.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from outrig.errors import Finding
from outrig.model import Access, Action, Ingress, Policy, Regime, Rule, Surroundings, TlsMode, Workload
from outrig.model.conditions import (
    ALWAYS,
    NEVER,
    Behind,
    Condition,
    Having,
    Identity,
    Port,
    Test,
    all_of,
    any_of,
    exactly,
    is_about_requests,
    none_of,
    replaced,
    tests_in,
    widened_to_bytes,
)
from outrig.view import findings
from outrig.view.guard import OPEN, Gate, Guard, Traffic
from outrig.view.proxy import Inbound

Permissions = Mapping[Inbound, Sequence[Policy[Access]] | None]


def permissions_by_port(
    workload: Workload, ingress: Iterable[Ingress], received: Iterable[Inbound], mesh: Surroundings
) -> Permissions:
    """The permissions that count at each port, in the order in which they do; None: none do, everything passes."""
    first = {one.port: one for one in reversed(tuple(ingress))}
    of_workload = [one for one in mesh.access_for(workload.namespace, workload.labels) if not one.settings.of_ports]
    found: dict[Inbound, Sequence[Policy[Access]] | None] = {}
    for inbound in received:
        port = first[inbound.port]
        of_port = [one for one in mesh.access_for(workload.namespace, port.labels) if one.settings.of_ports]
        fitting = (one for one in (*of_workload, *of_port) if _fits(one.settings, workload.regime, port.name))
        is_void = workload.regime is Regime.CLOSED and inbound.tls is TlsMode.DISABLE
        found[inbound] = None if is_void else sorted(fitting, key=lambda policy: (policy.rank, policy.origin))
    return found


def guards_of(regime: Regime, permissions: Permissions, mesh: Surroundings) -> tuple[Guard, ...]:
    """What passes at each port, for requests, bytes or both."""
    return tuple(
        Guard(inbound.port, traffic, OPEN)
        if policies is None
        else _guard(regime, policies, inbound.port, traffic, mesh=mesh)
        for inbound, policies in permissions.items()
        for traffic in traffic_of(inbound)
    )


def traffic_of(inbound: Inbound) -> list[Traffic]:
    """What a port may be asked for."""
    requests = [Traffic.REQUESTS] if inbound.takes_requests else []
    return requests if inbound.protocol.is_http else [*requests, Traffic.BYTES]


def _fits(access: Access, regime: Regime, port_name: str) -> bool:
    return access.regime is regime and access.section in ("", port_name)


def _guard(
    regime: Regime, policies: Sequence[Policy[Access]], port: int, traffic: Traffic, *, mesh: Surroundings
) -> Guard:
    meant = [policy.settings for policy in policies if not policy.settings.rehearsed]
    gate = _gate(regime, meant, port, traffic, mesh=mesh)
    if not any(map(_is_rehearsal, policies)):
        return Guard(port, traffic, gate)
    doubted = [_without_doubt(policy.settings) for policy in policies]
    rehearsed = _gate(regime, doubted, port, traffic, mesh=mesh)
    return Guard(port, traffic, gate, None if rehearsed == gate else rehearsed)


def _is_rehearsal(policy: Policy[Access]) -> bool:
    return policy.settings.rehearsed or any(rule.action is Action.DOUBT for rule in policy.settings.rules)


def _without_doubt(access: Access) -> Access:
    """As it would be if doubts were denials."""
    rules = (replace(rule, action=Action.DENY) if rule.action is Action.DOUBT else rule for rule in access.rules)
    return replace(access, rules=tuple(rules))


def _gate(regime: Regime, some: Sequence[Access], port: int, traffic: Traffic, *, mesh: Surroundings) -> Gate:
    rules = [_here(rule, port, traffic, mesh) for access in some for rule in access.rules]
    allowed = tuple(rule for rule in rules if rule.action is not Action.DENY and _can_hold(rule))
    denied = tuple(
        rule
        for rule in (_unless_allowed(rule, rules[number + 1 :]) for number, rule in enumerate(rules))
        if rule.action is Action.DENY and _can_hold(rule)
    )
    is_closed = regime is Regime.CLOSED or any(access.exclusive for access in some)
    return Gate(denied, allowed if is_closed else None)


def _can_hold(rule: Rule) -> bool:
    return NEVER not in (rule.callers, rule.calls)


def _here(rule: Rule, port: int, traffic: Traffic, mesh: Surroundings) -> Rule:
    """The rule with all that is known of this port. About bytes it can only ask what bytes have: an allowance that asks
    more never holds, a denial then holds of every connection of which it might."""
    calls = _at(port, rule.calls)
    if traffic is Traffic.BYTES and is_about_requests(calls):
        calls = widened_to_bytes(calls) if rule.action is Action.DENY else NEVER
    return replace(rule, callers=with_identities(rule.callers, mesh), calls=calls)


def with_identities(callers: Condition, mesh: Surroundings) -> Condition:
    """A condition about callers with the identities in it of those whom only the mesh knows."""
    return replaced(callers, partial(_known, mesh))


def _at(port: int, calls: Condition) -> Condition:
    def known(test: Test) -> Condition:
        return (ALWAYS if test.number == port else NEVER) if isinstance(test, Port) else test

    return replaced(calls, known)


def _known(mesh: Surroundings, test: Test) -> Condition:
    if isinstance(test, Behind | Having):
        return any_of(Identity(exactly(identity)) for identity in mesh.identities_named(test))
    return test


def _unless_allowed(rule: Rule, later: Iterable[Rule]) -> Rule:
    """A denial that yields, without the callers whom a later rule allows."""
    if not rule.yields or rule.action is not Action.DENY:
        return rule
    others = (one.callers for one in later if one.action is not Action.DENY and one.calls == ALWAYS)
    return replace(rule, callers=all_of([rule.callers, none_of(others)]))


def access_findings(permissions: Permissions, mesh: Surroundings) -> Iterator[Finding]:
    """What permissions say that can have no effect on this workload, or another one than it looks."""
    ports = {inbound.port for inbound in permissions}
    for policy in dict.fromkeys(policy for policies in permissions.values() for policy in policies or ()):
        yield from _named_in_vain(policy, mesh)
        yield from _elsewhere(policy, ports)
    for inbound, policies in permissions.items():
        if not inbound.takes_requests:
            yield from _about_requests(policies or (), inbound.port)


def section_findings(workload: Workload, ingress: Iterable[Ingress], mesh: Surroundings) -> Iterator[Finding]:
    """Permissions that are for a port of the workload by its name, which none of its ports has. Said, as below, only of
    what is aimed at some workloads."""
    names = [port.name for port in ingress if port.name]
    for policy in mesh.access_for(workload.namespace, workload.labels):
        access = policy.settings
        aimed = policy.applies_to.labels and not access.of_ports and access.regime is workload.regime
        if aimed and access.section and access.section not in names:
            yield findings.section_elsewhere(policy.origin, access.section, has=names)


def _named_in_vain(policy: Policy[Access], mesh: Surroundings) -> Iterator[Finding]:
    tests = (test for rule in policy.settings.rules for test in tests_in(rule.callers))
    for who in dict.fromkeys(test for test in tests if isinstance(test, Behind)):
        if not mesh.identities_named(who):
            yield findings.names_nobody(policy.origin, f"{who.namespace}/{who.name}")


def _elsewhere(policy: Policy[Access], received: set[int]) -> Iterator[Finding]:
    """Said only of what is aimed at some workloads: one for all of them may be about ports that few have."""
    for rule in policy.settings.rules if policy.applies_to.labels else ():
        ports = {test.number for test in tests_in(rule.calls) if isinstance(test, Port)}
        if ports and not ports & received:
            yield findings.rule_elsewhere(policy.origin, rule.name, sorted(ports), received=sorted(received))


def _about_requests(policies: Iterable[Policy[Access]], port: int) -> Iterator[Finding]:
    for policy in policies:
        for rule in policy.settings.rules:
            if is_about_requests(_at(port, rule.calls)):
                denies = rule.action is Action.DENY
                yield findings.rule_about_requests(policy.origin, rule.name, port, denies=denies)
