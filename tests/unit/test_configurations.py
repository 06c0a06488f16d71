"""The configuration that Kuma's API shows is the one that the proxy is given, as Envoy's JSON."""

import json

from envoy.admin.v3.config_dump_pb2 import ConfigDump
from envoy.admin.v3.config_dump_shared_pb2 import ClustersConfigDump, ListenersConfigDump
from google.protobuf.json_format import ParseDict

from outrig.api.kuma.dumps import config_dump
from outrig.control.configurations import Configurations
from outrig.control.proxies import dataplane_key, proxy_of
from outrig.control.world import World
from outrig.dialects import core, istio, kuma
from outrig.resources import Key, Resource
from outrig.snapshot import CLUSTER, LISTENER
from tests.mesh_making import added, trust
from tests.unit.kuma_making import dataplane

KV = dataplane_key("default", "kv-1")


def world_of(*resources: Resource) -> World:
    world = World((*core.KINDS, *istio.KINDS, *kuma.KINDS, core.AUTHORITY))
    world.apply(added(*resources))
    return world


def test_a_configuration_has_every_resource_of_the_proxy_by_type_and_name() -> None:
    body = {"networking": dataplane()["networking"]}
    its_mesh = Resource(Key("kuma.io", "Mesh", "default", "", "default"))
    world = world_of(its_mesh, trust(), Resource(KV, body))
    shown = Configurations(world).config(KV)
    given = world.snapshot(proxy_of(KV))
    assert shown
    assert given
    assert {type_: set(names) for type_, names in shown.items()} == {
        type_: set(names) for type_, names in given.items()
    }
    listeners = json.dumps(shown[LISTENER])
    assert "10.0.0.1" in listeners
    assert "5050" in listeners
    assert "@type" not in shown[LISTENER][next(iter(shown[LISTENER]))]


def test_a_dump_is_what_the_proxy_is_given_in_envoys_own_form() -> None:
    body = {"networking": dataplane()["networking"]}
    world = world_of(Resource(Key("kuma.io", "Mesh", "default", "", "default")), trust(), Resource(KV, body))
    given = Configurations(world).config(KV, proto_names=True)
    assert given
    parsed = ParseDict(config_dump(given), ConfigDump())
    held = {config.TypeName(): config for config in parsed.configs}
    listeners, clusters = ListenersConfigDump(), ClustersConfigDump()
    assert held["envoy.admin.v3.ListenersConfigDump"].Unpack(listeners)
    assert held["envoy.admin.v3.ClustersConfigDump"].Unpack(clusters)
    assert {one.name for one in listeners.dynamic_listeners} == set(given[LISTENER])
    assert len(clusters.dynamic_active_clusters) == len(given[CLUSTER])
    assert "traffic_direction" in json.dumps(config_dump(given)), "names as Envoy writes them"
    assert sum(map(bool, given.values())) == len(parsed.configs), "no type is left out"


def test_who_has_no_proxy_has_no_configuration() -> None:
    assert Configurations(world_of()).config(KV) is None
