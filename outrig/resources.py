"""What users write and the store keeps: `Key` names a resource, `Resource` is its envelope.

The envelope knows metadata only; what stands in `body` belongs to the dialect of the kind. No I/O, no defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]
EMPTY: Json = {}


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names one resource in the whole installation; parts that do not apply are empty.

    Kubernetes-style kinds have a namespace and no mesh (the Namespace says which mesh it is in);
    Kuma-style kinds have a mesh and no namespace. Cluster-scoped kinds have neither.
    """

    group: str
    kind: str
    mesh: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Kind namespace/name`, as messages show it."""
        where = self.namespace or self.mesh
        return f"{self.kind} {where}/{self.name}" if where else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Owner:
    """A resource without which the owned one must not exist (Kubernetes ownerReferences).

    `blocks`: an owner that is deleted in the foreground waits for the owned one to go; None, as for `controller`: its
    author does not say. `unknown`: nobody here can say whether it exists; it counts as existing.
    """

    key: Key
    uid: str
    api_version: str
    controller: bool | None = True
    blocks: bool | None = True
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Manager:
    """Who has written which fields of a resource: an entry of Kubernetes' managedFields.

    `operation` is Apply or Update; `fields` are the entry's fieldsV1, as JSON text.
    """

    name: str
    operation: str
    api_version: str
    fields: str
    subresource: str = ""
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as stored.

    `body` is every top-level field but apiVersion, kind, metadata and status (usually just `spec`), as plain
    JSON values. `generation` counts changes of `body`, and the mark `deleting`; `revision` is the store's, 0 before the
    first write. `managers` are those who wrote it through the API of Kubernetes; nobody is noted for what was
    written otherwise. `generate_name`: what its author had the name begin with, who left the rest to the server.
    """

    key: Key
    body: Json = field(default_factory=dict)
    status: Json = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[Owner, ...] = ()
    finalizers: tuple[str, ...] = ()
    uid: str = ""
    generation: int = 0
    revision: int = 0
    created: datetime | None = None
    deleting: datetime | None = None
    managers: tuple[Manager, ...] = ()
    generate_name: str = ""

    @property
    def spec(self) -> Json:
        """The `spec` of the body; empty where the kind has none."""
        spec = self.body.get("spec")
        return spec if isinstance(spec, Mapping) else EMPTY
