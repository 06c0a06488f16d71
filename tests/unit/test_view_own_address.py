"""A workload behind an address that its host does not have: others call the one, its proxy listens on the other."""

from dataclasses import replace
from typing import Any

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.service.discovery.v3.discovery_pb2 import Resource as Packed

from outrig.dialects.istio.registered_entry import OWN_ADDRESS
from outrig.resources import Resource
from outrig.snapshot import ProxyId
from tests.mesh_making import Plain, all_snapshots, group, namespace, service, sidecar, task, world_of

PUBLIC, OWN = "203.0.113.7", "10.0.0.7"


def messages(snapshot: Plain, kind: type[Any]) -> list[Any]:
    """All of a kind in a snapshot."""
    packed = [Packed.FromString(body).resource for bodies in snapshot.values() for body in bodies.values()]
    found = [kind() for one in packed if one.Is(kind.DESCRIPTOR)]
    for message, one in zip(found, (one for one in packed if one.Is(kind.DESCRIPTOR)), strict=True):
        one.Unpack(message)
    return found


def listeners_and_endpoints(ratings: Resource) -> tuple[set[str], set[str]]:
    """Where the proxy of ratings listens for others, and where that of reviews calls it."""
    caller = task("reviews-1", "reviews", "10.0.0.8")
    scene = (namespace("shop"), service("ratings"), group("ratings"), group("reviews"), sidecar("all"))
    found = all_snapshots(world_of(*scene, ratings, caller))
    listeners = messages(found[ProxyId("shop/ratings-1")], Listener)
    assignments = messages(found[ProxyId("shop/reviews-1")], ClusterLoadAssignment)
    called = {
        one.endpoint.address.socket_address.address
        for each in assignments
        for some in each.endpoints
        for one in some.lb_endpoints
    }
    listening = {one.address.socket_address.address for one in listeners}
    return {host for host in listening if not host.startswith("127.")}, called


def test_others_call_the_public_address_and_the_proxy_listens_on_its_own() -> None:
    behind = task("ratings-1", "ratings", PUBLIC)
    assert listeners_and_endpoints(behind) == ({PUBLIC}, {PUBLIC})
    told = replace(behind, annotations={OWN_ADDRESS: OWN})
    assert listeners_and_endpoints(told) == ({OWN}, {PUBLIC})


def test_a_user_cannot_move_where_an_entry_of_his_own_listens() -> None:
    """The annotation is the control plane's word about workloads it has let in; elsewhere it says nothing."""
    written = replace(task("ratings-1", "ratings", PUBLIC), annotations={OWN_ADDRESS: OWN}, owners=())
    found = all_snapshots(world_of(namespace("shop"), service("ratings"), group("ratings"), sidecar("all"), written))
    assert ProxyId("shop/ratings-1") not in found
