"""Whatever happens in whatever order, the short cut says what starting anew would, and marks exactly what differs."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from outrig.control.world import World
from outrig.envoy import api
from outrig.errors import Finding
from outrig.resources import Key, Resource
from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, ProxyId
from tests.mesh_making import (
    KINDS,
    Plain,
    added,
    all_snapshots,
    batch_snapshots,
    deleted,
    trust,
)
from tests.property.mesh_strategies import START, resources

pytestmark = pytest.mark.slow

STEPS = st.lists(st.lists(st.tuples(st.booleans(), resources()), min_size=1, max_size=6), min_size=1, max_size=8)
PATIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


class Checked:
    """A world beside the plain list of what is in it."""

    def __init__(self) -> None:
        self.world = World(KINDS)
        self.resources: dict[Key, Resource] = {}
        self.before: dict[ProxyId, Plain] = {}
        self.findings: dict[ProxyId, tuple[Finding, ...]] = {}
        self.step([(True, resource) for resource in START])

    def step(self, what: list[tuple[bool, Resource]]) -> None:
        changes = []
        for there, resource in what:
            changes += added(resource) if there else deleted(resource)
            if there:
                self.resources[resource.key] = resource
            else:
                self.resources.pop(resource.key, None)
        dirty = self.world.apply(changes)
        now = all_snapshots(self.world)
        assert now == batch_snapshots(self.resources.values())
        assert {proxy: dict(names) for proxy, names in dirty.items()} == differences(self.before, now)
        assert self.world.take_doubtful() >= self.changed_findings()
        self.before = now

    def changed_findings(self) -> set[ProxyId]:
        before, self.findings = self.findings, {proxy: self.world.findings(proxy) for proxy in self.world.proxies()}
        proxies = before.keys() | self.findings.keys()
        return {proxy for proxy in proxies if before.get(proxy, ()) != self.findings.get(proxy, ())}


def differences(before: dict[ProxyId, Plain], now: dict[ProxyId, Plain]) -> dict[ProxyId, dict[str, set[str]]]:
    found: dict[ProxyId, dict[str, set[str]]] = {}
    for proxy in before.keys() | now.keys():
        for url in (CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET):
            old, new = before.get(proxy, {}).get(url, {}), now.get(proxy, {}).get(url, {})
            names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
            if names:
                found.setdefault(proxy, {})[url] = names
    return found


@given(STEPS)
@PATIENT
def test_the_index_agrees_with_the_batch_after_every_step_and_marks_exactly_what_differs(steps: list[Any]) -> None:
    checked = Checked()
    for step in steps:
        checked.step(step)


@given(st.lists(resources(), max_size=12, unique_by=lambda r: r.key), st.randoms(use_true_random=False))
@PATIENT
def test_the_order_in_which_resources_appear_means_nothing(made: list[Resource], random: Any) -> None:
    shuffled = random.sample(made, len(made))
    at_once, one_by_one = World(KINDS), World(KINDS)
    at_once.apply(added(trust(), *made))
    one_by_one.apply(added(trust()))
    for resource in shuffled:
        one_by_one.apply(added(resource))
    assert all_snapshots(at_once) == all_snapshots(one_by_one)
    for proxy in at_once.proxies():
        assert at_once.findings(proxy) == one_by_one.findings(proxy)


@given(st.lists(resources(), max_size=12, unique_by=lambda r: r.key))
@PATIENT
def test_what_comes_and_goes_leaves_nothing_behind(made: list[Resource]) -> None:
    world = World(KINDS)
    world.apply(added(trust(), *made))
    world.apply(deleted(*made))
    assert all_snapshots(world) == {}


@given(st.lists(resources(), max_size=16, unique_by=lambda r: r.key))
@PATIENT
def test_every_reference_resolves(made: list[Resource]) -> None:
    world = World(KINDS)
    world.apply(added(trust(), trust("other", "other.org")))
    world.apply(added(*made))
    for snapshot in all_snapshots(world).values():
        check_references(snapshot)


def check_references(snapshot: Plain) -> None:
    clusters = [decode(body, api.Cluster) for body in snapshot[CLUSTER].values()]
    listeners = [decode(body, api.Listener) for body in snapshot[LISTENER].values()]
    routes = [decode(body, api.RouteConfiguration) for body in snapshot[ROUTES].values()]
    called = {c.name for c in clusters if c.type == api.Cluster.EDS}
    assert called == snapshot[ENDPOINTS].keys()
    targets = {
        r.route.cluster for table in routes for host in table.virtual_hosts for r in host.routes if r.route.cluster
    }
    wanted, extensions = set(), set()
    for listener in listeners:
        for filters in (chain.filters for chain in listener.filter_chains):
            extensions |= {f.name for f in filters if f.HasField("config_discovery")}
            managers = [decode_any(f, api.HttpConnectionManager) for f in filters if f.name.endswith("manager")]
            extensions |= {f.name for one in managers for f in one.http_filters if f.HasField("config_discovery")}
            wanted |= {
                decode_any(f, api.HttpConnectionManager).rds.route_config_name
                for f in filters
                if f.name.endswith("manager")
            }
            targets |= {decode_any(f, api.TcpProxy).cluster for f in filters if f.name.endswith("tcp_proxy")}
    assert wanted == snapshot[ROUTES].keys()
    assert extensions == snapshot[EXTENSION].keys()
    assert targets == snapshot[CLUSTER].keys()
    bodies = b"".join([*snapshot[CLUSTER].values(), *snapshot[LISTENER].values()])
    assert {name.decode() for name in re.findall(rb"trust/[a-z]+", bodies)} <= snapshot[SECRET].keys()
    domains = [[domain for host in table.virtual_hosts for domain in host.domains] for table in routes]
    assert all(len(some) == len(set(some)) for some in domains)
    addresses = [listener.address.SerializeToString() for listener in listeners]
    assert len(addresses) == len(set(addresses))


def decode(body: bytes, kind: Any) -> Any:
    return kind.FromString(api.Resource.FromString(body).resource.value)


def decode_any(holder: Any, kind: Any) -> Any:
    return kind.FromString(holder.typed_config.value)
