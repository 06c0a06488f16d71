"""AuthorizationPolicy: who may call workloads of groups, and for what. Dataplanes have MeshTrafficPermission.

DENY counts before ALLOW; as soon as one ALLOW is for a workload, nothing else may pass. Policies have no precedence.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from outrig.dialects.columns import AGE
from outrig.dialects.istio.authorization_findings import DRY_RUN, findings
from outrig.dialects.istio.authorization_policy_spec import (
    AuthorizationPolicyBody,
    AuthorizationPolicySpec,
    Operation,
    RuleForm,
    Source,
    When,
)
from outrig.dialects.istio.authorization_values import (
    OF_OPERATION,
    OF_SOURCE,
    Home,
    Misspelt,
    Reader,
    is_about_caller,
    reader_of,
)
from outrig.dialects.istio.precedence import ROOT_NAMESPACE, level_of, rank_of
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.schema import parse
from outrig.model import Access, Action, Policy, Rule, Selector, labels_of
from outrig.model.conditions import Condition, all_of, any_of, none_of
from outrig.resources import Resource


def _compile(resource: Resource, scope: Scope) -> tuple[Policy[Access], ...]:
    """From the root namespace it reaches all namespaces, with a selector too."""
    spec = parse(AuthorizationPolicyBody, resource).spec
    if spec.action in ("AUDIT", "CUSTOM"):
        return ()
    namespace = resource.key.namespace
    labels = labels_of(spec.selector.match_labels if spec.selector else {})
    reach = Selector(None if namespace == ROOT_NAMESPACE else namespace, labels)
    mesh = scope.mesh_of(namespace)
    home = Home(namespace, mesh, scope.trust_domain(mesh))
    access = Access(
        rules=tuple(_rules(resource, spec, home)),
        exclusive=spec.action == "ALLOW",
        rehearsed=resource.annotations.get(DRY_RUN) == "true",
    )
    return (Policy(resource.key, reach, access, rank_of(resource, level_of(namespace, has_selector=bool(labels)))),)


def _rules(resource: Resource, spec: AuthorizationPolicySpec, home: Home) -> Iterator[Rule]:
    """Named as Istio names them, for those who search logs."""
    action = Action.ALLOW if spec.action == "ALLOW" else Action.DENY
    for number, rule in enumerate(spec.rules):
        name = f"ns[{resource.key.namespace}]-policy[{resource.key.name}]-rule[{number}]"
        yield Rule(resource.key, name, action, _callers(rule, home), _calls(rule, home))


def _callers(rule: RuleForm, home: Home) -> Condition:
    sources = any_of(_fields(one.source, OF_SOURCE, home) for one in rule.from_)
    further = (_when(one, home) for one in rule.when if is_about_caller(one.key))
    return all_of([*([sources] if rule.from_ else []), *further])


def _calls(rule: RuleForm, home: Home) -> Condition:
    operations = any_of(_fields(one.operation, OF_OPERATION, home) for one in rule.to)
    further = (_when(one, home) for one in rule.when if not is_about_caller(one.key))
    return all_of([*([operations] if rule.to else []), *further])


def _fields(form: Source | Operation, readers: Mapping[str, Reader], home: Home) -> Condition:
    return all_of(
        part
        for name, read in readers.items()
        for part in _values(getattr(form, name), getattr(form, f"not_{name}"), read, home=home)
    )


def _when(condition: When, home: Home) -> Condition:
    read = reader_of(condition.key)
    return all_of(_values(condition.values, condition.not_values, read, home=home)) if read else any_of(())


def _values(some: Iterable[str], not_any: Iterable[str], read: Reader, *, home: Home) -> Iterator[Condition]:
    fitting, excluded = list(_read(some, read, home)), list(_read(not_any, read, home))
    if fitting:
        yield any_of(fitting)
    if excluded:
        yield none_of(excluded)


def _read(values: Iterable[str], read: Reader, home: Home) -> Iterator[Condition]:
    """A resource of an older release may have a value that is refused today: nothing fits it."""
    for value in values:
        try:
            yield read(value, home)
        except Misspelt:
            yield any_of(())


def _action_cell(resource: Resource) -> str:
    return str(resource.spec.get("action") or "ALLOW")


AUTHORIZATION_POLICY: Final = Kind(
    group="security.istio.io",
    name="AuthorizationPolicy",
    plural="authorizationpolicies",
    singular="authorizationpolicy",
    short_names=("ap",),
    categories=("istio-io", "security-istio-io"),
    versions=("v1", "v1beta1"),
    deprecated=("v1beta1",),
    schema=AuthorizationPolicyBody,
    columns=(Column("Action", _action_cell, description="What happens to what its rules fit"), AGE),
    findings=findings,
    compile=_compile,
)
