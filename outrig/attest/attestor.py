"""The checks on who is calling, in their order: what costs least first, nothing of AWS's asked before all of that."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from outrig.attest.aws import Aws
from outrig.attest.caller import Caller, check_task_session
from outrig.attest.evidence import Claim, Evidence, check_date, check_form, parse_claim
from outrig.attest.refusals import AccountRefused, AwsUnavailable, Malformed, RegionUnknown, TaskRefused
from outrig.attest.regions import known_regions
from outrig.attest.roles import Role, Roles
from outrig.attest.settings import AttestSettings
from outrig.attest.sts import Sts
from outrig.attest.task import VerifiedTask
from outrig.attest.tasks import Task, Tasks


class AwsAttestor:
    """Turns evidence into a verified task. `close` it."""

    def __init__(self, settings: AttestSettings, *, sts: Sts, aws: Aws, regions: Mapping[str, str]) -> None:
        self._settings, self._sts, self._regions = settings, sts, regions
        self._aws, self._roles, self._tasks = aws, Roles(aws, settings), Tasks(aws)
        self._turns = asyncio.Semaphore(settings.parallel)

    async def close(self) -> None:
        """Close its connections."""
        await self._sts.close()

    async def has_credentials(self) -> bool:
        """Whether the control plane has AWS credentials of its own, without which `verify` lets nobody in."""
        return await self._aws.has_credentials()

    def check(self, evidence: Evidence, now: datetime) -> None:
        """All that can be judged without asking anybody: form, date, region. Raises Refused."""
        check_form(evidence.proof)
        check_date(evidence.proof, now, self._settings)
        if evidence.proof.region not in self._regions:
            known = ", ".join(self._settings.regions) or "all of AWS"
            problem = f"region {evidence.proof.region} is not served here"
            raise RegionUnknown("aws.region", problem, f"regions served: {known}")
        claim = parse_claim(evidence.claim)
        if claim.region != evidence.proof.region:
            problem = f"the proof is for {evidence.proof.region}, the task runs in {claim.region}"
            raise Malformed("ecs.taskArn", problem, "sign for the task's own region")

    async def verify(self, evidence: Evidence, *, fresh: bool) -> VerifiedTask:
        """The task that made the proof. `fresh`: ask for everything anew. Raises Refused."""
        try:
            async with asyncio.timeout(self._settings.patience.total_seconds()):
                await self._turns.acquire()
        except TimeoutError:
            problem = "too many callers are being checked"
            raise AwsUnavailable("", problem, "try again", retry_after=2) from None
        try:
            return await self._verify(evidence, fresh=fresh)
        finally:
            self._turns.release()

    async def _verify(self, evidence: Evidence, *, fresh: bool) -> VerifiedTask:
        region, claim = evidence.proof.region, parse_claim(evidence.claim)
        caller = await self._sts.ask(evidence, partition=self._regions[region])
        self._check_account(caller)
        check_task_session(caller)
        _check_claim(claim, caller)
        role = await self._roles.of(caller, region, fresh=fresh)
        task = await self._tasks.find(claim, role)
        public = await self._tasks.public_address(task, region) if evidence.public else ""
        return _verified(claim, role, task, public=public)

    def _check_account(self, caller: Caller) -> None:
        if self._settings.accounts and caller.account not in self._settings.accounts:
            hint = (
                "the control plane's operator names accounts (OUTRIG_AWS_ACCOUNTS, KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS)"
            )
            raise AccountRefused("aws", f"account {caller.account} is not among the accounts allowed here", hint)


def open_attestor(settings: AttestSettings) -> AwsAttestor:
    """An attestor that asks AWS, as the settings say. Raises ValueError on unknown regions."""
    regions = known_regions(settings.regions)
    return AwsAttestor(settings, sts=Sts(settings), aws=Aws(settings.aws_endpoint_url), regions=regions)


def _check_claim(claim: Claim, caller: Caller) -> None:
    if claim.task_id != caller.session:
        raise TaskRefused("ecs.taskArn", "it is not the task whose credentials made the proof")
    if (claim.partition, claim.account) != (caller.partition, caller.account):
        raise TaskRefused("ecs.taskArn", "it is not in the account whose credentials made the proof")


def _verified(claim: Claim, role: Role, task: Task, *, public: str) -> VerifiedTask:
    return VerifiedTask(
        partition=claim.partition,
        account=claim.account,
        region=claim.region,
        zone=task.zone,
        cluster=claim.cluster,
        role_name=role.name,
        role_id=role.role_id,
        role_arn=role.arn,
        task_id=claim.task_id,
        task_arn=claim.arn,
        task_definition=task.definition,
        address=task.addresses[0],
        addresses=task.addresses,
        public_address=public,
        role_tags=role.tags,
    )
