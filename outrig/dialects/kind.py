"""What a kind is: its names, how its text becomes valid, how it shows in a table, what it says to the core.

All functions of a kind are pure. The API server and `compile` know kinds only through this.
"""

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource.

    `versions`: the served API versions, preferred (and storage) first; all have the same schema. `schema` describes
    the body: every top-level field but apiVersion, kind, metadata, status. `default` fills in what a user may leave
    out (body in, body out) and `findings` judges what the schema cannot; both get only bodies that fit the schema.
    `observed` gives the status as users see it; `status_schema` describes it, and nothing is checked by that.
    `rivals` judges a resource beside the others of its kind and namespace; None: there is nothing to say of them.
    `columns` are those after NAME, which the API server itself puts first. `system`: made by the control plane only;
    users may read and delete. `mesh_scoped`: in a mesh, and in no namespace. `set_once`: fields of the spec that never
    become another value; they may be taken away.
    """

    group: str
    name: str
    plural: str
    versions: tuple[str, ...]
    schema: type[BaseModel]
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    mesh_scoped: bool = False
    system: bool = False
    has_status: bool = True
    status_schema: type[BaseModel] = Status
    strategic_merge: bool = False
    set_once: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    default: Callable[[Json], Json] = field(default=lambda body: body)
    findings: Callable[[Resource], tuple[Finding, ...]] = no_findings
    observed: Callable[[Resource], Json] = field(default=lambda resource: resource.status)
    rivals: Callable[[Resource, Sequence[Resource]], tuple[Finding, ...]] | None = None
    compile: Callable[[Resource, Scope], tuple[Fact, ...]] = no_facts
