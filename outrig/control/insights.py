"""What is counted every few seconds about a proxy: kept by the replica that has its stream, and given when asked for.

In: the key of a workload. Out: what became of the responses on its proxy's xDS stream, by Kuma's names of types. A
stream that another replica has is not counted here: nothing is known then, which is not the same as zero.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from outrig.control.proxies import proxy_of
from outrig.dialects.kuma.insight import Counts
from outrig.resources import Key
from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, ProxyId, TypeUrl
from outrig.xds.subscription import Tally

_NAMES: Final[Mapping[TypeUrl, str]] = {
    CLUSTER: "cds",
    ENDPOINTS: "eds",
    LISTENER: "lds",
    ROUTES: "rds",
    SECRET: "sds",
    EXTENSION: "ecds",
}


class Proxies(Protocol):
    """The hub."""

    def tallies(self, proxy: ProxyId) -> Mapping[TypeUrl, Tally]:
        """What became of the responses on the proxy's newest stream here."""
        ...


class Counters:
    """Tells what is counted."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    def counts(self, workload: Key) -> Mapping[str, Counts] | None:
        """By short type, of the proxy of a Dataplane or WorkloadEntry; None where it has had no stream here."""
        tallies = self._proxies.tallies(proxy_of(workload))
        counted = {
            name: Counts(tallies[type_url].sent, tallies[type_url].acknowledged, tallies[type_url].rejected)
            for type_url, name in _NAMES.items()
            if type_url in tallies
        }
        return counted or None
