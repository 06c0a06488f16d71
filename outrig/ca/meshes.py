"""The authority of each mesh: kept in the store, one resource a mesh, so that every replica signs with the same one.

In: what a mesh is to sign with. Out: the body of its resource, and from that the authority. When a mesh gets another
authority, what the old one signed is accepted on until the last of it has ended; then the old one is dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from outrig.ca.authority import Authority, expiration_of, new_authority, read_authority, write_authority
from outrig.ca.settings import SHORTEST, CaSettings
from outrig.errors import OutrigError
from outrig.resources import Json, Key, Resource

INTERNAL: Final = "outrig.internal"
AUTHORITY: Final = (INTERNAL, "Authority")
BUILTIN: Final = ""
_PREFIX: Final = "mesh/"
_MARGIN: Final = timedelta(minutes=5)  # for clocks


class TrustDomainChanged(OutrigError):
    """A mesh has an authority already, of another trust domain."""

    code = "OUT141"


@dataclass(frozen=True, slots=True)
class MeshAuthority:
    """Signs for the workloads of one mesh. `domain`: its trust domain. `lifetime`: of its certificates, if it says.

    `backend`: where the authority is from, as type and name; empty: made here, before there was a backend.
    """

    mesh: str
    authority: Authority
    domain: str
    lifetime: timedelta | None = None
    backend: str = BUILTIN


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a mesh is to sign with. `given`: an authority of users' own; None: one made here. `backend`: whose it is.

    `lifetime`: of certificates, if the mesh says; `expiration`: of the authority that is made here.
    """

    given: Authority | None = None
    backend: str = BUILTIN
    lifetime: timedelta | None = None
    expiration: timedelta | None = None


class Reads(Protocol):
    """What is read: a store, or a transaction of one."""

    async def get(self, key: Key) -> Resource | None: ...


def authority_key(mesh: str) -> Key:
    """The resource that holds a mesh's authority."""
    return Key(*AUTHORITY, "", "", f"{_PREFIX}{mesh}")


def mesh_of_authority(key: Key) -> str:
    """The mesh whose authority a resource holds; empty if it holds another, or none."""
    return key.name.removeprefix(_PREFIX) if (key.group, key.kind) == AUTHORITY and _PREFIX in key.name else ""


async def find_authority(reads: Reads, mesh: str) -> MeshAuthority | None:
    """The authority of a mesh; None if there is no such mesh."""
    stored = await reads.get(authority_key(mesh))
    return read_mesh_authority(stored) if stored else None


def read_mesh_authority(stored: Resource) -> MeshAuthority:
    """The authority that a resource holds. Raises ValueError if it is damaged."""
    body = stored.body
    lifetime = timedelta(seconds=body["lifetime"]) if body.get("lifetime") else None
    mesh, backend = mesh_of_authority(stored.key), str(body.get("backend", BUILTIN))
    return MeshAuthority(mesh, read_authority(body), str(body["trustDomain"]), lifetime, backend)


def authority_body(before: Json | None, wanted: Wanted, *, mesh: str, settings: CaSettings, now: datetime) -> Json:
    """What is stored of a mesh's authority from now on; `before`: what was. Raises TrustDomainChanged."""
    domain = settings.trust_domain_of(mesh)
    if before is not None and before["trustDomain"] != domain:
        hint = "certificates of it are in use; set it back"
        raise TrustDomainChanged(f"mesh {mesh}", f"its trust domain is {before['trustDomain']}, not {domain}", hint)
    lasting = wanted.expiration or settings.authority_lifetime
    kept = before if before is not None and _is_what(before, wanted, lasting) else None
    signing = kept or write_authority(wanted.given or _made(mesh, domain, lasting, now))
    body = {
        "certificate": signing["certificate"],
        "key": signing["key"],
        "trustDomain": domain,
        "backend": wanted.backend,
        **({"lifetime": int(max(wanted.lifetime, SHORTEST).total_seconds())} if wanted.lifetime else {}),
    }
    return {**body, **_accepted(before, body, settings=settings, now=now)}


def without_retired(body: Json, now: datetime) -> Json:
    """The body without authorities of which nothing can be in use any more; the very same object if there is none."""
    until: Mapping[str, str] = body.get("acceptedUntil", {})
    kept = [pem for pem in body.get("accepted", ()) if datetime.fromisoformat(until[_digest(pem)]) > now]
    if len(kept) == len(until):
        return body
    rest = {field: value for field, value in body.items() if field not in ("accepted", "acceptedUntil")}
    return {**rest, **_retiring(kept, until)}


def _is_what(before: Json, wanted: Wanted, lasting: timedelta) -> bool:
    """One that was made before any backend was named is that of the first that is made here too."""
    held = before.get("backend", BUILTIN)
    if held != wanted.backend and (held != BUILTIN or wanted.given is not None):
        return False
    if wanted.given is None:
        return abs(expiration_of(read_authority(before)) - lasting) < timedelta(seconds=1)
    return write_authority(wanted.given) == {n: before[n] for n in ("certificate", "key")}


def _made(mesh: str, domain: str, lasting: timedelta, now: datetime) -> Authority:
    """Its name is the mesh's alone: one in a certificate has 64 characters at most, that of a mesh 63."""
    return new_authority(mesh, now=now, lifetime=lasting, uri=f"spiffe://{domain}")


def _accepted(before: Json | None, body: Json, *, settings: CaSettings, now: datetime) -> Json:
    """What is accepted beside the authority itself: those that signed before, for as long as that may live."""
    if before is None:
        return _retiring((), {})
    before = without_retired(before, now)
    until = dict(before.get("acceptedUntil", {}))
    old = [pem for pem in before.get("accepted", ()) if pem != body["certificate"]]
    if before["certificate"] != body["certificate"]:
        old.append(before["certificate"])
        lived = timedelta(seconds=before["lifetime"]) if before.get("lifetime") else settings.workload_lifetime
        until[_digest(before["certificate"])] = (now + lived + _MARGIN).isoformat()
    return _retiring(old, until)


def _retiring(accepted: Sequence[str], until: Mapping[str, str]) -> Json:
    if not accepted:
        return {}
    return {"accepted": list(accepted), "acceptedUntil": {_digest(pem): until[_digest(pem)] for pem in accepted}}


def _digest(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()
