"""What both bindings have: who gets a role, and which. The role of a binding can never be another one.

In: the body of a binding. Out: findings, columns.
"""

from collections.abc import Iterator
from typing import Final

from pydantic import Field

from outrig.dialects.columns import AGE
from outrig.dialects.findings import INVALID, MISSING, NOT_HONOURED, Place
from outrig.dialects.kind import Column, Kind, SetOnce
from outrig.dialects.schema import ATOMIC, Form, parse
from outrig.dialects.syntax import is_dns_subdomain
from outrig.errors import Finding
from outrig.resources import Json, Resource

GROUP: Final = "rbac.authorization.k8s.io"
VERSIONS: Final = ("v1",)
SET_ONCE: Final = (SetOnce("roleRef", "cannot change roleRef"),)
_OF_SUBJECT: Final = {"User": GROUP, "Group": GROUP, "ServiceAccount": ""}


class RoleRef(Form):
    """The role that a binding gives."""

    api_group: str = Field(default=GROUP, description=f"Always {GROUP}.")
    kind: str = Field(description="Role (of the same namespace) or ClusterRole.")
    name: str = Field(description="The name of the role.")


class Subject(Form):
    """Somebody who gets a role."""

    kind: str = Field(description="User, Group or ServiceAccount.")
    api_group: str = Field(default="", description=f'{GROUP} of users and groups, "" of service accounts.')
    name: str = Field(description="The name, as `kubectl auth whoami` shows it.")
    namespace: str = Field(
        default="", description="Of a service account; in a RoleBinding its own, if left out. Nobody else has one."
    )


class BindingBody(Form):
    """Who gets which role."""

    subjects: list[Subject] = Field(default=[], description="Who gets it; nobody, if it is empty.")
    role_ref: RoleRef = Field(
        description="The role; it can never be changed. Make another binding instead.", json_schema_extra=ATOMIC
    )


def defaulted(body: Json) -> Json:
    """With the API groups that Kubernetes fills in."""
    subjects = [_with_group(subject) for subject in body.get("subjects") or ()]
    given = body["roleRef"]
    role = {**given, "apiGroup": given.get("apiGroup") or GROUP}
    return {**body, **({"subjects": subjects} if subjects else {}), "roleRef": role}


def binding_findings(resource: Resource, *kinds: str) -> tuple[Finding, ...]:
    """What is wrong with a binding that may name roles of those kinds."""
    body, place = parse(BindingBody, resource), Place(resource.key, "roleRef")
    return (*_role_findings(body.role_ref, place, kinds), *_subject_findings(body, Place(resource.key, "subjects")))


def _role_findings(role: RoleRef, place: Place, kinds: tuple[str, ...]) -> Iterator[Finding]:
    if role.api_group != GROUP:
        yield (place / "apiGroup").error(INVALID, f"must be {GROUP}")
    if role.kind not in kinds:
        yield (place / "kind").error(INVALID, f"must be {' or '.join(kinds)}")
    if not role.name:
        yield (place / "name").error(MISSING, "a binding names its role")
    elif role.name in (".", "..") or {"/", "%"} & {*role.name}:
        yield (place / "name").error(INVALID, "no role has such a name: it may not be '.' or '..', nor have '/' or '%'")


def _subject_findings(body: BindingBody, place: Place) -> Iterator[Finding]:
    for index, subject in enumerate(body.subjects):
        at = place[index]
        if not subject.name:
            yield (at / "name").error(MISSING, "a subject has a name")
        if subject.kind not in _OF_SUBJECT:
            yield (at / "kind").error(INVALID, f"must be one of {', '.join(_OF_SUBJECT)}")
            continue
        if subject.api_group != _OF_SUBJECT[subject.kind]:
            yield (at / "apiGroup").error(INVALID, f'must be "{_OF_SUBJECT[subject.kind]}"')
        if subject.kind == "ServiceAccount":
            yield from _account_findings(subject, at)


def _account_findings(subject: Subject, place: Place) -> Iterator[Finding]:
    if subject.name and not is_dns_subdomain(subject.name):
        why = "a service account has lower-case letters, digits, '-' and '.', and begins and ends with one of the first"
        yield (place / "name").error(INVALID, why)
    if not subject.namespace and not place.origin.namespace:
        yield (place / "namespace").error(MISSING, "a service account is in a namespace")
    why = "no credential of a service account lets anybody in: bind a user or a group"
    yield place.warning(NOT_HONOURED, why)


def _with_group(subject: Json) -> Json:
    given = subject.get("apiGroup")
    group = _OF_SUBJECT.get(str(subject.get("kind")), "")
    return {**subject, "apiGroup": group} if not given and group else subject


def _role(resource: Resource) -> str:
    role = resource.body.get("roleRef") or {}
    return f"{role.get('kind', '')}/{role.get('name', '')}"


def _named(kind: str) -> Column:
    def cell(resource: Resource) -> str:
        found = [subject for subject in resource.body.get("subjects") or () if subject.get("kind") == kind]
        return ", ".join("/".join(filter(None, (one.get("namespace"), one.get("name")))) for one in found)

    return Column(f"{kind}s", cell, description=f"The {kind}s that get it", priority=1)


COLUMNS: Final = (
    Column("Role", _role, description="The role that it gives"),
    AGE,
    _named("User"),
    _named("Group"),
    _named("ServiceAccount"),
)


def binding(name: str, *roles: str, namespaced: bool) -> Kind:
    """The kind of bindings of that name. `roles`: the kinds of roles that they give."""
    return Kind(
        group=GROUP,
        name=name,
        plural=f"{name.lower()}s",
        versions=VERSIONS,
        schema=BindingBody,
        namespaced=namespaced,
        has_status=False,
        strategic_merge=True,
        created_by_update=True,
        set_once=SET_ONCE,
        columns=COLUMNS,
        default=defaulted,
        findings=lambda resource: binding_findings(resource, *roles),
    )
