"""Mesh: what its Dataplanes demand of callers at the transport, and who may be one.

Its authority is made by the control plane and is no part of it. To the core it says of every Dataplane whether it
takes mutual TLS, above what any other resource says.
"""

from typing import Final

from outrig.dialects.columns import AGE
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.kuma.dataplane import OWN
from outrig.dialects.kuma.group import GROUP, VERSION
from outrig.dialects.kuma.mesh_findings import findings
from outrig.dialects.kuma.mesh_spec import Backend, MeshBody
from outrig.dialects.kuma.tags import namespace_of
from outrig.dialects.schema import parse
from outrig.model import PeerTls, Policy, Selector, TlsMode
from outrig.resources import Key, Resource

DEFAULT_MESH: Final = "default"


def mesh_key(name: str) -> Key:
    """The key of a Mesh, which belongs to itself."""
    return Key(GROUP, "Mesh", name, "", name)


def enabled_backend(mesh: Resource) -> Backend | None:
    """The backend that signs the mesh's certificates; None: mutual TLS is off."""
    mtls = parse(MeshBody, mesh).mtls
    return mtls.enabled if mtls else None


def _compile(resource: Resource, scope: Scope) -> tuple[Policy[PeerTls], ...]:  # noqa: ARG001 - it is its own scope
    backend = enabled_backend(resource)
    demand = PeerTls(TlsMode(backend.mode) if backend else TlsMode.DISABLE)
    return (Policy(resource.key, Selector(namespace_of(resource.key.name)), demand, OWN),)


def _mtls_cell(resource: Resource) -> str:
    backend = enabled_backend(resource)
    return f"{backend.type}/{backend.name}" if backend else "off"


def _locality_cell(resource: Resource) -> str:
    routing = parse(MeshBody, resource).routing
    return "on" if routing and routing.locality_aware_load_balancing else "off"


MESH: Final = Kind(
    group=GROUP,
    name="Mesh",
    plural="meshes",
    singular="mesh",
    short_names=("m",),
    versions=(VERSION,),
    schema=MeshBody,
    namespaced=False,
    has_status=False,
    columns=(
        Column("mTLS", _mtls_cell, description="Type and name of the backend that is enabled"),
        Column("Locality", _locality_cell, description="Whether near endpoints are to be preferred"),
        Column("ZoneEgress", lambda _: "off", description="Zone egress is not supported yet"),
        AGE,
    ),
    findings=findings,
    compile=_compile,
)
