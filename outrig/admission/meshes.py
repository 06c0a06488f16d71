"""What belongs to a Mesh beside its text: the authority of its workloads and the signing key of its tokens.

In: the Mesh, within the transaction that writes or deletes it. Out: those written or deleted with it. Refused, with the
field: authorities of users' own that cannot sign; a trust domain that another mesh has.
"""

import base64
import binascii
from dataclasses import replace
from datetime import datetime

from outrig.ca.authorities import Clock, utc_now
from outrig.ca.authority import Authority, expiration_of
from outrig.ca.meshes import (
    AUTHORITY,
    BUILTIN,
    Wanted,
    authority_body,
    authority_key,
    mesh_of_authority,
    read_mesh_authority,
)
from outrig.ca.provided import AuthorityRefused, provided_authority
from outrig.ca.settings import CaSettings
from outrig.dialects.core.event import EVENT
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.kuma.mesh import enabled_backend
from outrig.dialects.kuma.mesh_findings import PROVIDED
from outrig.dialects.kuma.mesh_spec import Backend, DataSource
from outrig.dialects.kuma.secret import SECRET, in_one_line
from outrig.dialects.kuma.tags import namespace_of
from outrig.errors import OutrigError
from outrig.resources import Key, Resource
from outrig.store.protocol import Query, Transaction
from outrig.tokens.keys import dataplane_ring
from outrig.tokens.tokens import check_secret, ensure_signing_key


class TrustDomainTaken(OutrigError):
    """Another mesh has the trust domain that this one would have."""

    code = "OUT144"


class Meshes:
    """Keeps what belongs to Meshes. Fits `KeepMesh` of Kuma's API."""

    def __init__(self, settings: CaSettings, *, clock: Clock = utc_now) -> None:
        self._settings, self._clock = settings, clock

    async def __call__(self, tx: Transaction, name: str, mesh: Resource | None) -> None:
        """The Mesh of that name has the authority that it says, and a signing key; None: it is gone, and they go too.

        To be called within each transaction that writes a Mesh, or a Secret of one. What the old authority has signed
        is accepted until it ends. Raises AuthorityRefused, or a group of them, TrustDomainTaken, TrustDomainChanged.
        """
        stored = await tx.get(authority_key(name))
        if mesh is None:
            await _forget(tx, name, stored)
            return
        await self._check_domain(tx, name)
        now = self._clock()
        wanted = await self._wanted(tx, mesh, stored, now=now)
        before = stored.body if stored else None
        body = authority_body(before, wanted, mesh=name, settings=self._settings, now=now)
        if stored is None:
            await tx.create(Resource(authority_key(name), body=body))
        else:
            await tx.update(replace(stored, body=body))
        await ensure_signing_key(tx, dataplane_ring(name))

    async def check(self, written: Resource) -> None:
        """To be called with whatever is written, before that. Raises SigningKeyRefused."""
        await check_secret(written)

    async def _check_domain(self, tx: Transaction, name: str) -> None:
        domain = self._settings.trust_domain_of(name)
        for stored in await tx.list(Query(kinds=(AUTHORITY,))):
            other = mesh_of_authority(stored.key)
            if other not in ("", name) and stored.body.get("trustDomain") == domain:
                problem = f"its trust domain would be {domain}, which is that of mesh {other}"
                raise TrustDomainTaken(f"Mesh {name}", problem, "choose another name")

    async def _wanted(self, tx: Transaction, mesh: Resource, stored: Resource | None, *, now: datetime) -> Wanted:
        """What it is to sign with. While mutual TLS is off that stays as it is."""
        backend = enabled_backend(mesh)
        if backend is None and stored is not None:
            held = read_mesh_authority(stored)
            given = held.authority if held.backend != BUILTIN else None
            return Wanted(given, held.backend, expiration=expiration_of(held.authority))
        if backend is None:
            return Wanted()
        lifetime = backend.certificate_lifetime
        if backend.type == PROVIDED:
            given = await _provided(tx, mesh, backend, now=now)
            return Wanted(given, f"{backend.type}/{backend.name}", lifetime)
        made = backend.settings.ca_cert
        named = f"{backend.type}/{backend.name}"
        return Wanted(backend=named, lifetime=lifetime, expiration=duration_of(made.expiration) if made else None)


async def _forget(tx: Transaction, name: str, stored: Resource | None) -> None:
    """The authority, and what was said of proxies that were refused."""
    if stored is not None:
        await tx.delete(stored.key)
    for event in await tx.list(Query(kinds=((EVENT.group, EVENT.name),), namespace=namespace_of(name))):
        await tx.delete(event.key)


async def _provided(tx: Transaction, mesh: Resource, backend: Backend, *, now: datetime) -> Authority:
    place, read, refused = "mtls.backends[0].conf", [], []
    for part, source in (("cert", backend.settings.cert), ("key", backend.settings.key)):
        try:
            read.append(await _read(tx, mesh.key.name, source, place=f"{place}.{part}"))
        except AuthorityRefused as error:
            refused.append(error)
    if refused:
        raise refused[0] if len(refused) == 1 else ExceptionGroup("the certificate and its key", refused)
    certificate, key = read
    try:
        return provided_authority(certificate, key, now)
    except AuthorityRefused as error:
        raise AuthorityRefused(f"{place}.{error.place}", error.problem, error.hint) from None


async def _read(tx: Transaction, mesh: str, source: DataSource | None, *, place: str) -> bytes:
    """What a data source holds. Raises AuthorityRefused."""
    if source is None or not source.said:
        raise AuthorityRefused(place, "data source has to be chosen", "write secret: <name of a Secret>")
    if source.inline_string:
        return source.inline_string.encode()
    text = source.inline or await _secret(tx, mesh, source.secret, place=f"{place}.secret")
    try:
        return base64.b64decode(in_one_line(text), validate=True)
    except binascii.Error:
        raise AuthorityRefused(place, "is not base64") from None


async def _secret(tx: Transaction, mesh: str, name: str, *, place: str) -> str:
    secret = await tx.get(Key(SECRET.group, SECRET.name, mesh, "", name))
    if secret is None:
        raise AuthorityRefused(place, f"there is no Secret {name!r} in mesh {mesh}", "create it first")
    return str(secret.body.get("data", ""))
