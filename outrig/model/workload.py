"""A live workload: a task, or a machine somebody registered."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from outrig.model.access import Regime
from outrig.model.labels import Labels
from outrig.model.tls import TlsMode
from outrig.resources import Key

WorkloadId = NewType("WorkloadId", str)  # `<namespace>/<name>`, or `dataplane/<mesh>/<name>`; also its proxy's id


class Health(StrEnum):
    """READY takes calls; UNREADY is not published; DRAINING finishes what it has and gets nothing new."""

    READY = "ready"
    UNREADY = "unready"
    DRAINING = "draining"


class AddressForm(StrEnum):
    """What an address is: an IP address, a host name to be looked up, or a unix socket (`unix:///path`)."""

    IP = "ip"
    NAME = "name"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload as its peers and its own proxy need to know it.

    `address` has the given `form`; `ports` are its named ports. `identities` are its SPIFFE URIs. `proxied`: a sidecar
    of ours runs beside it, which is to be configured; `proxy`: it is a part of another workload, whose proxy receives
    for it. `tls_default` holds where no policy sets a mode. `locality` is `region/zone/subzone`, later parts optional.
    `regime`: how it reads permissions.
    """

    origin: Key
    id: WorkloadId
    namespace: str
    labels: Labels
    address: str
    identities: tuple[str, ...]
    health: Health = Health.READY
    ports: tuple[tuple[str, int], ...] = ()
    proxied: bool = True
    tls_default: TlsMode = TlsMode.STRICT
    weight: int = 1
    locality: str = ""
    form: AddressForm = AddressForm.IP
    own_address: str = ""
    proxy: WorkloadId | None = None
    regime: Regime = Regime.OPEN

    @property
    def host(self) -> str:
        """The address its own sockets have: `own_address`, where others reach it by another one (NAT)."""
        return self.own_address or self.address

    @property
    def whole(self) -> WorkloadId:
        """The workload that it is, or is a part of."""
        return self.proxy or self.id

    @property
    def zone(self) -> str:
        """`region/zone` of its locality, as far as it is known."""
        return "/".join(self.locality.split("/", 2)[:2])
