"""Settings of the certificate authorities."""

from dataclasses import dataclass
from datetime import timedelta

SHORTEST = timedelta(minutes=1)
DEFAULT_MESH = "default"


@dataclass(frozen=True, slots=True)
class CaSettings:
    """How long certificates live, and of which trust domain they are. Raises ValueError on lifetimes under a minute."""

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
    trust_domain: str = "cluster.local"
    """That of mesh `default`. Every other mesh's is its own name."""

    def __post_init__(self) -> None:
        for name in ("workload_lifetime", "control_lifetime", "server_lifetime", "authority_lifetime"):
            if getattr(self, name) < SHORTEST:
                raise ValueError(f"{name}: {getattr(self, name)} is too short; at least one minute")

    def trust_domain_of(self, mesh: str) -> str:
        """The trust domain of a mesh."""
        return self.trust_domain if mesh == DEFAULT_MESH else mesh
