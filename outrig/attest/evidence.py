"""What a caller sends, checked as far as that needs nobody else: form, date, and which task it says it is."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from outrig.attest.refusals import ClockSkew, Malformed
from outrig.attest.settings import AttestSettings
from outrig.wire.join import AwsProof, EcsTask

_FORMS = {
    "region": re.compile(r"[a-z0-9-]{1,32}"),
    "amzDate": re.compile(r"[0-9]{8}T[0-9]{6}Z"),
    "accessKeyId": re.compile(r"[A-Z0-9]{16,64}"),
    "sessionToken": re.compile(r"[A-Za-z0-9+/=_-]{1,8192}"),
    "signature": re.compile(r"[0-9a-f]{64}"),
    "nonce": re.compile(r"[A-Za-z0-9_-]{16,128}"),
}
_CLUSTER = r"[A-Za-z0-9_-]{1,255}"
_TASK_ARN = re.compile(
    rf"arn:(aws[a-z-]{{0,16}}):ecs:([a-z0-9-]{{1,32}}):([0-9]{{12}}):task/({_CLUSTER})/([0-9a-f]{{32}})"
)
_CLUSTER_CLAIM = re.compile(rf"(?:arn:aws[a-z-]{{0,16}}:ecs:[a-z0-9-]{{1,32}}:[0-9]{{12}}:cluster/)?({_CLUSTER})")


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a join rests on. `csr`: DER. `audience`: this control plane's own, never the caller's word.

    `public`: the task's public address is asked for too.
    """

    proof: AwsProof
    claim: EcsTask
    csr: bytes
    audience: str
    public: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """Which task the caller says it is; only what to ask ECS about."""

    partition: str
    region: str
    account: str
    cluster: str
    task_id: str

    @property
    def arn(self) -> str:
        """The task's ARN."""
        return f"arn:{self.partition}:ecs:{self.region}:{self.account}:task/{self.cluster}/{self.task_id}"


def claim_of(arn: str) -> Claim:
    """The task of that ARN. Raises Malformed."""
    if not (found := _TASK_ARN.fullmatch(arn)):
        hint = "arn:PARTITION:ecs:REGION:ACCOUNT:task/CLUSTER/ID, with an id of 32 hex digits"
        raise Malformed("ecs.taskArn", "is not the ARN of a task", hint)
    return Claim(*found.groups())


def check_form(proof: AwsProof) -> None:
    """Every field has its narrow alphabet and length, so that no value can reach beyond its place. Raises Malformed."""
    values = (proof.region, proof.amz_date, proof.access_key_id, proof.session_token, proof.signature, proof.nonce)
    for (name, form), value in zip(_FORMS.items(), values, strict=True):
        if not form.fullmatch(value):
            raise Malformed(f"aws.{name}", f"does not have the form {form.pattern}")
    if not proof.access_key_id.startswith("ASIA"):
        raise Malformed("aws.accessKeyId", "is no temporary key", "sign with the credentials of the task's role")


def parse_claim(task: EcsTask) -> Claim:
    """The task a caller says it is. Raises Malformed."""
    claim, cluster = claim_of(task.task_arn), _CLUSTER_CLAIM.fullmatch(task.cluster)
    if not cluster or cluster[1] != claim.cluster:
        raise Malformed("ecs.cluster", "is not the cluster of the task's ARN", "give its name or ARN")
    return claim


def check_date(proof: AwsProof, now: datetime, settings: AttestSettings) -> None:
    """The proof is fresh by this control plane's clock. Raises Malformed, ClockSkew."""
    try:
        dated = datetime.strptime(proof.amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Malformed("aws.amzDate", "is no date", "YYYYMMDD'T'HHMMSS'Z', UTC") from None
    if not now - settings.oldest <= dated <= now + settings.furthest:
        apart = abs((dated - now).total_seconds())
        problem = f"the caller's clock says {_clock(dated)}, the control plane's {_clock(now)}: {apart:.0f} s apart"
        oldest, furthest = settings.oldest.total_seconds(), settings.furthest.total_seconds()
        hint = f"set the clock that is wrong; {oldest:.0f} s behind to {furthest:.0f} s ahead is accepted"
        raise ClockSkew("aws.amzDate", problem, hint)


def _clock(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
