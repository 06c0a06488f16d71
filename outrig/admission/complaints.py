"""Refusals as lines of the control plane's log: the first of equal ones to one caller, then every tenth with its count.

The audit log has each of them; this is for whoever looks at what the control plane says.
"""

from typing import Final

import structlog

from outrig.admission.proofs import asked_for, claim
from outrig.admission.refusals import Refused
from outrig.errors import OutrigError
from outrig.kit.repeats import Repeats
from outrig.wire.join import JoinRequest

_MOST: Final = 1024  # callers that are remembered
_log = structlog.get_logger(__name__)


class Complaints:
    """Remembers what was said of whom. Callers are told apart by what they claim, which is all there is."""

    def __init__(self) -> None:
        self._said: dict[str, Repeats] = {}
        self._faults: dict[str, Repeats] = {}

    def fault(self, error: OutrigError) -> None:
        """Callers are turned away for what is wrong here: at each place told once, then every tenth time."""
        repeats = self._faults.setdefault(error.place, Repeats())
        if reason := repeats.heard(f"{error.code} {error.place}"):
            _log.error("nothing can be issued", reason=reason, detail=error.problem, hint=error.hint)

    def tell(self, request: JoinRequest, refused: Refused) -> None:
        """A caller was turned away."""
        wanted, who = (ascii(text)[1:-1][:200] for text in (asked_for(request), claim(request)))
        key = f"{wanted} {who}"
        if key not in self._said and len(self._said) >= _MOST:
            del self._said[next(iter(self._said))]
        repeats = self._said.setdefault(key, Repeats())
        if reason := repeats.heard(f"{refused.code} {refused.reason}, reference {refused.reference}"):
            _log.warning("join refused", wanted=wanted, claimed=who, reason=reason, hint=refused.hint)
