"""Whether a receiving proxy lets a call pass, and by which permission: what its guard says, read as it would.

Of a call only what was asked about is known: not its method, nor its headers. What depends on those is doubtful.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from outrig.envoy.access import guard_names
from outrig.model import Regime, Rule, Workload
from outrig.model.conditions import AllOf, AnyOf, Condition, Form, Header, Identity, Network, Not, Path
from outrig.snapshot import EXTENSION
from outrig.view import Gate, Guard, Inbound, Traffic, inward_of
from outrig.view.access import with_identities
from outrig.why.explanation import Verdict
from outrig.why.knowledge import Known, Observed
from outrig.why.question import Call


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call as its receiver sees it. `identities`: the URIs in the caller's certificate; none in plaintext."""

    identities: tuple[str, ...]
    address: str
    traffic: Traffic
    call: Call


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether it passes: what decides it, in a sentence (empty: nothing is asked), the resource, what to do.

    `unallowed`: it does not, only because nothing allows it.
    """

    verdict: Verdict
    says: str = ""
    resource: str = ""
    do: str = ""
    unallowed: bool = False


def look_at_permission(arrival: Arrival, by: Workload, inbound: Inbound, known: Known) -> Permission:
    """What the proxy of a workload says to a call at one of its ports."""
    guards = (one for one in inward_of(by, known.mesh).guards if one.port == inbound.port)
    guard = next((one for one in guards if one.traffic is arrival.traffic), None)
    if guard is None:
        return Permission(Verdict.OK)
    permission = _with_rehearsal(_judge(guard.gate, arrival, by.regime), guard, arrival, by.regime)
    return _with_refusal(permission, guard, known.observation(by))


def is_about(rule: Rule, arrival: Arrival, known: Known) -> bool:
    """Whether a rule is about the caller."""
    return _holds(with_identities(rule.callers, known.mesh), arrival) is True


def _with_refusal(permission: Permission, guard: Guard, observed: Observed) -> Permission:
    """A proxy that refused its newest permissions has older ones, which are not known here."""
    names = guard_names(guard.port, guard.traffic)
    refused = next(filter(None, (observed.refusal(EXTENSION, name) for name in names)), None)
    if refused is None:
        return permission
    says = f"its proxy refused its newest permissions and keeps older ones: {refused.reason}"
    return Permission(Verdict.DOUBTFUL, says, permission.resource, "report this")


def _with_rehearsal(permission: Permission, guard: Guard, arrival: Arrival, regime: Regime) -> Permission:
    """What passes may be doubted by what is only rehearsed."""
    if guard.rehearsed is None or permission.verdict is not Verdict.OK:
        return permission
    one_day = _judge(guard.rehearsed, arrival, regime)
    if one_day.verdict is not Verdict.STOPS:
        return permission
    says = "; ".join(part for part in (permission.says, f"a dry run would refuse it: {one_day.says}") if part)
    return Permission(Verdict.OK, says, one_day.resource)


def _judge(gate: Gate, arrival: Arrival, regime: Regime) -> Permission:
    denies, denial = _first(gate.denied, arrival)
    if denial and denies:
        return Permission(Verdict.STOPS, f"{denial.name} denies it", str(denial.origin), f"change {denial.origin}")
    if denial:
        return _depends(denial, "may deny it")
    if gate.allowed is None:
        return Permission(Verdict.OK)
    allows, allowance = _first(gate.allowed, arrival)
    if allowance and allows:
        return Permission(Verdict.OK, f"{allowance.name} allows it", str(allowance.origin))
    return _depends(allowance, "may allow it") if allowance else _not_allowed(gate, arrival, regime)


def _depends(rule: Rule, does: str) -> Permission:
    says = f"{rule.name} {does}: that depends on the request's method or headers, which are not known here"
    return Permission(Verdict.DOUBTFUL, says, str(rule.origin))


def _not_allowed(gate: Gate, arrival: Arrival, regime: Regime) -> Permission:
    names = [identity for identity in arrival.identities if identity.startswith("spiffe://")]
    who = ", ".join(names) or "a caller without certificate"
    origins = dict.fromkeys(str(rule.origin) for rule in gate.allowed or ())
    says = f"nothing allows {who}" + (f"; {', '.join(origins)} allows others" if origins else "")
    kind = "a MeshTrafficPermission" if regime is Regime.CLOSED else "an AuthorizationPolicy"
    return Permission(Verdict.STOPS, says, next(iter(origins), ""), f"allow the caller in {kind}", unallowed=True)


def _first(rules: Iterable[Rule], arrival: Arrival) -> tuple[bool, Rule | None]:
    """The first rule that fits the call, or else the first that may fit it; and whether it surely does."""
    possible = None
    for rule in rules:
        fits = _holds(AllOf((rule.callers, rule.calls)), arrival)
        if fits:
            return True, rule
        if fits is None and possible is None:
            possible = rule
    return False, possible


def _holds(condition: Condition, arrival: Arrival) -> bool | None:
    """Whether a condition holds; None: that is not known."""
    match condition:
        case AllOf(parts):
            found = [_holds(part, arrival) for part in parts]
            return False if False in found else None if None in found else True
        case AnyOf(parts):
            found = [_holds(part, arrival) for part in parts]
            return True if True in found else None if None in found else False
        case Not(part):
            inner = _holds(part, arrival)
            return None if inner is None else not inner
        case Identity(uri):
            return any(uri.fits(identity) for identity in arrival.identities)
        case Network(cidr):
            return _is_in(arrival.address, cidr)
        case Path(path):
            return path.fits(arrival.call.path.partition("?")[0] or "/")
        case Header(":authority", value):
            return value.form is Form.PRESENT or value.fits(f"{arrival.call.host}:{arrival.call.port}")
    return None


def _is_in(address: str, cidr: str) -> bool | None:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return None
