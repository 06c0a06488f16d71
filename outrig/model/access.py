"""Who may call a workload: permissions as data. What they mean together is decided in `view`."""

from dataclasses import dataclass
from enum import StrEnum

from outrig.model.conditions import ALWAYS, Condition
from outrig.resources import Key


class Regime(StrEnum):
    """How a workload reads permissions; only those of its own regime count for it.

    OPEN: a call may pass unless it is denied, or something is allowed and this is not. CLOSED: a call may pass only
    if it is allowed; but where callers have no certificate, since TLS is off, all of it has no effect.
    """

    OPEN = "open"
    CLOSED = "closed"


class Action(StrEnum):
    """What a rule says of the calls it is about. DOUBT: allow them, and say that they might be denied one day."""

    ALLOW = "allow"
    DENY = "deny"
    DOUBT = "doubt"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about callers and calls. `name` is what logs show.

    A denial counts whatever is allowed elsewhere. One that `yields` counts only where no rule that comes later allows
    the caller.
    """

    origin: Key
    name: str
    action: Action
    callers: Condition = ALWAYS
    calls: Condition = ALWAYS
    yields: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Permissions. Of these all that choose a workload count, in the order of their ranks.

    `exclusive`: what nobody allows is denied, although the regime is OPEN. `rehearsed`: nothing is done, but said what
    would be. `of_ports`: the selector chooses by the labels of a single port (`Ingress.labels`) rather than of the
    workload. `section`: only for ports of that name (`Ingress.name`).
    """

    rules: tuple[Rule, ...]
    regime: Regime = Regime.OPEN
    exclusive: bool = False
    rehearsed: bool = False
    of_ports: bool = False
    section: str = ""
