"""Authority: whom the members of a mesh trust. The control plane keeps it for itself; no API serves it.

One of name `mesh/<mesh>` says what the mesh's trust domain is and which certificates its members accept as roots: its
own, and those it was told to accept besides. The others (of the control plane itself, of its users) say nothing here.
"""

from typing import Final

from pydantic import Field

from outrig.dialects.kind import Kind, Scope
from outrig.dialects.schema import Form, parse
from outrig.model import Trust
from outrig.resources import Resource

INTERNAL: Final = "outrig.internal"
_OF_MESH: Final = "mesh/"


class AuthorityBody(Form):
    """A certificate authority with its private key (PEM)."""

    certificate: str = Field(description="Its certificate.")
    key: str = Field(default="", description="Its private key.")
    trust_domain: str = Field(default="", description="The trust domain of the mesh.")
    accepted: list[str] = Field(default=[], description="Certificates of other authorities that members accept.")
    accepted_until: dict[str, str] = Field(default={}, description="Until when, by digest.")
    backend: str = Field(default="", description="Where it is from; empty: made here.")
    lifetime: int | None = Field(default=None, description="Of the certificates that it signs, in seconds.")


def _compile(resource: Resource, scope: Scope) -> tuple[Trust, ...]:  # noqa: ARG001 - an Authority *is* the scope
    name = resource.key.name
    if not name.startswith(_OF_MESH):
        return ()
    body, mesh = parse(AuthorityBody, resource), name.removeprefix(_OF_MESH)
    roots = dict.fromkeys((body.certificate, *body.accepted))
    return (Trust(resource.key, mesh, body.trust_domain or mesh, tuple(roots)),)


AUTHORITY: Final = Kind(
    group=INTERNAL,
    name="Authority",
    plural="authorities",
    versions=("v1",),
    schema=AuthorityBody,
    namespaced=False,
    has_status=False,
    system=True,
    compile=_compile,
)
