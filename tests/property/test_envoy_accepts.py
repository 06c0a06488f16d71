"""Whatever the resources are, the real Envoy accepts what comes out."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from outrig.resources import Resource
from tests.golden.static_envoy import validate
from tests.mesh_making import make, trust, world_of
from tests.property.mesh_strategies import START, resources

pytestmark = pytest.mark.slow

ODD = st.sampled_from(
    [
        make("Service", "v6", "shop", {"clusterIP": "fd00::1", "selector": {"app": "a"}, "ports": [{"port": 9080}]}),
        make("Service", "v6-too", "shop", {"clusterIP": "FD00::1", "ports": [{"port": 9080, "name": "http"}]}),
        make("Service", "many", "bank", {"ports": [{"port": p, "name": f"p{p}"} for p in (1, 9080, 65535)]}),
        make("WorkloadEntry", "v6", "shop", {"address": "fd00::2", "locality": "a/b/c/d", "weight": 7}, app="a"),
        make(
            "Service",
            "a",
            "shop",
            {"selector": {"app": "a"}, "ports": [{"port": 9080, "appProtocol": "kubernetes.io/h2c"}]},
        ),
        make(
            "Sidecar",
            "s0",
            "shop",
            {
                "ingress": [
                    {"port": {"number": 1, "name": "a", "protocol": "GRPC"}, "defaultEndpoint": "unix:///run/a.sock"},
                    {"port": {"number": 2, "name": "b"}, "defaultEndpoint": "[::1]:80"},
                    {
                        "port": {"number": 3, "name": "c", "protocol": "TLS"},
                        "bind": "::",
                        "defaultEndpoint": "0.0.0.0:80",
                    },
                ],
                "egress": [{"bind": "::1", "port": {"number": 9080}, "hosts": ["*/*"]}, {"hosts": ["*/*"]}],
            },
        ),
    ]
)
FEW = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@given(st.lists(st.one_of(resources(), ODD), max_size=10))
@FEW
def test_every_snapshot_is_accepted(tmp_path: Path, made: list[Resource]) -> None:
    world = world_of(*START, *made, trusts=[trust(), trust("other", "other.org")])
    for proxy in world.proxies():
        snapshot = world.snapshot(proxy)
        assert snapshot is not None
        assert validate(snapshot, tmp_path) == ""
