"""The parts that objects of all kinds share, described for `kubectl explain`; kinds describe the rest themselves.

Nothing is checked by these forms: `metadata` and `options` read what users send.
"""

from typing import Annotated, Any

from pydantic import Field

from outrig.dialects.schema import ATOMIC, SET, Form, keyed_by

META = "io.k8s.apimachinery.pkg.apis.meta.v1"


class OwnerReference(Form):
    """An object without which this one is deleted. It is in the same namespace, or in none."""

    api_version: str = Field(description="Group and version of the owner.")
    kind: str = Field(description="Kind of the owner.")
    name: str = Field(description="Name of the owner.")
    uid: str = Field(description="The owner's uid: another object of that name is not the owner.")
    controller: bool = Field(default=False, description="Whether the owner manages this object.")
    block_owner_deletion: bool = Field(
        default=False, description="Whether an owner that is deleted in the foreground waits for this object to go."
    )


class ManagedFieldsEntry(Form):
    """The fields that one manager applied or wrote."""

    manager: str = Field(default="", description="Who it is: the fieldManager of the request.")
    operation: str = Field(default="", description="Apply (server-side apply), or Update (any other write).")
    api_version: str = Field(default="", description="Version in which the fields are named.")
    time: str | None = Field(default=None, description="When it last took or let go of a field (RFC 3339).")
    fields_type: str = Field(default="", description="How fields are named in fieldsV1: FieldsV1.")
    fields_v1: dict[str, Any] = Field(default={}, alias="fieldsV1", description="The fields, nested as in the object.")
    subresource: str = Field(default="", description="Where it wrote: empty, or status.")


class ObjectMeta(Form):
    """What every object has: its name, its place, labels, and what the server adds."""

    name: str = Field(default="", description="Unique among the objects of its kind in a namespace. Cannot be changed.")
    generate_name: str = Field(
        default="", description="A prefix from which the server makes a unique name, where name is empty."
    )
    namespace: str = Field(default="", description="Where the object is. Cannot be changed.")
    labels: dict[str, str] = Field(default={}, description="Keys and values that objects are selected by.")
    annotations: dict[str, str] = Field(default={}, description="Keys and values for tools, of any content.")
    finalizers: list[str] = Field(
        default=[],
        description="While there are any, a deleted object is only marked. Whoever wrote one takes it away when done.",
        json_schema_extra=SET,
    )
    owner_references: list[Annotated[OwnerReference, Field(json_schema_extra=ATOMIC)]] = Field(
        default=[],
        description="Objects without which this one is deleted: it goes with the last of them.",
        json_schema_extra=keyed_by("uid"),
    )
    managed_fields: list[ManagedFieldsEntry] = Field(
        default=[], description="Who manages which fields, for server-side apply. Kept by the server."
    )
    uid: str = Field(default="", description="Unique over all time. Set by the server.")
    resource_version: str = Field(
        default="", description="Changes with every write; opaque. An update that carries an older one is refused."
    )
    generation: int = Field(default=0, description="Counts changes of the content. Set by the server.")
    creation_timestamp: str | None = Field(
        default=None, description="When it was created. Set by the server.", json_schema_extra={"format": "date-time"}
    )
    deletion_timestamp: str | None = Field(
        default=None,
        description="When its deletion was asked for. Set by the server.",
        json_schema_extra={"format": "date-time"},
    )
    deletion_grace_period_seconds: int | None = Field(
        default=None, description="Accepted as in Kubernetes; nothing here takes time to stop."
    )
    self_link: str = Field(default="", description="Accepted as in Kubernetes; has no effect.")


class ListMeta(Form):
    """What a list is of."""

    resource_version: str = Field(default="", description="The state of the whole collection. Watch from there.")
    continue_: str = Field(
        default="",
        alias="continue",
        description="Where the list goes on; empty at its end. Opaque, and good for a while.",
    )
    remaining_item_count: int | None = Field(default=None, description="How many objects come after this page.")


class Preconditions(Form):
    """What must be so of an object that is to be deleted."""

    uid: str = Field(default="", description="Its uid.")
    resource_version: str = Field(default="", description="Its resourceVersion.")


class DeleteOptions(Form):
    """How to delete."""

    api_version: str = Field(default="", description="v1, or that of the object.")
    kind: str = Field(default="", description="Always DeleteOptions.")
    propagation_policy: str | None = Field(
        default=None,
        description="What becomes of what the object owns. Background: it goes too. Foreground: it goes first. Orphan: "
        "it stays, owned no more.",
    )
    orphan_dependents: bool | None = Field(default=None, description="An older word for propagationPolicy Orphan.")
    preconditions: Preconditions | None = Field(default=None, description="Delete only if these hold.")
    grace_period_seconds: int | None = Field(default=None, description="Accepted; nothing here takes time to stop.")
    dry_run: list[str] = Field(default=[], description="All: check everything and change nothing.")
    ignore_store_read_error_with_cluster_breaking_potential: bool | None = Field(
        default=None, description="Accepted as in Kubernetes; has no effect."
    )


class Status(Form):
    """How a request went, where the answer is no object."""

    api_version: str = Field(default="", description="Always v1.")
    kind: str = Field(default="", description="Always Status.")
    metadata: ListMeta = Field(default=ListMeta(), description="Empty.")
    status: str = Field(default="", description="Success or Failure.")
    message: str = Field(default="", description="What is wrong, for people.")
    reason: str = Field(default="", description="What is wrong, as one CamelCase word.")
    details: dict[str, Any] = Field(default={}, description="What it is about, and every cause with its field.")
    code: int = Field(default=0, description="HTTP status of the answer.")


SHARED = (ObjectMeta, ListMeta, DeleteOptions, Status)
