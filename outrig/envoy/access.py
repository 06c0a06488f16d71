"""Permissions as Envoy's RBAC filters, which travel by extension discovery (ECDS) and never in a listener.

A port has two filters for each kind of traffic: the first refuses what is denied, the second what is not allowed, so
that logs can name the denial. The listener only names them, and keeps its port closed until they have come; a change
of permissions replaces the filters alone, and holds from the next request or connection on.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import partial
from ipaddress import ip_network
from typing import Final

from outrig.envoy import api
from outrig.envoy.parts import ADS, Field, line_on_stdout, named
from outrig.model import Rule
from outrig.model.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Form,
    Header,
    Identity,
    Network,
    Not,
    Path,
    ServerName,
    Text,
)
from outrig.view import Gate, Guard, Traffic


class Half(StrEnum):
    """Which of the two filters."""

    DENY = "deny"
    ALLOW = "allow"


_URL: Final = {
    Traffic.REQUESTS: f"type.googleapis.com/{api.HttpRbac.DESCRIPTOR.full_name}",
    Traffic.BYTES: f"type.googleapis.com/{api.NetworkRbac.DESCRIPTOR.full_name}",
}
_NAMESPACE: Final = {Traffic.REQUESTS: "envoy.filters.http.rbac", Traffic.BYTES: "envoy.filters.network.rbac"}
_CEL: Final = "envoy.access_loggers.extension_filters.cel"
_ANY: Final[Field] = {"any": True}


def guard_names(port: int, traffic: Traffic) -> list[str]:
    """The names of a port's filters, in order."""
    return [_name(port, traffic, half) for half in Half]


def guard_filters(port: int, traffic: Traffic) -> list[Field]:
    """The filters of a port, in order, as its listener names them. Without one nothing passes."""
    discovery = {"config_source": ADS, "type_urls": [_URL[traffic]]}
    return [{"name": name, "config_discovery": discovery} for name in guard_names(port, traffic)]


def guard_extensions(guard: Guard) -> Iterator[tuple[str, partial[api.TypedExtensionConfig]]]:
    """The filters of a guard: the name of each, and how to build it."""
    for half in Half:
        name = _name(guard.port, guard.traffic, half)
        yield name, partial(_extension, name, guard, half)


def _name(port: int, traffic: Traffic, half: Half) -> str:
    return f"inbound|{port}|{traffic}|{half}"


def _extension(name: str, guard: Guard, half: Half) -> api.TypedExtensionConfig:
    rules, rehearsed = _rules(guard.gate, half), _rules(guard.rehearsed or guard.gate, half)
    differs = {"shadow_rules": rehearsed, "shadow_rules_stat_prefix": _rehearsal(half)}
    said = {"rules": rules, **(differs if rehearsed != rules else {})}
    if guard.traffic is Traffic.REQUESTS:
        rbac = api.HttpRbac(**said)
    else:
        rbac = api.NetworkRbac(**said, stat_prefix=f"tcp.inbound_{guard.port}.")
    return api.TypedExtensionConfig(name=name, typed_config=api.packed(rbac))


def _rehearsal(half: Half) -> str:
    return f"dry_run_{half}."


def _rules(gate: Gate, half: Half) -> Field | None:
    """One half of a gate; None: it refuses nothing."""
    if half is Half.DENY:
        return {"action": "DENY", "policies": _policies(gate.denied)} if gate.denied else None
    return None if gate.allowed is None else {"action": "ALLOW", "policies": _policies(gate.allowed)}


def _policies(rules: Iterable[Rule]) -> Field:
    return {
        rule.name: api.RbacPolicy(permissions=[_permission(rule.calls)], principals=[_principal(rule.callers)])
        for rule in rules
    }


def _permission(condition: Condition) -> Field:
    match condition:
        case AllOf(parts):
            return {"and_rules": {"rules": [_permission(part) for part in parts]}} if parts else _ANY
        case AnyOf(parts):
            return {"or_rules": {"rules": [_permission(part) for part in parts]}} if parts else {"not_rule": _ANY}
        case Not(part):
            return {"not_rule": _permission(part)}
        case Header(name, value):
            return {"header": {"name": name, **_value(value)}}
        case Path(path):
            return {"url_path": {"path": _text(path)}}
        case ServerName(name):
            return {"requested_server_name": _text(name)}
        case other:
            raise TypeError(f"no test of a call: {other}")


def _principal(condition: Condition) -> Field:
    match condition:
        case AllOf(parts):
            return {"and_ids": {"ids": [_principal(part) for part in parts]}} if parts else _ANY
        case AnyOf(parts):
            return {"or_ids": {"ids": [_principal(part) for part in parts]}} if parts else {"not_id": _ANY}
        case Not(part):
            return {"not_id": _principal(part)}
        case Identity(uri):
            return {"authenticated": {"principal_name": _text(uri)}}
        case Network(cidr):
            network = ip_network(cidr, strict=False)
            of = {"address_prefix": str(network.network_address), "prefix_len": {"value": network.prefixlen}}
            return {"direct_remote_ip": of}
        case other:
            raise TypeError(f"no test of a caller: {other}")


def _value(text: Text) -> Field:
    return {"present_match": True} if text.form is Form.PRESENT else {"string_match": _text(text)}


def _text(text: Text) -> Field:
    match text.form:
        case Form.PATTERN:
            return {"safe_regex": {"regex": text.value}}
        case Form.PRESENT:
            return {"safe_regex": {"regex": ".+"}}
        case form:
            return {str(form): text.value, **({"ignore_case": True} if text.any_case else {})}


# How the proxy says why it ended a call, in its logs and in the conditions of its logs (CEL).
_REASON: Final = {
    Traffic.REQUESTS: ("%RESPONSE_CODE_DETAILS%", "response.code_details"),
    Traffic.BYTES: ("%CONNECTION_TERMINATION_DETAILS%", "connection.termination_details"),
}


def verdict_logs(traffic: Traffic) -> list[Field]:
    """A line on stdout for each call that is refused, and for each that would be if what is only rehearsed were meant:
    who called, and the rule that denies it; without one, nothing allows it."""
    reason, attribute = _REASON[traffic]
    refused = f"{attribute}.startsWith('rbac_access_denied')"
    in_rehearsal = {"or_filter": {"filters": [_is_denied_in_rehearsal(traffic, half) for half in Half]}}
    only_there = {"and_filter": {"filters": [in_rehearsal, _holds(f"!has({attribute}) || !{refused}")]}}
    rule = f"%DYNAMIC_METADATA({_NAMESPACE[traffic]}:{_rehearsal(Half.DENY)}shadow_effective_policy_id)%"
    return [
        _verdict_log(traffic, "refused", reason, _holds(refused)),
        _verdict_log(traffic, "dry run, would be refused", f"rbac_access_denied_matched_policy[{rule}]", only_there),
    ]


def _verdict_log(traffic: Traffic, verdict: str, reason: str, when: Field) -> Field:
    call = '"%REQ(:METHOD)% %REQ(:AUTHORITY)%%PATH(NQ)%"' if traffic is Traffic.REQUESTS else "connection"
    who = "%DOWNSTREAM_PEER_URI_SAN% at %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
    text = f"[%START_TIME%] {verdict}: {call} to %DOWNSTREAM_LOCAL_ADDRESS% from {who} by {reason}\n"
    return {**line_on_stdout(text), "filter": when}


def _holds(expression: str) -> Field:
    return {"extension_filter": named(_CEL, api.CelFilter(expression=expression))}


def _is_denied_in_rehearsal(traffic: Traffic, half: Half) -> Field:
    matcher = {
        "filter": _NAMESPACE[traffic],
        "path": [{"key": f"{_rehearsal(half)}shadow_engine_result"}],
        "value": {"string_match": {"exact": "denied"}},
    }
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": {"value": False}}}
