"""Secret (of a mesh) and GlobalSecret: bytes that only the control plane and its administrators read.

Signing keys, revocations and authorities of users' own are kept as such. Lines are joined, since Go's decoder passes
over their ends. Refuses data that is not base64, in the standard alphabet and padded, without repeating it.
"""

import base64
from dataclasses import replace
from typing import Final

from pydantic import Field

from outrig.dialects.columns import AGE
from outrig.dialects.findings import INVALID, Place
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.form import KumaForm
from outrig.dialects.kuma.group import GROUP, VERSION
from outrig.dialects.schema import parse
from outrig.errors import Finding
from outrig.resources import Json, Resource


class SecretBody(KumaForm):
    """A secret."""

    data: str = Field(description="The secret, in base64.")


def in_one_line(encoded: str) -> str:
    """Base64 without the ends of its lines."""
    return encoded.replace("\r", "").replace("\n", "")


def _as_kept(body: Json) -> Json:
    return {**body, "data": in_one_line(str(body["data"]))}


def _findings(resource: Resource) -> tuple[Finding, ...]:
    try:
        base64.b64decode(parse(SecretBody, resource).data, validate=True)
    except ValueError:
        hint = "encode the content, in the standard alphabet and padded: base64 FILE"
        return (Place(resource.key, "data").error(INVALID, "is not base64", hint),)
    return ()


SECRET: Final = Kind(
    group=GROUP,
    name="Secret",
    plural="secrets",
    singular="secret",
    short_names=("s",),
    versions=(VERSION,),
    schema=SecretBody,
    namespaced=False,
    mesh_scoped=True,
    has_status=False,
    columns=(AGE,),
    default=_as_kept,
    findings=_findings,
)

GLOBAL_SECRET: Final = replace(
    SECRET,
    name="GlobalSecret",
    plural="global-secrets",
    singular="global-secret",
    short_names=("gs",),
    mesh_scoped=False,
)
