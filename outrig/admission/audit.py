"""The audit log: one line for every join, granted or refused. It never holds a credential, signature or key."""

import structlog

from outrig.admission.enrolment import Enrolled
from outrig.admission.proofs import asked_for, claim, fingerprint
from outrig.admission.proven import Vouched
from outrig.admission.refusals import Refused
from outrig.wire.join import JoinRequest


def admitted(request: JoinRequest, vouched: Vouched, enrolled: Enrolled) -> None:
    """A workload was let in, or renewed."""
    structlog.get_logger("audit").info(
        "join",
        outcome="renewed" if enrolled.renewal else "admitted",
        **vouched.facts,
        registration=str(enrolled.registration.key),
        uid=enrolled.registration.uid,
        identity=enrolled.workload.subject if enrolled.workload else "",
        key_hash=enrolled.control.key_hash,
        serials=[issued.serial for issued in enrolled.issued],
        policy=enrolled.policy,
        in_place_of=enrolled.before,
        proof=fingerprint(request),
    )


def refused(request: JoinRequest, refusal: Refused, *, proven: Vouched | None) -> None:
    """A caller was turned away. `claimed…` is its own word, shown shortened and escaped."""
    structlog.get_logger("audit").warning(
        "join",
        outcome="refused",
        code=refusal.code,
        reason=refusal.reason,
        hint=refusal.hint,
        detail=refusal.detail,
        reference=refusal.reference,
        **(proven.facts if proven else {"claimed_task": ascii(claim(request))[1:-1][:200]}),
        claimed_group=ascii(asked_for(request))[1:-1][:200],
        proof=fingerprint(request),
    )
