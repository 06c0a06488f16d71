"""The audit log: one line for every join, granted or refused. It never holds a credential, signature or key."""

import hashlib

import structlog

from outrig.admission.enrolment import Enrolled, Newcomer
from outrig.admission.refusals import Refused
from outrig.attest.task import VerifiedTask
from outrig.wire.join import JoinRequest


def admitted(newcomer: Newcomer, enrolled: Enrolled) -> None:
    """A task was let in, or renewed."""
    task = newcomer.task
    structlog.get_logger("audit").info(
        "join",
        outcome="renewed" if enrolled.renewal else "admitted",
        **_who(task),
        registration=str(enrolled.registration.key),
        uid=enrolled.registration.uid,
        identity=enrolled.workload.subject,
        key_hash=newcomer.key_hash,
        serials=[enrolled.control.serial, enrolled.workload.serial],
        policy=enrolled.policy,
        proof=_fingerprint(newcomer.request),
    )


def refused(request: JoinRequest, refusal: Refused, *, task: VerifiedTask | None) -> None:
    """A caller was turned away. `claimed…` is its own word, shown shortened and escaped."""
    structlog.get_logger("audit").warning(
        "join",
        outcome="refused",
        code=refusal.code,
        reason=refusal.reason,
        detail=refusal.detail,
        reference=refusal.reference,
        **(_who(task) if task else {"claimed_task": ascii(request.ecs.task_arn)[1:-1][:200]}),
        claimed_group=ascii(f"{request.namespace}/{request.workload_group}")[1:-1][:200],
        proof=_fingerprint(request),
    )


def _who(task: VerifiedTask) -> dict[str, str]:
    return {"role": task.role_name, "role_id": task.role_id, "task": task.task_arn, "address": task.address}


def _fingerprint(request: JoinRequest) -> str:
    """Names a proof without telling it."""
    return hashlib.sha256(request.aws.signature.encode(errors="replace")).hexdigest()[:12]
