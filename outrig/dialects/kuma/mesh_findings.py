"""What is wrong or doubtful with a Mesh that fits its schema. Mesh in, findings out."""

from collections.abc import Iterator
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from outrig.dialects.findings import DUPLICATE, INVALID, MISSING, NOT_HONOURED, NOT_SUPPORTED, Place
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.kuma.mesh_spec import Backend, BackendConf, DataSource, Membership, MeshBody, Mtls, Routing
from outrig.dialects.kuma.tags import tag_findings
from outrig.dialects.schema import parse
from outrig.errors import Finding
from outrig.resources import Resource

BUILTIN: Final = "builtin"
PROVIDED: Final = "provided"
_ELSEWHERE: Final = ("vault", "acmpca", "certmanager")
_SHORTEST: Final = timedelta(minutes=1)
_LEGACY: Final = MappingProxyType(
    {"logging": "MeshAccessLog", "metrics": "MeshMetric", "tracing": "MeshTrace"}
)  # each in place of the field, in Kuma


def findings(resource: Resource) -> tuple[Finding, ...]:
    """All findings of a Mesh that fits its schema."""
    body = parse(MeshBody, resource)
    mtls, membership = body.mtls, body.constraints.dataplane_proxy if body.constraints else None
    return (
        *(_mtls(Place(resource.key, "mtls"), mtls) if mtls else ()),
        *(_membership(Place(resource.key, "constraints.dataplaneProxy"), membership) if membership else ()),
        *(_routing(Place(resource.key, "routing"), body.routing) if body.routing else ()),
        *_without_effect(resource, body),
    )


def _mtls(place: Place, mtls: Mtls) -> Iterator[Finding]:
    if len(mtls.backends) > 1:
        yield (place / "backends").error(INVALID, "cannot have more than 1 backends")
    names = [backend.name for backend in mtls.backends]
    for index, backend in enumerate(mtls.backends):
        here = (place / "backends")[index]
        if not backend.name:
            yield (here / "name").error(MISSING, "cannot be empty")
        elif backend.name in names[:index]:
            yield (here / "name").error(DUPLICATE, f"{backend.name!r} name is already used for another backend")
        yield from _backend(here, backend)
    if mtls.enabled_backend and mtls.enabled is None:
        problem = "has to be set to one of the backends in the mesh"
        yield (place / "enabledBackend").error(INVALID, problem, f"there is: {', '.join(names) or 'none'}")


def _backend(place: Place, backend: Backend) -> Iterator[Finding]:
    yield from _type(place, backend)
    for field in ("dpCert.requestTimeout", "rootChain.requestTimeout"):
        part = backend.dp_cert if field.startswith("dpCert") else backend.root_chain
        if part and part.request_timeout:
            yield (place / field).warning(NOT_HONOURED, "has no effect: nobody else is asked for certificates")
    rotation = backend.dp_cert.rotation if backend.dp_cert else None
    if rotation and rotation.expiration:
        yield from _lifetime(place / "dpCert.rotation.expiration", rotation.expiration)


def _type(place: Place, backend: Backend) -> Iterator[Finding]:
    if isinstance(backend.conf, dict) and backend.type in (BUILTIN, PROVIDED):
        hint = "caCert: {RSAbits, expiration}, or cert and key: {secret}"
        yield (place / "conf").error(INVALID, f"does not fit type {backend.type}", hint)
    elif backend.type == BUILTIN:
        yield from _builtin(place / "conf", backend)
    elif backend.type == PROVIDED:
        yield from _provided(place / "conf", backend.settings)
    elif backend.type in _ELSEWHERE:
        problem = f"{backend.type} is not supported yet"
        yield (place / "type").error(NOT_SUPPORTED, problem, f"one of {BUILTIN}, {PROVIDED}")
    else:
        problem = "could not find installed plugin for this type"
        yield (place / "type").error(INVALID, problem, f"one of {BUILTIN}, {PROVIDED}")


def _builtin(place: Place, backend: Backend) -> Iterator[Finding]:
    made = backend.settings.ca_cert
    if made and made.rsa_bits is not None:
        problem = "has no effect: authorities have elliptic keys (P-256)"
        yield (place / "caCert.RSAbits").warning(NOT_HONOURED, problem)
    if made and made.expiration:
        yield from _lifetime(place / "caCert.expiration", made.expiration)
    for field, source in (("cert", backend.settings.cert), ("key", backend.settings.key)):
        if source:
            yield (place / field).error(INVALID, f"has no place beside type {BUILTIN}", f"write type: {PROVIDED}")


def _provided(place: Place, conf: BackendConf) -> Iterator[Finding]:
    yield from _source(place / "cert", conf.cert)
    yield from _source(place / "key", conf.key)
    for field in ("inline", "inlineString"):
        if conf.key and field in conf.key.said:
            problem = "a key does not belong into a Mesh, which everybody may read"
            yield (place / "key" / field).error(NOT_SUPPORTED, problem, "write a Secret, and its name as secret")


def _source(place: Place, source: DataSource | None) -> Iterator[Finding]:
    said = source.said if source else {}
    if len(said) != 1:
        problem = "data source has to be chosen" if not said else "more than one data source is chosen"
        yield place.error(MISSING if not said else INVALID, problem, "write secret: <name of a Secret>")
    if "file" in said:
        problem = "files of the control plane are not read"
        yield (place / "file").error(NOT_SUPPORTED, problem, "write a Secret, and its name as secret")


def _lifetime(place: Place, text: str) -> Iterator[Finding]:
    lifetime = duration_of(text)
    if lifetime is None:
        yield place.error(
            INVALID, "has to be a valid format", "a number and one of y, w, d, h, m, s, ms, at most 100y: 24h"
        )
    elif lifetime < _SHORTEST:
        yield place.error(INVALID, f"{text} is too short to be renewed in time", "at least 1m")


def _membership(place: Place, membership: Membership) -> Iterator[Finding]:
    for field, rules in (("requirements", membership.requirements), ("restrictions", membership.restrictions)):
        for index, rule in enumerate(rules):
            here = (place / field)[index] / "tags"
            if not rule.tags:
                yield here.error(MISSING, "must have at least one tag")
            yield from tag_findings(here, rule.tags, any_value=True)


def _routing(place: Place, routing: Routing) -> Iterator[Finding]:
    if routing.zone_egress:
        yield (place / "zoneEgress").error(NOT_SUPPORTED, "zone egress is not supported yet", "leave it out")
    if routing.locality_aware_load_balancing:
        problem = "has no effect: there is one zone"
        yield (place / "localityAwareLoadBalancing").warning(NOT_HONOURED, problem)
    if routing.default_forbid_mesh_external_service_access:
        problem = "has no effect: there are no MeshExternalServices"
        yield (place / "defaultForbidMeshExternalServiceAccess").warning(NOT_HONOURED, problem)


def _without_effect(resource: Resource, body: MeshBody) -> Iterator[Finding]:
    for field, successor in _LEGACY.items():
        if resource.body.get(field) is not None:
            hint = f"leave it out; {successor} is not supported yet either"
            yield Place(resource.key, field).error(NOT_SUPPORTED, f"{field} is not supported yet", hint)
    if body.networking and body.networking.outbound and body.networking.outbound.passthrough is not None:
        problem = "has no effect: what is no outbound never meets the proxy"
        yield Place(resource.key, "networking.outbound.passthrough").warning(NOT_HONOURED, problem)
    if body.mtls and body.mtls.skip_validation:
        problem = "has no effect: an authority that cannot sign is always refused"
        yield Place(resource.key, "mtls.skipValidation").warning(NOT_HONOURED, problem)
    if body.mesh_services and body.mesh_services.mode != "Disabled":
        problem = "MeshServices are not supported yet: services are those of the tag kuma.io/service"
        yield Place(resource.key, "meshServices.mode").warning(NOT_HONOURED, problem, "write mode: Disabled")
