"""Connection pools of a Sidecar: which one holds, what it means, what is refused."""

from datetime import timedelta

import pytest

from outrig.dialects.durations import duration_of
from outrig.model import UNBOUNDED, ConnectionPool, Keepalive, Policy, ProxyShape
from tests.unit.dialect_making import facts, resource, said, schema_problems

HEAD = "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: x, namespace: shop}, spec: "
OUT = "egress: [{bind: 127.0.0.2, port: {number: 80}, hosts: ['./*']}]"


def text(*ingress: str, wide: str = "") -> str:
    pool = f"inboundConnectionPool: {wide}, " if wide else ""
    return f"{HEAD}{{{pool}ingress: [{', '.join(ingress)}], {OUT}}}}}"


def port(number: int, pool: str = "", protocol: str = "HTTP") -> str:
    own = f", connectionPool: {pool}" if pool else ""
    return f"{{port: {{number: {number}, protocol: {protocol}}}, defaultEndpoint: '127.0.0.1:{number + 1}'{own}}}"


def pools(written: str) -> list[ConnectionPool]:
    (fact,) = facts(resource(written))
    assert isinstance(fact, Policy)
    assert isinstance(fact.settings, ProxyShape)
    return [ingress.pool for ingress in fact.settings.ingress]


def test_the_pool_of_a_listener_stands_in_place_of_the_one_for_all_and_is_never_merged_with_it() -> None:
    wide, own = "{tcp: {maxConnections: 9, connectTimeout: 3s}}", "{tcp: {maxConnections: 1}}"
    assert pools(text(port(80, own), port(90), wide=wide)) == [
        ConnectionPool(connections=1),
        ConnectionPool(connections=9, connect_timeout=timedelta(seconds=3)),
    ]


def test_without_a_pool_nothing_is_bounded() -> None:
    assert pools(text(port(80))) == [UNBOUNDED]


def test_zero_is_no_bound_and_an_idle_timeout_of_zero_is_for_ever() -> None:
    zeros = "{tcp: {maxConnections: 0, idleTimeout: 0s}, http: {http1MaxPendingRequests: 0, maxRetries: 0}}"
    assert pools(text(port(80, zeros))) == [ConnectionPool(idle=timedelta())]


def test_every_field_has_its_meaning() -> None:
    tcp = (
        "tcp: {maxConnections: 1, connectTimeout: 2s, idleTimeout: 3m, maxConnectionDuration: 4h,"
        " tcpKeepalive: {probes: 5, time: 7200s, interval: 1m30s}}"
    )
    http = (
        "http: {http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRequestsPerConnection: 8, maxRetries: 9,"
        " idleTimeout: 250ms, maxConcurrentStreams: 10}"
    )
    written = text(port(80, f"{{{tcp}, {http}}}"))
    assert said(resource(written)) == []
    assert pools(written) == [
        ConnectionPool(
            connections=1,
            pending=6,
            requests=7,
            retries=9,
            requests_per_connection=8,
            streams=10,
            connect_timeout=timedelta(seconds=2),
            idle=timedelta(minutes=3),
            idle_http=timedelta(milliseconds=250),
            lifetime=timedelta(hours=4),
            keepalive=Keepalive(7200, 90, 5),
        )
    ]


PLACE = "spec.ingress[0].connectionPool"
SPELLING = "(whole milliseconds, for example 250ms, 10s or 1h30m)"


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        ("{}", [f"error OUT304 {PLACE}: a connection pool without bounds (write tcp, http or both)"]),
        (
            "{tcp: {connectTimeout: '5', maxConnectionDuration: -1s}}",
            [
                f"error OUT303 {PLACE}.tcp.connectTimeout: '5' is no duration {SPELLING}",
                f"error OUT303 {PLACE}.tcp.maxConnectionDuration: '-1s' is no duration {SPELLING}",
            ],
        ),
        (
            "{tcp: {connectTimeout: 0s}, http: {idleTimeout: 100us}}",
            [
                f"error OUT303 {PLACE}.tcp.connectTimeout: '0s' is too short (at least 1ms)",
                f"error OUT303 {PLACE}.http.idleTimeout: '100us' is no duration {SPELLING}",
            ],
        ),
        (
            "{tcp: {tcpKeepalive: {time: 500ms, interval: 1s}}}",
            [f"error OUT303 {PLACE}.tcp.tcpKeepalive.time: '500ms' is too short (at least 1s)"],
        ),
        (
            "{tcp: {tcpKeepalive: {time: 32767s, interval: 32768s}}}",
            [
                f"error OUT303 {PLACE}.tcp.tcpKeepalive.interval: '32768s' is too long "
                "(at most 32767s, as Linux allows no more)"
            ],
        ),
        (
            "{http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}",
            [f"error OUT303 {PLACE}.http.useClientProtocol: cannot be true when h2UpgradePolicy is UPGRADE"],
        ),
        (
            "{http: {h2UpgradePolicy: UPGRADE}}",
            [
                f"warning OUT302 {PLACE}.http.h2UpgradePolicy: has no effect towards the own application "
                "(give the port protocol HTTP2)"
            ],
        ),
        (
            "{http: {useClientProtocol: true}}",
            [
                f"warning OUT302 {PLACE}.http.useClientProtocol: has no effect: callers' proxies always speak HTTP/2, "
                "whatever their applications speak"
            ],
        ),
    ],
)
def test_what_is_said_about_a_pool(pool: str, says: list[str]) -> None:
    assert said(resource(text(port(80, pool)))) == says
    wide = [line.replace(PLACE, "spec.inboundConnectionPool") for line in says]
    assert said(resource(text(port(80), wide=pool))) == wide


@pytest.mark.parametrize(("protocol", "warned"), [("TCP", True), ("TLS", True), ("GRPC", False), ("''", False)])
def test_bounds_on_requests_mean_nothing_on_a_port_of_bytes(protocol: str, warned: bool) -> None:
    says = [f"warning OUT302 {PLACE}.http: has no effect on a port of {protocol} (leave it out)"] if warned else []
    assert said(resource(text(port(80, "{http: {maxRetries: 1}}", protocol)))) == says


def test_numbers_are_bounded_and_unknown_fields_refused() -> None:
    problems = schema_problems(
        text(port(80, "{tcp: {maxConnections: -1, tcpKeepalive: {probes: 128}}, http: {maxRetries: 4294967296, x: 1}}"))
    )
    assert problems == [
        "spec.ingress.0.connectionPool.tcp.maxConnections: Input should be greater than or equal to 0",
        "spec.ingress.0.connectionPool.tcp.tcpKeepalive.probes: Input should be less than or equal to 127",
        "spec.ingress.0.connectionPool.http.maxRetries: Input should be less than or equal to 2147483647",
        "spec.ingress.0.connectionPool.http.x: Extra inputs are not permitted",
    ]


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        ("1s", 1000),
        ("1.5s", 1500),
        (".5s", 500),
        ("1h2m3s4ms", 3_723_004),
        ("1000us", 1),
        ("0", 0),
        ("0s", 0),
        ("2562047h", 2562047 * 3_600_000),
        *((text, None) for text in ("", "1", "s", "-1s", "+1s", "1 s", "1S", "1d", "1e3s", "1us", "2562048h", "٣s")),
    ],
)
def test_durations_are_spelt_as_go_spells_them(written: str, milliseconds: int | None) -> None:
    expected = None if milliseconds is None else timedelta(milliseconds=milliseconds)
    assert duration_of(written) == expected
