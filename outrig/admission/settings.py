"""Settings of the join."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

AWS_IAM: Final = "aws-iam"
DP_TOKEN: Final = "dpToken"  # noqa: S105 - a method's name
ZONE_TOKEN: Final = "zoneToken"  # noqa: S105
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """How joins are answered, and how many are listened to."""

    xds_port: int
    """Port of the xDS server, as told to agents."""
    xds_host: str = ""
    """Host of the xDS server, as told to agents; empty: the one they joined at."""
    nonce_lifetime: timedelta = timedelta(seconds=60)
    """How long a challenge may be answered."""
    rate: float = 10.0
    """Requests a second that one address (IPv6: one /64) may keep up, challenges and joins together."""
    burst: int = 100
    """Requests that one address may make at once after a pause."""
    task_rate: float = 1 / 15
    """Renewals a second that one task may keep up; each asks STS, IAM and ECS. One is due at half of a certificate's
    life, so more than two a minute where that is as short as it can be set, a minute."""
    task_burst: int = 6
    """Renewals that one task may make at once after a pause."""
    challenge_rate: float = 200.0
    """Challenges a second for all callers together; each is a row in the store until it is used or has expired."""
    challenge_burst: int = 1000
    """Challenges for all callers together at once after a pause."""
    require_peer_address: bool = False
    """Demand that the connection comes from the task's own address; not behind what hides addresses."""
    dataplane_proofs: frozenset[str] = frozenset((DP_TOKEN,))
    """Proofs that data planes may bring: `aws-iam`, `dpToken`; `none`: they need no proof."""
    zone_proofs: frozenset[str] = frozenset((ZONE_TOKEN,))
    """Proofs that zone proxies may bring: `aws-iam`, `zoneToken`; `none`: they need no proof."""
    events_per_minute: int = 30
    """OnboardingDenied Events written for a namespace in a minute, at most; further refusals are only logged."""
    event_lifetime: timedelta = timedelta(hours=1)
    """OnboardingDenied Events that were last seen longer ago than this are removed when another is written."""
