"""The audit log: one line for every join, granted or refused. It never holds a credential, signature or key."""

import structlog

from outrig.admission.enrolment import Enrolled, Newcomer
from outrig.admission.proofs import claim, fingerprint
from outrig.admission.proven import Proven
from outrig.admission.refusals import Refused
from outrig.wire.join import JoinRequest


def admitted(newcomer: Newcomer, enrolled: Enrolled) -> None:
    """A workload was let in, or renewed."""
    structlog.get_logger("audit").info(
        "join",
        outcome="renewed" if enrolled.renewal else "admitted",
        **newcomer.proven.facts,
        registration=str(enrolled.registration.key),
        uid=enrolled.registration.uid,
        identity=enrolled.workload.subject,
        key_hash=newcomer.key_hash,
        serials=[enrolled.control.serial, enrolled.workload.serial],
        policy=enrolled.policy,
        proof=fingerprint(newcomer.request),
    )


def refused(request: JoinRequest, refusal: Refused, *, proven: Proven | None) -> None:
    """A caller was turned away. `claimed…` is its own word, shown shortened and escaped."""
    structlog.get_logger("audit").warning(
        "join",
        outcome="refused",
        code=refusal.code,
        reason=refusal.reason,
        detail=refusal.detail,
        reference=refusal.reference,
        **(proven.facts if proven else {"claimed_task": ascii(claim(request))[1:-1][:200]}),
        claimed_group=ascii(f"{request.namespace}/{request.workload_group}")[1:-1][:200],
        proof=fingerprint(request),
    )
