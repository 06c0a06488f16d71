"""What is surprising about a Sidecar is said at `kubectl apply`: refused, or warned of and kept in its status."""

import json
from pathlib import Path

import pytest

from tests.e2e.kubectl.running import PINNED, Kubectl, binaries, running_api

IN = "ingress: [{port: {number: 9080, protocol: HTTP}, defaultEndpoint: '127.0.0.1:9080'}]"
OUT = "egress: [{bind: 127.0.0.2, port: {number: 9080}, hosts: ['./*']}]"

REFUSED = [
    (
        f"{IN}, egress: [{{bind: 127.0.0.2, port: {{number: 80}}, hosts: ['./*']}},"
        " {bind: 127.0.0.3, port: {number: 80}, hosts: ['./*']}]",
        "port 80 is there twice; ports are unique whatever their bind",
    ),
    (
        f"{IN}, egress: [{{port: {{number: 9080}}, hosts: ['./*']}}]",
        "cannot listen on 127.0.0.1:9080: the application listens there (spec.ingress[0].defaultEndpoint)",
    ),
    (
        f"ingress: [{{port: {{number: 9902}}, defaultEndpoint: '127.0.0.1:80'}}], {OUT}",
        "port 9902 is taken by the agent's readiness",
    ),
    (
        "ingress: [{port: {number: 443, protocol: HTTPS}, defaultEndpoint: '127.0.0.1:443', tls: {mode: SIMPLE}}],"
        f" {OUT}",
        "spec.ingress[0].tls: is not supported yet",
    ),
    (f"{IN}, {OUT}, inboundConnectionPool: {{tcp: {{connectTimeout: 1us}}}}", "'1us' is no duration"),
]
WARNED = [
    (f"{IN}, {OUT}, outboundTrafficPolicy: {{mode: ALLOW_ANY}}", "unknown hosts cannot be passed through"),
    (f"ingress: [{{port: {{number: 9080}}}}], {OUT}", "is not set: calls go to 127.0.0.1:9080"),
    (OUT, "without ingress nothing can call the workloads"),
    (IN, "without egress the workloads reach nothing in the mesh"),
    (f"{IN}, egress: [{{hosts: ['*/*']}}]", "would need 127.0.0.1, where the application listens"),
    (
        "ingress: [{port: {number: 80}, defaultEndpoint: '127.0.0.1:9080', connectionPool: {http: {"
        f"useClientProtocol: true}}}}}}], {OUT}",
        "callers' proxies always speak HTTP/2",
    ),
    (f"ingress: [{{port: {{number: 15021}}, defaultEndpoint: '127.0.0.1:9080'}}], {OUT}", "Istio keeps port 15021"),
]


def manifest(name: str, spec: str) -> str:
    return (
        f"{{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {{name: {name}, namespace: default}}, "
        f"spec: {{{spec}}}}}"
    )


async def check(kubectl: Kubectl) -> None:
    for spec, reason in REFUSED:
        assert reason in await kubectl.refused("apply", "-f", "-", stdin=manifest("refused", spec))
    assert await kubectl.ok("get", "sidecars", "-o", "name") == ""
    for spec, reason in WARNED:
        said = await kubectl("apply", "-f", "-", stdin=manifest("warned", spec))
        assert (said.code, reason in said.err, "Warning: " in said.err) == (0, True, True), said
        kept = json.loads(await kubectl.ok("get", "sidecar", "warned", "-o", "json"))
        assert any(reason in one["message"] for one in kept["status"]["validationMessages"]), reason
    said = await kubectl("apply", "-f", "-", stdin=manifest("warned", f"{IN}, {OUT}, outboundTrafficPolicy: {{}}"))
    assert (said.code, said.err) == (0, "")
    kept = json.loads(await kubectl.ok("get", "sidecar", "warned", "-o", "json"))
    assert "validationMessages" not in kept.get("status", {})


@pytest.mark.parametrize("version", PINNED[-1:])
async def test_each_surprise_is_refused_or_warned_of_and_kept_in_status(tmp_path: Path, version: str) -> None:
    async with running_api(tmp_path) as api:
        await check(api.kubectl(binaries()[version]))


async def test_explain_tells_what_a_connection_pool_may_say(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        kubectl = api.kubectl(binaries()[PINNED[-1]])
        told = await kubectl.ok("explain", "sidecar.spec.ingress.connectionPool.http")
        assert "http1MaxPendingRequests" in told
        assert "Requests waiting for a connection" in told
