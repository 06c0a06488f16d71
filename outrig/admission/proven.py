"""A caller whose identity is proven, in the words that the rest of the join needs, whatever the proof was."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from outrig.admission.documents import Asked
from outrig.admission.warrants import Warrant, role_warrant
from outrig.attest.task import VerifiedTask
from outrig.attest.token import VerifiedToken
from outrig.dialects.onboarding.decision import AwsTask, Caller, TokenHolder


@dataclass(frozen=True, slots=True)
class Once:
    """A proof that may be used with one key only. `digest` names it; after `expires` nobody takes it any more."""

    digest: str
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Who is calling.

    `principal` names the caller for good: its keys are pinned to that. `shown`, for people: who it is; `account`, for
    them too, is shorter. `addresses` are those the proof vouches for, none if it says nothing about addresses;
    `public_address` likewise, if it was asked for.
    `facts` are for the audit log.
    """

    principal: str
    shown: str
    account: str
    facts: Mapping[str, str]
    addresses: tuple[str, ...] = ()
    public_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven(Vouched):
    """One that asks to join a group."""

    caller: Caller
    region: str = ""
    zone: str = ""
    once: Once | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warranted(Vouched):
    """One that asks to be a data plane, or a zone proxy."""

    warrant: Warrant

    @property
    def names(self) -> frozenset[str]:
        """By which it can be banned: its principal, its role, its account."""
        return frozenset((self.principal, self.account, self.account.partition("/")[0]))


def proven_task(task: VerifiedTask) -> Proven:
    """A task of ECS."""
    caller = AwsTask(
        partition=task.partition,
        account=task.account,
        region=task.region,
        zone=task.zone,
        cluster=task.cluster,
        role_name=task.role_name,
        task_id=task.task_id,
    )
    return Proven(
        principal=task.task_arn,
        caller=caller,
        shown=f"role {task.role_name} of account {task.account}",
        account=f"{task.account}/{task.role_name}",
        facts={"role": task.role_name, "role_id": task.role_id, "task": task.task_arn, "address": task.address},
        region=task.region,
        zone=task.zone,
        addresses=task.addresses,
        public_address=task.public_address,
    )


def warranted_task(task: VerifiedTask) -> Warranted:
    """A task of ECS, by the tags of its role. Raises WarrantRefused."""
    proven = proven_task(task)
    return Warranted(
        principal=proven.principal,
        shown=proven.shown,
        account=proven.account,
        facts=proven.facts,
        addresses=proven.addresses,
        public_address=proven.public_address,
        warrant=role_warrant(task.role_name, task.role_tags),
    )


def warranted_holder(asked: Asked, warrant: Warrant) -> Warranted:
    """Somebody with a token, or with nothing where nothing is asked for: it has no name but the one it asks for."""
    shown = f"token {warrant.jti}" if warrant.jti else "a caller without proof"
    facts = {"token": warrant.jti, "kid": warrant.kid} if warrant.jti else {"proof_of": "nothing"}
    return Warranted(principal=asked.principal, shown=shown, account=asked.principal, facts=facts, warrant=warrant)


def proven_token(token: VerifiedToken) -> Proven:
    """A workload with a token."""
    return Proven(
        principal=token.principal,
        caller=TokenHolder(token.issuer, token.issuer_name, token.subject, token.attributes),
        shown=f"subject {token.subject} of issuer {token.issuer}",
        account=f"{token.issuer_name}/{token.subject}",
        facts={"issuer": token.issuer, "subject": token.subject},
        once=Once(token.digest, token.expires),
    )
