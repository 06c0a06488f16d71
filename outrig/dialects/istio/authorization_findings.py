"""What is wrong, or doubtful, with an AuthorizationPolicy, all at once."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pydantic.alias_generators import to_camel

from outrig.dialects.findings import INVALID, MISSING, NOT_HONOURED, NOT_SUPPORTED, SELECTS_NOTHING, Place
from outrig.dialects.istio.authorization_policy_spec import (
    AuthorizationPolicyBody,
    AuthorizationPolicySpec,
    Operation,
    RuleForm,
    Source,
    When,
)
from outrig.dialects.istio.authorization_values import (
    KEYS,
    OF_OPERATION,
    OF_SOURCE,
    Home,
    Misspelt,
    Reader,
    reader_of,
)
from outrig.dialects.schema import parse
from outrig.errors import Finding, did_you_mean
from outrig.resources import Resource

DRY_RUN: Final = "istio.io/dry-run"
_ANYWHERE: Final = Home("default", "default", "cluster.local")  # spelling does not depend on it
_LATER: Final = {
    "request_principals": "requests carry no token that a proxy checks",
    "remote_ip_blocks": "no header that names an address is trusted; ipBlocks compares that of the connection",
}
_LATER_KEYS: Final = ("request.auth.", "remote.ip", "destination.ip", "source.trustDomain", "experimental.")


def findings(resource: Resource) -> tuple[Finding, ...]:
    """All of them."""
    place = Place(resource.key)
    spec = parse(AuthorizationPolicyBody, resource).spec
    return (*_of_annotation(resource), *_of_spec(place, spec), *_of_rules(place, spec))


def _of_annotation(resource: Resource) -> Iterator[Finding]:
    asked = resource.annotations.get(DRY_RUN)
    if asked not in (None, "true", "false"):
        place = Place(resource.key, "metadata.annotations")[DRY_RUN]
        yield place.warning(NOT_HONOURED, f"{asked!r} has no effect", "write true, or leave it out")


def _of_spec(place: Place, spec: AuthorizationPolicySpec) -> Iterator[Finding]:
    if spec.action in ("AUDIT", "CUSTOM"):
        yield (place / "action").error(NOT_SUPPORTED, f"{spec.action} is not supported yet", "use ALLOW or DENY")
    if spec.provider is not None:
        yield (place / "provider").error(NOT_SUPPORTED, "providers are not supported yet")
    if spec.target_ref is not None or spec.target_refs:
        field = "targetRefs" if spec.target_refs else "targetRef"
        yield (place / field).error(NOT_SUPPORTED, "targets are not supported yet", "use spec.selector")
    if spec.action == "DENY" and not spec.rules:
        yield (place / "rules").error(MISSING, "a DENY without rules denies nothing", "add {} to deny everything")


def _of_rules(place: Place, spec: AuthorizationPolicySpec) -> Iterator[Finding]:
    for number, rule in enumerate(spec.rules):
        here = (place / "rules")[number]
        yield from _of_parts(here, rule)
        for index, condition in enumerate(rule.when):
            yield from _of_condition((here / "when")[index], condition)


def _of_parts(place: Place, rule: RuleForm) -> Iterator[Finding]:
    for index, one in enumerate(rule.from_):
        here = (place / "from")[index] / "source"
        yield from _of_fields(here, one.source, OF_SOURCE)
        yield from _accounts_beside_others(here, one.source)
    for index, to in enumerate(rule.to):
        yield from _of_fields((place / "to")[index] / "operation", to.operation, OF_OPERATION)


def _accounts_beside_others(place: Place, source: Source) -> Iterator[Finding]:
    accounts = source.service_accounts or source.not_service_accounts
    others = source.principals or source.not_principals or source.namespaces or source.not_namespaces
    if accounts and others:
        problem = "cannot stand beside principals or namespaces"
        yield (place / "serviceAccounts").error(INVALID, problem, "write NAMESPACE/NAME")


def _of_fields(place: Place, form: Source | Operation, readers: Mapping[str, Reader]) -> Iterator[Finding]:
    given = {name: values for name in type(form).model_fields if (values := getattr(form, name))}
    if not given:
        yield place.error(MISSING, "is empty, so it says nothing", f"leave out {place.path.rpartition('.')[2]}")
    for name, values in given.items():
        here, plain = place / to_camel(name), name.removeprefix("not_")
        if plain in _LATER:
            yield here.error(NOT_SUPPORTED, "is not supported yet", _LATER[plain])
        else:
            yield from _of_values(here, values, readers[plain])


def _of_values(place: Place, values: Iterable[str], read: Reader) -> Iterator[Finding]:
    for index, value in enumerate(values):
        try:
            read(value, _ANYWHERE)
        except Misspelt as misspelt:
            yield place[index].error(INVALID, f"{value!r} {misspelt.problem}", misspelt.hint)


def _of_condition(place: Place, condition: When) -> Iterator[Finding]:
    if not (condition.values or condition.not_values):
        yield place.error(MISSING, "has neither values nor notValues")
    read = reader_of(condition.key)
    if read is not None:
        yield from _of_values(place / "values", condition.values, read)
        yield from _of_values(place / "notValues", condition.not_values, read)
    elif condition.key.startswith(_LATER_KEYS):
        yield (place / "key").error(NOT_SUPPORTED, f"{condition.key!r} is not supported yet")
    else:
        yield (place / "key").error(INVALID, f"{condition.key!r} is no key", did_you_mean(condition.key, KEYS))
    if condition.key == "connection.sni":
        problem = "calls of the mesh name no server: it can only fit an application's own TLS on a permissive port"
        yield (place / "key").warning(SELECTS_NOTHING, problem)
