"""A Sidecar that is not refused when it is applied is one that the real Envoy takes; none breaks what reads it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from outrig.errors import Severity
from outrig.resources import Resource
from outrig.snapshot import ProxyId
from tests.golden.static_envoy import validate
from tests.mesh_making import BY_NAME, make, service, task, world_of

pytestmark = pytest.mark.slow

SMALL = st.sampled_from([0, 1, 2**31 - 1])
DURATION = st.sampled_from(["", "1s", "1500ms", "1h", "2562047h"])
PROTOCOL = st.sampled_from(["", "HTTP", "http2", "GRPC", "GRPC-WEB", "TCP", "TLS", "HTTPS", "MYSQL", "HTTP_PROXY"])
NUMBER = st.sampled_from([1, 80, 81, 9080, 15021, 65535])
HOST = st.sampled_from(
    ["./*", "*/*", "bank/*", "~/*", "~bank/a.b", "*/*.cluster.local", "./a.shop.svc.cluster.local", "*/no.where"]
)
KEEPALIVE = st.fixed_dictionaries({}, optional={"probes": st.sampled_from([0, 127]), "time": DURATION})
TCP = st.fixed_dictionaries(
    {},
    optional={
        "maxConnections": SMALL,
        "connectTimeout": DURATION,
        "idleTimeout": DURATION,
        "maxConnectionDuration": DURATION,
        "tcpKeepalive": KEEPALIVE,
    },
)
HTTP = st.fixed_dictionaries(
    {},
    optional={
        "http1MaxPendingRequests": SMALL,
        "http2MaxRequests": SMALL,
        "maxRequestsPerConnection": SMALL,
        "maxRetries": SMALL,
        "maxConcurrentStreams": SMALL,
        "idleTimeout": DURATION,
        "useClientProtocol": st.booleans(),
        "h2UpgradePolicy": st.sampled_from(["DEFAULT", "UPGRADE"]),
    },
)
POOL = st.one_of(st.fixed_dictionaries({"tcp": TCP}, optional={"http": HTTP}), st.fixed_dictionaries({"http": HTTP}))
PORT = st.fixed_dictionaries({"number": NUMBER}, optional={"protocol": PROTOCOL, "name": st.sampled_from(["", "a"])})
INGRESS = st.fixed_dictionaries(
    {
        "port": PORT,
        "defaultEndpoint": st.sampled_from(
            ["", "127.0.0.1:8080", ":9081", "0.0.0.0:80", "[::]:81", "[::1]:80", "unix:///run/x", "unix://@y"]
        ),
    },
    optional={"bind": st.sampled_from(["", "10.0.0.9", "::", "0:0::1"]), "connectionPool": POOL},
)
HOSTS = st.lists(HOST, min_size=1, max_size=3)
LISTENING = st.fixed_dictionaries(
    {"hosts": HOSTS, "port": PORT}, optional={"bind": st.sampled_from(["127.0.0.2", "127.0.0.3", "0.0.0.0", "::1"])}
)
ON_SOCKET = st.fixed_dictionaries(
    {
        "hosts": HOSTS,
        "port": st.fixed_dictionaries({"number": st.just(0)}, optional={"protocol": PROTOCOL}),
        "bind": st.sampled_from(["unix:///run/out", "unix://@out", "unix:///run/x"]),
    }
)
PORTLESS = st.fixed_dictionaries({"hosts": HOSTS}, optional={"bind": st.sampled_from(["", "127.0.0.2", "::1"])})
EGRESS = st.tuples(
    st.lists(st.one_of(LISTENING, LISTENING, ON_SOCKET), max_size=3), st.lists(PORTLESS, max_size=1)
).map(lambda parts: [*parts[0], *parts[1]])
WAY_OUT = st.one_of(
    st.fixed_dictionaries({"mode": st.sampled_from(["ALLOW_ANY", "REGISTRY_ONLY"])}),
    st.fixed_dictionaries(
        {
            "mode": st.just("ALLOW_ANY"),
            "egressProxy": st.fixed_dictionaries(
                {
                    "host": st.sampled_from(["a.shop.svc.cluster.local", "no.where"]),
                    "port": st.just({"number": 9080}),
                }
            ),
        }
    ),
)
SPECS = st.fixed_dictionaries(
    {"ingress": st.lists(INGRESS, max_size=2), "egress": EGRESS},
    optional={
        "inboundConnectionPool": POOL,
        "outboundTrafficPolicy": WAY_OUT,
        "workloadSelector": st.sampled_from([{}, {"labels": {"app": "web"}}]),
    },
)
OTHERS = (
    service("a"),
    service("b", port=80, port_name="tcp"),
    service("a", "bank", port=9080),
    service("web", port=80, target=80),
    service("c", port=9902),
)


def applied(spec: dict[str, Any]) -> Resource | None:
    """The Sidecar, if the schema allows it and nothing refuses it."""
    try:
        made = make("Sidecar", "any", "shop", spec)
    except ValidationError:
        return None
    found = BY_NAME["Sidecar"].findings(made)
    return None if any(finding.severity is Severity.ERROR for finding in found) else made


@given(SPECS)
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_envoy_takes_every_sidecar_that_was_not_refused(tmp_path: Path, spec: dict[str, Any]) -> None:
    made = applied(spec)
    if made is None:
        return
    for address in ("10.0.0.1", "fd00::1"):
        world = world_of(made, *OTHERS, task("web-1", "web", address))
        snapshot = world.snapshot(ProxyId("shop/web-1"))
        assert snapshot is not None
        assert validate(snapshot, tmp_path) == ""
