"""What a data plane's join changes, in one transaction: its Dataplane, and the certificates on record.

In: a caller that has shown what it is allowed to be. Refused: what it is not allowed; a mesh that does not exist, or
does not take it; addresses that are not its own; the name of another, while that one's agent is there. A name whose
agent is away is taken over: what was there is deleted, so that its certificates stand for nothing any more.

A zone proxy is registered likewise; it is in no mesh, so it gets no identity among workloads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from outrig.admission.addresses import check_addresses
from outrig.admission.documents import DATAPLANE, Asked
from outrig.admission.enrolment import KEEP_KEY, Enrolled, identity_row
from outrig.admission.offers import keep_offers
from outrig.admission.ports import Authorities, DataplaneTokens, Peer
from outrig.admission.proven import Warranted
from outrig.admission.refusals import (
    Banned,
    CsrRefused,
    DataplaneRefused,
    GroupUnknown,
    KeyPinned,
    KeyReused,
    NameTaken,
    WarrantRefused,
)
from outrig.admission.seats import held_by, is_away, is_bearer, last_issued
from outrig.admission.warranting import refused_token
from outrig.admission.warrants import check_claims, check_warrant
from outrig.ca import names
from outrig.ca.authority import Issued
from outrig.ca.csr import PublicKey
from outrig.ca.meshes import MeshAuthority
from outrig.ca.names import ControlName, NameRefused, peer_uris
from outrig.ca.peers import ControlPeer
from outrig.dialects import syntax
from outrig.dialects.bans import banned_in
from outrig.dialects.kuma.certified import with_certified
from outrig.dialects.kuma.constraints import allowed
from outrig.dialects.kuma.dataplane import dataplane_identities, networking_of
from outrig.dialects.kuma.insight import with_certificate, with_versions
from outrig.dialects.kuma.joined import Holder, came_by_join, holder_of, without_holder
from outrig.dialects.kuma.mesh import enabled_backend, mesh_key
from outrig.dialects.kuma.tags import LOCAL_ZONE
from outrig.dialects.kuma.zone import ZONE
from outrig.dialects.kuma.zone_proxy import zone_networking
from outrig.resources import Key, Resource
from outrig.store.protocol import Transaction
from outrig.tokens.keys import ZONE as ZONE_RING
from outrig.tokens.keys import dataplane_ring
from outrig.tokens.refusals import TokenInvalid
from outrig.wire.join import JoinRequest

_CONTROL = {"dataplane": names.DATAPLANE, "ingress": names.ZONE_INGRESS, "egress": names.ZONE_EGRESS}


@dataclass(frozen=True, slots=True)
class Entrant:
    """A caller that has shown what it may be. `peer`: its connection. `holder`: whose control identity it came with."""

    request: JoinRequest
    asked: Asked
    proven: Warranted
    peer: Peer
    key: PublicKey
    key_hash: str
    holder: ControlPeer | None


class Enrolment:
    """Enrols data planes and zone proxies. `from_peer`: connections must come from the proxy's own address."""

    def __init__(self, authorities: Authorities, tokens: DataplaneTokens, *, from_peer: bool) -> None:
        self._authorities, self._tokens, self._from_peer = authorities, tokens, from_peer

    async def enrol(self, tx: Transaction, entrant: Entrant, *, now: datetime) -> Enrolled:
        """Register the caller and sign its certificates. Raises Refused."""
        asked, warrant = entrant.asked, entrant.proven.warrant
        check_warrant(warrant, asked)
        await _check_zone(tx, entrant)
        mesh = await self._mesh(tx, entrant) if asked.proxy_type == DATAPLANE else None
        held = await tx.get(asked.key)
        wanted = await self._check(tx, entrant, held)
        last = await last_issued(tx, held, now) if held else None
        renewal = last is not None and is_bearer(last, entrant.key_hash, entrant.holder)
        await _check_key(tx, entrant, held, now=now)
        if held and last and not renewal:
            _check_name(held)
        workload = self._workload(entrant, wanted, mesh)
        base = _base(wanted, held, renewal=renewal)
        noted = await _noted(tx, base, workload, entrant=entrant, now=now)
        stored = await _keep(tx, held, noted, renewal=renewal)
        if asked.proxy_type == DATAPLANE:
            await keep_offers(tx, stored)
        await self._check_standing(tx, entrant)
        control = self._authorities.issue_control(entrant.key, self._name(asked, stored), until=warrant.until)
        before = held.uid if held and not renewal and holder_of(held) else ""
        enrolled = Enrolled(stored, control, workload, "" if renewal else warrant.whose, before)
        for issued in enrolled.issued:
            await tx.add_identity(identity_row(issued, stored, principal=entrant.proven.principal))
        return enrolled

    async def _check_standing(self, tx: Transaction, entrant: Entrant) -> None:
        """After the first write of the transaction: writes have an order, so whoever revokes the token has either done
        so already, which is seen here, or will find what was registered."""
        asked, warrant = entrant.asked, entrant.proven.warrant
        if not warrant.jti:
            return
        ring = dataplane_ring(asked.mesh) if asked.proxy_type == DATAPLANE else ZONE_RING
        try:
            await self._tokens.check_standing(tx, ring, kid=warrant.kid, jti=warrant.jti)
        except TokenInvalid as error:
            raise refused_token(error) from None

    async def _mesh(self, tx: Transaction, entrant: Entrant) -> MeshAuthority:
        mesh = entrant.asked.mesh
        found = await self._authorities.find_mesh(tx, mesh) if await tx.get(mesh_key(mesh)) else None
        if found is None:
            raise GroupUnknown(f"Mesh {mesh}", "does not exist", "create it, or correct the Dataplane's mesh")
        if entrant.key_hash == found.authority.key_hash:
            raise CsrRefused("csr", "its key is an authority's", "make a key of its own")
        namespace = await tx.get(Key("", "Namespace", "", "", entrant.asked.namespace))
        if namespace and (banned := banned_in(namespace) & entrant.proven.names):
            raise Banned(str(namespace.key), f"{min(banned)} is banned", "ask who owns the mesh")
        return found

    async def _check(self, tx: Transaction, entrant: Entrant, held: Resource | None) -> Resource:
        """What the proxy will be: its own text or the one that is stored. Raises Refused."""
        asked, proven = entrant.asked, entrant.proven
        text = asked.document or held
        if asked.document and held and not came_by_join(held):
            raise NameTaken(str(asked.key), "was written by somebody", "join by name alone (--name and --mesh)")
        if text is None:
            raise GroupUnknown(str(asked.key), "does not exist", "apply it, or give the agent a Dataplane of its own")
        check_addresses(_addresses(asked, text), proven, entrant.peer, from_peer=self._from_peer)
        if asked.proxy_type != DATAPLANE:
            return replace(text, body={**text.body, "zone": LOCAL_ZONE})
        check_claims(proven.warrant, text)
        mesh = await tx.get(mesh_key(asked.mesh))
        if mesh and (refusal := allowed(mesh, text)):
            raise DataplaneRefused(refusal.path, refusal.problem, refusal.hint)
        return text

    def _name(self, asked: Asked, stored: Resource) -> ControlName:
        kind = _CONTROL[asked.proxy_type]
        return ControlName(self._authorities.cluster_id, "", asked.name, stored.uid, kind=kind, mesh=asked.mesh)

    def _workload(self, entrant: Entrant, wanted: Resource, mesh: MeshAuthority | None) -> Issued | None:
        if mesh is None:
            return None
        try:
            uris = peer_uris(dataplane_identities(wanted))
        except NameRefused as error:
            raise DataplaneRefused(error.place, error.problem, error.hint) from None
        return self._authorities.issue_workload(entrant.key, uris, by=mesh, until=entrant.proven.warrant.until)


async def _check_zone(tx: Transaction, entrant: Entrant) -> None:
    """A zone token is for the one zone there is, or for one that somebody made a Zone for. Raises WarrantRefused."""
    warrant = entrant.proven.warrant
    if warrant.zone not in ("", LOCAL_ZONE) and not await tx.get(Key(ZONE.group, ZONE.name, "", "", warrant.zone)):
        hint = "create the Zone, or issue another token"
        raise WarrantRefused(warrant.whose, f"it is for zone {warrant.zone}, which does not exist", hint)


def _addresses(asked: Asked, text: Resource) -> Mapping[str, str]:
    """All addresses that the text gives the proxy, by field, in canonical spelling."""
    if asked.proxy_type == DATAPLANE:
        networking = networking_of(text)
        inbounds = {f"networking.inbound[{at}].address": one.address for at, one in enumerate(networking.inbound)}
        said = {"networking.address": networking.address, **inbounds}
        said["networking.advertisedAddress"] = networking.advertised_address
    else:
        zone = zone_networking(text)
        said = {"networking.address": zone.address, "networking.advertisedAddress": zone.advertised_address}
    return {field: syntax.canonical_ip(address) for field, address in said.items() if address}


async def _check_key(tx: Transaction, entrant: Entrant, held: Resource | None, *, now: datetime) -> None:
    """A key serves one proxy, and a task has one key: that of whoever holds its place. A token's holder has no name but
    its proxy's."""
    principal = entrant.proven.principal
    for one in await held_by(tx, await tx.issued_for(entrant.key_hash, now)):
        if one.task != principal and (held is None or one.registration != held.uid):
            raise KeyReused("csr", "its key belongs to another proxy", "make a key in each", detail=one.task)
    if principal == entrant.asked.principal:
        return
    mine = await held_by(tx, await tx.issued_to(principal, now))
    if mine and not any(is_bearer(one, entrant.key_hash, entrant.holder) for one in mine):
        raise KeyPinned("csr", "this task has joined with another key, and its agent is there", KEEP_KEY)


def _check_name(held: Resource) -> None:
    """A name is free to be taken over once the agent that has it is away. Raises NameTaken."""
    if not is_away(held):
        hint = "names of proxies differ: choose another, or come once the agent that has it is gone"
        raise NameTaken(str(held.key), "is that of a proxy that is connected, or has just joined", hint)


async def _noted(
    tx: Transaction, base: Resource, workload: Issued | None, *, entrant: Entrant, now: datetime
) -> Resource:
    """With what is known of the proxy: who joined as it, versions, its certificate."""
    proven, request = entrant.proven, entrant.request
    holder = Holder(proven.principal, proven.warrant.kid, proven.warrant.jti, proven.account)
    came = entrant.asked.document is not None or came_by_join(base)
    noted = replace(base, annotations={**without_holder(base.annotations), **holder.annotations(came=came)})
    noted = with_versions(noted, agent=request.agent_version, envoy=request.envoy_version)
    if workload is None:
        return noted
    mesh = await tx.get(mesh_key(entrant.asked.mesh))
    backend = enabled_backend(mesh) if mesh else None
    noted = with_certified(noted, dataplane_identities(noted))
    return with_certificate(noted, expires=workload.not_after, backend=backend.name if backend else "", now=now)


def _base(wanted: Resource, held: Resource | None, *, renewal: bool) -> Resource:
    """What is to be stored but for what the join adds: of one that is taken over, only what its author wrote stays."""
    said = Resource(wanted.key, body=wanted.body, labels=wanted.labels)
    if held is None:
        return said
    said = replace(said, annotations=held.annotations)
    return replace(held, body=wanted.body, labels=wanted.labels) if renewal else said


async def _keep(tx: Transaction, held: Resource | None, noted: Resource, *, renewal: bool) -> Resource:
    if renewal:
        return await tx.update(noted)
    if held is not None:
        await tx.delete(held.key, uid=held.uid)
    return await tx.create(noted)
