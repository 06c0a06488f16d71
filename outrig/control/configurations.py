"""What the proxies of this control plane are given, for whoever asks about one.

In: the key of a workload. Out: its proxy's configuration as Envoy's JSON.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from outrig.control.proxies import proxy_of
from outrig.envoy.dump import as_json
from outrig.resources import Key
from outrig.snapshot import ProxyId, Snapshot


class World(Protocol):
    """The meshes, as their proxies are given them."""

    def snapshot(self, proxy: ProxyId) -> Snapshot | None:
        """What a proxy should have; None if it is not known."""
        ...


class Configurations:
    """Tells what proxies are given. Fits `Inspector` of Kuma's API."""

    def __init__(self, world: World) -> None:
        self._world = world

    def config(self, workload: Key, *, proto_names: bool = False) -> Mapping[str, Mapping[str, Any]] | None:
        """By type and name, of the proxy of a Dataplane or WorkloadEntry; None: it has no proxy here.

        `proto_names`: fields are spelt as in Envoy's own dumps.
        """
        snapshot = self._world.snapshot(proxy_of(workload))
        return as_json(snapshot, proto_names=proto_names) if snapshot is not None else None
