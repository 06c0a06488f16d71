"""What a kind is: its names, how its text becomes valid, how it shows in a table, what it says to the core.

All functions of a kind are pure. The API server and `compile` know kinds only through this.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel

from outrig.dialects.statuses import Status
from outrig.errors import Finding
from outrig.model import Fact
from outrig.resources import Json, Resource


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. `cell` gives the text; ages are given as an RFC 3339 time with `kind="date"`.

    Priority 0 shows always, 1 with `-o wide` only.
    """

    name: str
    cell: Callable[[Resource], str | int]
    kind: Literal["string", "integer", "date"] = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SetOnce:
    """A field of the body that never becomes another value; left out later, it stays. `problem`: what is said of it."""

    path: str
    problem: str

    def of(self, body: Json) -> object:
        """Its value; None where it is not there."""
        found: object = body
        for step in self.path.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        return found

    def within(self, value: object) -> object:
        """A body of nothing but that value for it."""
        for step in reversed(self.path.split(".")):
            value = {step: value}
        return value


@dataclass(frozen=True, slots=True)
class Scope:
    """What a kind's `compile` may ask of its surroundings: the mesh of a namespace, and that mesh's trust domain."""

    mesh_of: Callable[[str], str]
    trust_domain: Callable[[str], str]


def no_findings(_resource: Resource) -> tuple[Finding, ...]:
    """For kinds whose schema says all there is to say."""
    return ()


def no_facts(_resource: Resource, _scope: Scope) -> tuple[Fact, ...]:
    """For kinds that mean nothing to a proxy."""
    return ()


def made_by_its_author(_resource: Resource) -> bool:
    """For kinds that users write."""
    return False


def no_labels(_name: str) -> Mapping[str, str]:
    """For kinds whose labels are their authors' alone."""
    return {}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource.

    `versions`: the served API versions, preferred (and storage) first; all have the same schema. `deprecated`: those of
    them that the preferred one has replaced, and whose use brings a warning. `schema` describes the body: every
    top-level field but apiVersion, kind, metadata, status. `default` fills in what a user may leave out (body in, body
    out) and `findings` judges what the schema cannot; both get only bodies that fit the schema.
    `observed` gives the status as users see it; `status_schema` describes it, and of Kubernetes' own kinds what
    others write must fit it.
    `rivals` judges a resource beside the others of its kind and namespace; None: there is nothing to say of them.
    `columns` are those after NAME, which the API server itself puts first. `system`: made by the control plane only;
    users may read and delete. `mesh_scoped`: in a mesh, and in no namespace. `created_by_update`: a PUT creates one
    that is not there. `own_labels`: those that every object of a name has, whatever its author says. `ours`: whether
    the control plane made this object, and alone says what is in its body and status.
    """

    group: str
    name: str
    plural: str
    versions: tuple[str, ...]
    schema: type[BaseModel]
    deprecated: tuple[str, ...] = ()
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    mesh_scoped: bool = False
    system: bool = False
    has_status: bool = True
    status_schema: type[BaseModel] = Status
    strategic_merge: bool = False
    set_once: tuple[SetOnce, ...] = ()
    created_by_update: bool = False
    own_labels: Callable[[str], Mapping[str, str]] = no_labels
    columns: tuple[Column, ...] = ()
    default: Callable[[Json], Json] = field(default=lambda body: body)
    findings: Callable[[Resource], tuple[Finding, ...]] = no_findings
    observed: Callable[[Resource], Json] = field(default=lambda resource: resource.status)
    ours: Callable[[Resource], bool] = made_by_its_author
    rivals: Callable[[Resource, Sequence[Resource]], tuple[Finding, ...]] | None = None
    compile: Callable[[Resource, Scope], tuple[Fact, ...]] = no_facts
