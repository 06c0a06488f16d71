"""What the pages of docs/kubectl cannot show: what happens meanwhile, what is stored, and bodies nobody should send."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from outrig.resources import Key
from outrig.store.protocol import Query
from tests.e2e.kubectl.running import PINNED, Api, Kubectl, binaries

BINARIES = binaries()

GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: ratings, namespace: bookinfo, labels: {app: ratings}}
spec: {template: {serviceAccount: ratings}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: bookinfo}
spec: {selector: {app: ratings}, ports: [{name: http, port: 9080}]}
"""
NAMESPACE = "\napiVersion: v1\nkind: Namespace\nmetadata: {name: bookinfo}\n"
EVERYTHING = "---".join((NAMESPACE, GROUP, SERVICE))


@pytest.fixture(params=PINNED, ids=lambda version: f"kubectl-{version}")
def any_kubectl(api: Api, request: pytest.FixtureRequest) -> Kubectl:
    """Those and what is between, for what must work with all of them."""
    return api.kubectl(BINARIES[request.param])


async def test_a_server_dry_run_and_a_diff_change_nothing(api: Api, any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("create", "-f", "-", stdin=NAMESPACE)
    before = await api.store.list(Query())
    assert "(server dry run)" in await any_kubectl.ok("apply", "-f", "-", "--dry-run=server", stdin=GROUP)
    assert await api.store.list(Query()) == before
    await any_kubectl.ok("apply", "-f", "-", stdin=GROUP)
    before = await api.store.list(Query())
    changed = GROUP.replace("serviceAccount: ratings", "serviceAccount: other")
    assert "configured (server dry run)" in await any_kubectl.ok("apply", "-f", "-", "--dry-run=server", stdin=changed)
    said = await any_kubectl("diff", "-f", "-", stdin=changed)
    assert (said.code, "+    serviceAccount: other" in said.out) == (1, True), said
    assert "deleted" in await any_kubectl.ok("delete", "wg", "ratings", "-n", "bookinfo", "--dry-run=server")
    assert await api.store.list(Query()) == before


async def test_a_body_of_ten_megabytes_is_refused_in_words(kubectl: Kubectl, tmp_path: Path) -> None:
    huge = json.loads(json.dumps({"apiVersion": "v1", "kind": "ServiceAccount"}))
    huge["metadata"] = {"name": "x", "annotations": {"a": "b" * 10_000_000}}
    (tmp_path / "huge.json").write_text(json.dumps(huge))
    assert "too large" in await kubectl.refused("create", "-f", str(tmp_path / "huge.json"))
    assert "default" in await kubectl.ok("get", "ns")


async def test_garbage_is_refused_before_and_by_the_server(kubectl: Kubectl) -> None:
    assert await kubectl.refused("apply", "-f", "-", stdin="a: [")
    assert await kubectl.refused("create", "--raw", "/api/v1/namespaces", "-f", "-", stdin="{garbage")
    assert await kubectl.refused("apply", "-f", "-", stdin="apiVersion: foo.io/v1\nkind: Foo\nmetadata: {name: x}")


async def test_wait_sees_a_condition_and_a_deletion(api: Api, any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    waiting = await any_kubectl.start("wait", "--for=condition=Ready", "wg/ratings", "-n", "bookinfo", "--timeout=30s")
    async with api.store.transaction() as tx:
        found = await tx.get(Key("networking.istio.io", "WorkloadGroup", "", "bookinfo", "ratings"))
        assert found is not None
        status = {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": found.generation}]}
        await tx.update(replace(found, status=status))
    out, err = await waiting.communicate()
    assert b"condition met" in out, err
    waiting = await any_kubectl.start("wait", "--for=delete", "wg/ratings", "-n", "bookinfo", "--timeout=30s")
    await any_kubectl.ok("delete", "wg", "ratings", "-n", "bookinfo")
    _, err = await waiting.communicate()
    assert waiting.returncode == 0, err


async def test_a_watch_shows_changes_as_they_come(api: Api, any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    watching = await any_kubectl.start("get", "wg", "-n", "bookinfo", "-w", "--output-watch-events")
    assert watching.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert b"NAME" in await watching.stdout.readline()
            assert (await watching.stdout.readline()).split()[:2] == [b"ADDED", b"ratings"]
            await any_kubectl.ok("label", "wg", "ratings", "-n", "bookinfo", "x=y")
            assert (await watching.stdout.readline()).split()[:2] == [b"MODIFIED", b"ratings"]
            await any_kubectl.ok("delete", "wg", "ratings", "-n", "bookinfo")
            assert (await watching.stdout.readline()).split()[:2] == [b"DELETED", b"ratings"]
    finally:
        watching.kill()
        await watching.wait()


@pytest.mark.parametrize("user", ["viewer", "viewer-token"])
async def test_a_viewer_reads_and_changes_nothing(api: Api, kubectl: Kubectl, user: str) -> None:
    assert "default" in await kubectl.ok("get", "ns", user=user)
    before = await api.store.list(Query())
    for command in (("create", "-f", "-"), ("delete", "ns", "default"), ("label", "ns", "default", "a=b")):
        told = await kubectl.refused(*command, stdin=NAMESPACE, user=user)
        assert "(Forbidden)" in told
        assert "cannot" in told
    assert await api.store.list(Query()) == before
    assert (await kubectl("auth", "can-i", "create", "wg", user=user)).out == "no\n"
    assert await kubectl.ok("auth", "can-i", "list", "wg", user=user) == "yes\n"


async def test_an_admin_may_by_certificate_and_by_token(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "-f", "-", stdin=NAMESPACE, user="admin-token")
    await kubectl.ok("delete", "-f", "-", stdin=NAMESPACE, user="admin")


async def test_a_stranger_and_a_wrong_token_get_nothing(kubectl: Kubectl) -> None:
    assert '(Forbidden): namespaces is forbidden: User "stranger"' in await kubectl.refused(
        "get", "ns", user="stranger"
    )
    assert "You must be logged in" in await kubectl.refused("get", "ns", user="wrong")
