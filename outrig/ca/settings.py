"""Settings of the certificate authorities."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class CaSettings:
    """How long certificates live, and which meshes have an authority. Raises ValueError on lifetimes under a minute."""

    workload_lifetime: timedelta = timedelta(hours=1)
    """Workload identities; renewed by the agent at half of it."""
    control_lifetime: timedelta = timedelta(hours=1)
    """Agents' identities towards the control plane."""
    server_lifetime: timedelta = timedelta(days=30)
    """The control plane's own server certificates."""
    authority_lifetime: timedelta = timedelta(days=3650)
    """New authorities. Nothing is issued beyond the end of its authority."""
    backdate: timedelta = timedelta(minutes=2)
    """How far certificates begin in the past, for peers whose clocks are behind."""
    allow_rsa: bool = False
    """Whether requests may bring RSA keys (2048 to 4096 bits, exponent 65537) besides P-256 and P-384."""
    trust_domains: Mapping[str, str] = field(default_factory=lambda: {"default": "cluster.local"})
    """The trust domain of each mesh; each has an authority of its own."""

    def __post_init__(self) -> None:
        for name in ("workload_lifetime", "control_lifetime", "server_lifetime", "authority_lifetime"):
            if getattr(self, name) < SHORTEST:
                raise ValueError(f"{name}: {getattr(self, name)} is too short; at least one minute")
        if len(set(self.trust_domains.values())) != len(self.trust_domains):
            raise ValueError("trust_domains: two meshes share a trust domain")
