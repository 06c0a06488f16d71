"""ServiceAccount: a name for an identity. Accepted so that manifests apply unchanged.

Workloads get the identity of the account that their WorkloadGroup names, whether or not this resource exists.
"""

from typing import Annotated, Final

from pydantic import Field

from outrig.dialects.columns import AGE
from outrig.dialects.findings import NOT_HONOURED, Place
from outrig.dialects.kind import Column, Kind
from outrig.dialects.schema import ATOMIC, Form, keyed_by, parse
from outrig.errors import Finding
from outrig.resources import Resource


class ObjectReference(Form):
    """Points at another object."""

    api_version: str = Field(default="", description="API version of the object.")
    kind: str = Field(default="", description="Kind of the object.")
    namespace: str = Field(default="", description="Namespace of the object.")
    name: str = Field(default="", description="Name of the object.")
    uid: str = Field(default="", description="Uid of the object.")
    resource_version: str = Field(default="", description="Version of the object that is meant.")
    field_path: str = Field(default="", description="Part of the object that is meant.")


class LocalReference(Form):
    """Points at an object of the same namespace."""

    name: str = Field(default="", description="Name of the object.")


class ServiceAccountBody(Form):
    """An account; what matters of it is its name."""

    secrets: list[Annotated[ObjectReference, Field(json_schema_extra=ATOMIC)]] = Field(
        default=[], description="Accepted as in Kubernetes; has no effect.", json_schema_extra=keyed_by("name")
    )
    image_pull_secrets: list[LocalReference] = Field(
        default=[], description="Accepted as in Kubernetes; has no effect."
    )
    automount_service_account_token: bool | None = Field(
        default=None, description="Accepted as in Kubernetes; has no effect."
    )


def _findings(resource: Resource) -> tuple[Finding, ...]:
    body = parse(ServiceAccountBody, resource)
    written = (("secrets", body.secrets), ("imagePullSecrets", body.image_pull_secrets))
    return tuple(
        Place(resource.key, field).warning(NOT_HONOURED, "has no effect: there are no Secrets")
        for field, items in written
        if items
    )


def _secrets(resource: Resource) -> int:
    return len(resource.body.get("secrets") or ())


SERVICE_ACCOUNT: Final = Kind(
    group="",
    name="ServiceAccount",
    plural="serviceaccounts",
    singular="serviceaccount",
    short_names=("sa",),
    versions=("v1",),
    schema=ServiceAccountBody,
    has_status=False,
    strategic_merge=True,
    columns=(Column("Secrets", _secrets, kind="integer", description="How many secrets are listed"), AGE),
    findings=_findings,
)
