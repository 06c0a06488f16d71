"""The names of one workload: its registration, its entry, its proxy; and the only place that turns one into another.

In: a key or a proxy's id. Out: the other names. A task that joined a WorkloadGroup has a WorkloadAutoRegistration and,
of the same name, a WorkloadEntry; its proxy is `<namespace>/<name>`. A Dataplane is its own registration and entry;
its proxy is `dataplane/<mesh>/<name>`. Zone proxies are as Dataplanes without a mesh: `zoneingress//<name>`. Both
forms of ids never meet: they have one slash, or two.
"""

from typing import Final

from outrig.ca.peers import ControlPeer
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.dialects.kuma.joined import came_by_join, holder_of
from outrig.dialects.onboarding.connection import agent_at
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId

ENTRY: Final = (WORKLOAD_ENTRY.group, WORKLOAD_ENTRY.name)
REGISTRATION: Final = (WORKLOAD_AUTO_REGISTRATION.group, WORKLOAD_AUTO_REGISTRATION.name)
DATAPLANE: Final = ("kuma.io", "Dataplane")
DATAPLANES: Final = {
    "dataplane": DATAPLANE,
    "zoneingress": ("kuma.io", "ZoneIngress"),
    "zoneegress": ("kuma.io", "ZoneEgress"),
}
"""Dataplanes and zone proxies, by how ids and control identities of them begin."""
REGISTRATIONS: Final = (REGISTRATION, *DATAPLANES.values())
"""The kinds a workload's agent can be registered as."""
ENTRIES: Final = (ENTRY, *DATAPLANES.values())
"""The kinds that say what callers may expect of a workload."""

_BEGINNINGS: Final = {kind: beginning for beginning, kind in DATAPLANES.items()}


def registration_key(namespace: str, name: str) -> Key:
    """The key of a WorkloadAutoRegistration."""
    return Key(*REGISTRATION, "", namespace, name)


def entry_key(namespace: str, name: str) -> Key:
    """The key of a WorkloadEntry."""
    return Key(*ENTRY, "", namespace, name)


def dataplane_key(mesh: str, name: str) -> Key:
    """The key of a Dataplane."""
    return Key(*DATAPLANE, mesh, "", name)


def kind_of(key: Key) -> tuple[str, str]:
    """Group and kind."""
    return key.group, key.kind


def is_dataplane(key: Key) -> bool:
    """Whether it is the key of a Dataplane, or of a zone proxy."""
    return kind_of(key) in _BEGINNINGS


def proxy_of(key: Key) -> ProxyId:
    """The proxy of a registration, or of an entry."""
    if beginning := _BEGINNINGS.get(kind_of(key)):
        return ProxyId(f"{beginning}/{key.mesh}/{key.name}")
    return ProxyId(f"{key.namespace}/{key.name}")


def registration_of(proxy: ProxyId) -> Key:
    """The registration of a proxy."""
    where, _, name = proxy.partition("/")
    if "/" not in name:
        return registration_key(where, name)
    mesh, _, name = name.partition("/")
    return Key(*DATAPLANES[where], mesh, "", name)


def registration_of_peer(peer: ControlPeer) -> Key:
    """The registration that a control identity names."""
    name = peer.name
    if name.kind in DATAPLANES:
        return Key(*DATAPLANES[name.kind], name.mesh, "", name.registration)
    return registration_key(name.namespace, name.registration)


def entry_of(registration: Key) -> Key:
    """What stands for a registration's workload among the members of the mesh."""
    return registration if is_dataplane(registration) else entry_key(registration.namespace, registration.name)


def is_unattended(registration: Resource) -> bool:
    """Whether no agent has ever joined as it: a Dataplane that somebody wrote, which is called as it stands."""
    return stays(registration) and holder_of(registration) is None and not agent_at(registration)


def stays(registration: Resource) -> bool:
    """Whether it outlives its agent: a Dataplane that somebody wrote, not one that came by a join."""
    return is_dataplane(registration.key) and not came_by_join(registration)
