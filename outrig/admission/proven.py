"""A caller whose identity is proven, in the words that the rest of the join needs, whatever the proof was."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from outrig.attest.task import VerifiedTask
from outrig.attest.token import VerifiedToken
from outrig.dialects.onboarding.decision import AwsTask, Caller, TokenHolder


@dataclass(frozen=True, slots=True)
class Once:
    """A proof that may be used with one key only. `digest` names it; after `expires` nobody takes it any more."""

    digest: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Proven:
    """Who is calling.

    `principal` names the caller for good: its keys are pinned to that. `shown`, for people: who it is; `account`, for
    them too, is shorter. `addresses` are those the proof vouches for, none if it says nothing about addresses;
    `public_address` likewise, if it was asked for.
    `facts` are for the audit log.
    """

    principal: str
    caller: Caller
    shown: str
    account: str
    facts: Mapping[str, str]
    region: str = ""
    zone: str = ""
    addresses: tuple[str, ...] = ()
    public_address: str = ""
    once: Once | None = None


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
