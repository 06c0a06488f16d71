"""What a join changes, in one transaction: the registration, its WorkloadEntry, the certificates on record.

In: a caller whose identity is proven. Refused: unknown groups, callers no OnboardingPolicy lets in, a second key for a
workload that is there, a token that has let another key in, labels that the group declares itself. A workload that
comes back with its live key, or with its live control identity, is a renewal: it keeps the group as it was when it
joined, and OnboardingPolicies are not asked again. With another key it takes the place of one that is away: what was
there is deleted, so that its certificates stand for nothing any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from outrig.admission.addresses import Reach
from outrig.admission.form import Wanted
from outrig.admission.ports import Authorities
from outrig.admission.proven import Proven
from outrig.admission.refusals import (
    Banned,
    CsrRefused,
    GroupUnknown,
    KeyPinned,
    KeyReused,
    LabelRefused,
    PolicyRefused,
    RegistrationTaken,
    TokenUsed,
)
from outrig.admission.seats import held_by, is_bearer, last_issued
from outrig.attest.token import LEEWAY
from outrig.ca.authority import Issued
from outrig.ca.csr import PublicKey
from outrig.ca.meshes import MeshAuthority
from outrig.ca.names import ControlName, workload_uri
from outrig.ca.peers import ControlPeer
from outrig.dialects.bans import banned_in
from outrig.dialects.core.namespace import mesh_of
from outrig.dialects.istio.identity import DEFAULT_ACCOUNT
from outrig.dialects.istio.registered_entry import Joined, registered_entry
from outrig.dialects.istio.workload_group import WORKLOAD_GROUP, WorkloadGroupBody, group_labels
from outrig.dialects.messages import with_messages
from outrig.dialects.onboarding.decision import decide
from outrig.dialects.onboarding.names import names_of
from outrig.dialects.onboarding.onboarding_policy import ONBOARDING_POLICY
from outrig.dialects.onboarding.registration import (
    AgentReport,
    group_of,
    is_of,
    registration,
    registration_name,
)
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.dialects.schema import parse
from outrig.resources import Key, Owner, Resource
from outrig.store.protocol import AlreadyExists, Identity, Query, Transaction
from outrig.wire.join import JoinRequest

KEEP_KEY: Final = "come with that key or its control identity, or once the agent that has it is gone"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A caller that has proven who it is. `reach`: its addresses. `holder`: the registration whose control identity
    it connected with."""

    request: JoinRequest
    wanted: Wanted
    proven: Proven
    reach: Reach
    key: PublicKey
    key_hash: str
    holder: ControlPeer | None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it. `policy`: what let the caller in; empty for a renewal. `workload`: None if in no mesh.

    `before`: uid of the registration whose place it took; empty if that was free.
    """

    registration: Resource
    control: Issued
    workload: Issued | None
    policy: str
    before: str = ""

    @property
    def renewal(self) -> bool:
        """Whether the caller was registered before."""
        return not self.policy

    @property
    def issued(self) -> tuple[Issued, ...]:
        """The certificates."""
        return (self.control, self.workload) if self.workload else (self.control,)


def group_key(request: JoinRequest) -> Key:
    """The group a request is about."""
    return Key(WORKLOAD_GROUP.group, WORKLOAD_GROUP.name, "", request.namespace, request.workload_group)


async def enrol(tx: Transaction, newcomer: Newcomer, *, authorities: Authorities, now: datetime) -> Enrolled:
    """Register the caller and sign its certificates. Raises Refused."""
    mesh = await _mesh(tx, newcomer, authorities)
    held = await _registration(tx, newcomer)
    await _check_key(tx, newcomer, now=now)
    last = await last_issued(tx, held, now) if held else None
    renewal = last is not None and is_bearer(last, newcomer.key_hash, newcomer.holder)
    policy = "" if renewal else await _policy(tx, newcomer)
    before = ""
    if held and last and not renewal:
        before, held = await _displace(tx, held), None
    stored = await _refresh(tx, held, newcomer=newcomer) if held else await _create(tx, newcomer)
    said = held.spec["registration"] if held else None
    await _keep_entry(tx, stored, newcomer=newcomer, now=now, anew=said != stored.spec["registration"])
    control, workload = _issue(stored, newcomer, authorities=authorities, mesh=mesh)
    for issued in (control, workload):
        await tx.add_identity(identity_row(issued, stored, principal=newcomer.proven.principal))
    return Enrolled(stored, control, workload, policy, before)


async def _mesh(tx: Transaction, newcomer: Newcomer, authorities: Authorities) -> MeshAuthority:
    name = newcomer.wanted.namespace
    namespace = await tx.get(Key("", "Namespace", "", "", name))
    if namespace is None or namespace.deleting:
        raise GroupUnknown(f"Namespace {name}", "does not exist", "create it, or correct the agent's configuration")
    if banned := banned_in(namespace) & names_of(newcomer.proven.caller):
        raise Banned(f"Namespace {name}", f"{min(banned)} is banned", "ask who owns the namespace")
    if (found := await authorities.find_mesh(tx, mesh := mesh_of(namespace))) is None:
        raise GroupUnknown(f"Namespace {name}", f"is in mesh {mesh!r}, which does not exist")
    if newcomer.key_hash == found.authority.key_hash:
        raise CsrRefused("csr", "its key is an authority's", "make a key of its own")
    return found


async def _registration(tx: Transaction, newcomer: Newcomer) -> Resource | None:
    group, kind = group_key(newcomer.request), WORKLOAD_AUTO_REGISTRATION
    name = registration_name(group.name, newcomer.proven.caller)
    held = await tx.get(Key(kind.group, kind.name, "", group.namespace, name))
    if held and [owner.key for owner in held.owners] != [group]:
        raise RegistrationTaken(str(held.key), "belongs to another WorkloadGroup", "delete it, or rename the group")
    if held and not is_of(held, newcomer.proven.caller):
        raise RegistrationTaken(str(held.key), "belongs to another workload, whose name comes out the same")
    return held


async def _check_key(tx: Transaction, newcomer: Newcomer, *, now: datetime) -> None:
    """A key serves one workload, and a workload has one key: that of whoever holds its place."""
    principal, key, holder = newcomer.proven.principal, newcomer.key_hash, newcomer.holder
    others = [one.task for one in await held_by(tx, await tx.issued_for(key, now)) if one.task != principal]
    if others:
        raise KeyReused("csr", "its key belongs to another workload", "make a key in each", detail=others[0])
    issued = await tx.issued_to(principal, now)
    held = await held_by(tx, issued)
    if held and not any(is_bearer(one, key, holder) for one in held):
        raise KeyPinned("csr", "this workload has joined with another key, and its agent is there", KEEP_KEY)
    await _spend(tx, newcomer, known=any(is_bearer(one, key, holder) for one in issued))


async def _spend(tx: Transaction, newcomer: Newcomer, *, known: bool) -> None:
    """A token that has let a key in serves that key's holder only, so that a captured one opens nothing."""
    if (once := newcomer.proven.once) is None:
        return
    try:
        await tx.add_nonce(f"token {once.digest}", once.expires + LEEWAY)
    except AlreadyExists:
        if not known:
            raise TokenUsed("jwt.token", "it was used before", "wait for the next one; keep the agent's key") from None


async def _displace(tx: Transaction, held: Resource) -> str:
    """Whoever had this registration is away, and is nobody if it comes back with its certificates. Gives its uid."""
    for owned in await tx.owned_by(held.uid):
        await tx.delete(owned.key)
    await tx.delete(held.key, uid=held.uid)
    return held.uid


async def _policy(tx: Transaction, newcomer: Newcomer) -> str:
    group = await _group(tx, newcomer)
    kind = ((ONBOARDING_POLICY.group, ONBOARDING_POLICY.name),)
    decision = decide(await tx.list(Query(kinds=kind, namespace=group.key.namespace)), group, newcomer.proven.caller)
    if not decision.allowed:
        problem = f"{decision.reason}: {newcomer.proven.shown}"
        raise PolicyRefused(str(group.key), problem, "ask who owns the namespace", detail=decision.nearest)
    return f"{decision.policy}[{decision.rule}]"


async def _group(tx: Transaction, newcomer: Newcomer) -> Resource:
    key = group_key(newcomer.request)
    group = await tx.get(key)
    if group is None or group.deleting:
        raise GroupUnknown(str(key), "does not exist", "create it, or correct the agent's configuration")
    return group


async def _create(tx: Transaction, newcomer: Newcomer) -> Resource:
    return await tx.create(registration(await _group(tx, newcomer), newcomer.proven.caller, _report(newcomer)))


async def _refresh(tx: Transaction, held: Resource, *, newcomer: Newcomer) -> Resource:
    """The registration with what the agent says of itself now; identity and snapshot of the group stay."""
    said = registration(group_of(held), newcomer.proven.caller, _report(newcomer)).spec["registration"]
    return await tx.update(replace(held, body={"spec": {**held.spec, "registration": said}}))


def _report(newcomer: Newcomer) -> AgentReport:
    request, wanted = newcomer.request, newcomer.wanted
    return AgentReport(
        request.agent_version,
        request.envoy_version,
        newcomer.reach.known,
        wanted.labels,
        connected_over=wanted.connected_over,
    )


async def _keep_entry(tx: Transaction, stored: Resource, *, newcomer: Newcomer, now: datetime, anew: bool) -> None:
    """There is a WorkloadEntry of this registration. `anew`: its agent says other things than before, so one that is
    there follows that; its status stays, but for doubts about what it said."""
    owner = Owner(stored.key, stored.uid, f"{stored.key.group}/{WORKLOAD_AUTO_REGISTRATION.versions[0]}")
    group, proven, labels = group_of(stored), newcomer.proven, newcomer.wanted.labels
    _check_labels(group, labels)
    reach = newcomer.reach
    joined = Joined(reach.address, proven.region, proven.zone, labels, own_address=reach.own)
    entry = registered_entry(group, joined, owner=owner, now=now)
    present = await tx.get(entry.key)
    if present is None:
        await tx.create(entry)
    elif owner.uid not in {one.uid for one in present.owners}:
        raise RegistrationTaken(str(entry.key), "was made by somebody else", "delete it")
    elif anew:
        changed = replace(present, body=entry.body, labels=entry.labels, annotations=entry.annotations)
        observed = present.generation + (entry.body != present.body)
        await tx.update(with_messages(changed, (), generation=observed))  # they were about what this replaces


def _check_labels(group: Resource, wanted: Mapping[str, str]) -> None:
    """An agent adds labels; what its group declares, in whatever place, it cannot change."""
    for label, value in group_labels(group).items():
        if wanted.get(label, value) != value:
            problem = f"the WorkloadGroup sets it to {value!r}, and the agent asks for {wanted[label]!r}"
            raise LabelRefused(f"labels[{label}]", problem, "take it out of workload.labels")


def _issue(
    stored: Resource, newcomer: Newcomer, *, authorities: Authorities, mesh: MeshAuthority
) -> tuple[Issued, Issued]:
    """The control identity and the workload identity; the latter's service account is the remembered group's."""
    namespace, template = stored.key.namespace, parse(WorkloadGroupBody, group_of(stored)).spec.template
    uri = workload_uri(mesh.domain, namespace, template.service_account or DEFAULT_ACCOUNT)
    name = ControlName(authorities.cluster_id, namespace, stored.key.name, stored.uid)
    return authorities.issue_control(newcomer.key, name), authorities.issue_workload(newcomer.key, (uri,), by=mesh)


def identity_row(issued: Issued, stored: Resource, *, principal: str) -> Identity:
    """The record of a certificate that was issued to a registration."""
    return Identity(
        digest=issued.digest,
        serial=issued.serial,
        subject=issued.subject,
        registration=stored.uid,
        task=principal,
        key_hash=issued.key_hash,
        not_after=issued.not_after,
    )
