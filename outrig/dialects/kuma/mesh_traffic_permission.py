"""MeshTrafficPermission: who may call Dataplanes. Workloads of groups have AuthorizationPolicy.

It has an effect only while the mesh's mutual TLS is on; then nobody may call who is not allowed to. Of several `from`
that fit a caller the last counts, in the order of Kuma's precedence; what `rules` deny stays denied.
"""

from collections.abc import Iterator
from typing import Final

from outrig.dialects.columns import AGE
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.kuma.dataplane import NAME_LABEL
from outrig.dialects.kuma.group import GROUP, VERSION
from outrig.dialects.kuma.permission_findings import EFFECT, findings
from outrig.dialects.kuma.permission_spec import Match, PermissionBody, PermissionSpec, RuleDefault
from outrig.dialects.kuma.tags import LOCAL_ZONE, SERVICE, ZONE, identity_of, named_elsewhere, namespace_of
from outrig.dialects.kuma.target_ref import EVERYWHERE, TARGETS, TargetRef, rank_of
from outrig.dialects.schema import parse
from outrig.model import Access, Action, Policy, Regime, Rule, Selector, labels_of
from outrig.model.conditions import (
    ALWAYS,
    NEVER,
    Behind,
    Condition,
    Form,
    Having,
    Identity,
    Text,
    all_of,
    any_of,
    exactly,
)
from outrig.resources import Resource

_KNOWN: Final = Identity(Text(Form.PREFIX, "spiffe://"))  # whoever has a certificate
_ACTIONS: Final = {"Allow": Action.ALLOW, "Deny": Action.DENY, "AllowWithShadowDeny": Action.DOUBT}


def _compile(resource: Resource, scope: Scope) -> tuple[Policy[Access], ...]:  # noqa: ARG001 - its mesh is in its key
    spec = parse(PermissionBody, resource).spec
    target = spec.target_ref or EVERYWHERE
    if target.kind not in TARGETS:  # refused today, but perhaps not by the release that stored it
        return ()
    access = Access(
        rules=(*_from(resource, spec), *_rules(resource, spec)),
        regime=Regime.CLOSED,
        rehearsed=resource.labels.get(EFFECT) == "shadow",
        of_ports=target.kind.startswith("MeshS"),
        section=target.section_name,
    )
    return (Policy(resource.key, _reach(target, resource.key.mesh), access, rank_of(target, resource.key.name)),)


def _reach(target: TargetRef, mesh: str) -> Selector:
    """Whom a policy is for. The selector of one for inbounds chooses by their tags."""
    labels = {**target.tags, **target.labels}
    if target.name:
        labels[NAME_LABEL if target.kind == "Dataplane" else SERVICE] = target.name
    return Selector(namespace_of(mesh), labels_of(labels))


def _from(resource: Resource, spec: PermissionSpec) -> Iterator[Rule]:
    for number, one in enumerate(spec.from_):
        callers = _callers(one.target_ref, resource.key.mesh)
        name = f"{_name(resource)}-from[{number}]"
        yield Rule(resource.key, name, _ACTIONS[one.default.action], callers, yields=True)


def _rules(resource: Resource, spec: PermissionSpec) -> Iterator[Rule]:
    for number, rule in enumerate(spec.rules):
        for field, (matches, action) in _lists(rule.default).items():
            for index, match in enumerate(matches):
                name = f"{_name(resource)}-rules[{number}].{field}[{index}]"
                yield Rule(resource.key, name, action, _matched(match))


def _lists(said: RuleDefault) -> dict[str, tuple[list[Match], Action]]:
    return {
        "deny": (said.deny, Action.DENY),
        "allowWithShadowDeny": (said.allow_with_shadow_deny, Action.DOUBT),
        "allow": (said.allow, Action.ALLOW),
    }


def _name(resource: Resource) -> str:
    return f"mesh[{resource.key.mesh}]-permission[{resource.key.name}]"


def _matched(match: Match) -> Condition:
    if match.spiffe_id is None:
        return NEVER
    form = Form.EXACT if match.spiffe_id.type == "Exact" else Form.PREFIX
    return Identity(Text(form, match.spiffe_id.value))


def _callers(target: TargetRef, mesh: str) -> Condition:
    """Who is meant: Dataplanes by what their certificates say, groups by their labels and services."""
    tags = {**target.tags, **({SERVICE: target.name} if target.name else {})}
    if not tags:
        return ALWAYS
    service = tags.pop(SERVICE, "")
    dataplane = all_of(Identity(exactly(f"kuma://{key}/{value}")) for key, value in sorted(tags.items()))
    group = _groups(tags)
    if not service:
        return any_of([dataplane, _KNOWN if group == ALWAYS else group])
    named = Identity(exactly(identity_of(mesh, service)))
    elsewhere = named_elsewhere(service)
    behind = Behind(elsewhere[1], elsewhere[0]) if elsewhere else NEVER
    return any_of([all_of([named, dataplane]), all_of([behind, group])])


def _groups(tags: dict[str, str]) -> Condition:
    """Groups that declare such labels; all of them are in the zone of this control plane."""
    if tags.get(ZONE, LOCAL_ZONE) != LOCAL_ZONE:
        return NEVER
    labels = labels_of({key: value for key, value in tags.items() if key != ZONE})
    return Having(labels) if labels else ALWAYS


def _target_cell(resource: Resource) -> str:
    target = parse(PermissionBody, resource).spec.target_ref or EVERYWHERE
    return f"{target.kind}/{target.name}" if target.name else target.kind


MESH_TRAFFIC_PERMISSION: Final = Kind(
    group=GROUP,
    name="MeshTrafficPermission",
    plural="meshtrafficpermissions",
    singular="meshtrafficpermission",
    short_names=("mtp",),
    versions=(VERSION,),
    schema=PermissionBody,
    namespaced=False,
    mesh_scoped=True,
    has_status=False,
    columns=(Column("Target", _target_cell, description="What may be called"), AGE),
    findings=findings,
    compile=_compile,
)
