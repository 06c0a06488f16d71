"""What both bindings have: who gets a role, and which. The role of a binding can never be another one.

In: the body of a binding. Out: findings, columns.
"""

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from outrig.dialects.columns import AGE
from outrig.dialects.findings import INVALID, NOT_HONOURED, Place
from outrig.dialects.kind import Column
from outrig.dialects.schema import ATOMIC, Form, checked, parse
from outrig.errors import Finding
from outrig.resources import Json, Resource

GROUP: Final = "rbac.authorization.k8s.io"
VERSIONS: Final = ("v1",)
_OF_SUBJECT: Final = {"User": GROUP, "Group": GROUP, "ServiceAccount": ""}


class RoleRef(Form):
    """The role that a binding gives."""

    api_group: str = Field(default=GROUP, description=f"Always {GROUP}.")
    kind: Annotated[str, checked(("Role", "ClusterRole").__contains__, "Role or ClusterRole")] = Field(
        description="Role (of the same namespace) or ClusterRole."
    )
    name: str = Field(min_length=1, description="The name of the role.")


class Subject(Form):
    """Somebody who gets a role."""

    kind: str = Field(description="User, Group or ServiceAccount.")
    api_group: str = Field(default="", description=f'{GROUP} of users and groups, "" of service accounts.')
    name: str = Field(min_length=1, description="The name, as `kubectl auth whoami` shows it.")
    namespace: str = Field(default="", description="Of a service account; nobody else has one.")


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


def _subject_findings(body: BindingBody, place: Place) -> Iterator[Finding]:
    for index, subject in enumerate(body.subjects):
        at = place[index]
        if subject.kind not in _OF_SUBJECT:
            yield (at / "kind").error(INVALID, f"must be one of {', '.join(_OF_SUBJECT)}")
            continue
        if subject.api_group != _OF_SUBJECT[subject.kind]:
            yield (at / "apiGroup").error(INVALID, f'must be "{_OF_SUBJECT[subject.kind]}"')
        is_account = subject.kind == "ServiceAccount"
        if is_account and not subject.namespace:
            yield (at / "namespace").error(INVALID, "a service account is in a namespace")
        if is_account:
            why = "no credential of a service account lets anybody in: bind a user or a group"
            yield at.warning(NOT_HONOURED, why)


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
