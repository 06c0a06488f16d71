"""The real kubectl beside Dataplanes: it lists, watches and selects them, and is told why it cannot write them."""

import asyncio
from pathlib import Path

import pytest

from outrig.resources import Key, Resource
from tests.e2e.kubectl.running import PINNED, Api, binaries, running_api
from tests.unit.kuma_making import dataplane

pytestmark = pytest.mark.slow

ENTRY = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}}}
spec: {{address: 10.9.9.9}}
"""  # in blocks: what begins with a brace is JSON to older kubectls
HAND, OURS = ENTRY.format(name="hand"), ENTRY.format(name="kv-1")
BANK = """
apiVersion: v1
kind: Namespace
metadata: {name: bank, labels: {kuma.io/mesh: bank}}
"""


async def join(api: Api, name: str) -> None:
    async with api.store.transaction() as tx:
        key = Key("kuma.io", "Dataplane", "default", "", name)
        await tx.create(Resource(key, body={"networking": dataplane()["networking"]}))


@pytest.mark.parametrize("version", PINNED)
async def test_dataplanes_are_workload_entries_that_kubectl_can_only_read(tmp_path: Path, version: str) -> None:
    async with running_api(tmp_path) as api:
        async with api.store.transaction() as tx:
            await tx.create(Resource(Key("kuma.io", "Mesh", "default", "", "default")))
        await join(api, "kv-1")
        kubectl = api.kubectl(binaries()[version])
        await kubectl.ok("apply", "-f", "-", stdin=HAND)
        rows = [line.split() for line in (await kubectl.ok("get", "we", "-A", "--no-headers")).splitlines()]
        assert [(row[0], row[1]) for row in rows] == [("default", "hand"), ("kuma-default", "kv-1")]
        assert "kuma-default" in await kubectl.ok("get", "namespaces")
        assert "10.0.0.1" in await kubectl.ok("get", "we", "kv-1", "-n", "kuma-default", "-o", "yaml")
        chosen = await kubectl.ok("get", "we", "-A", "-l", "kuma.io/service=kv", "-o", "name")
        assert chosen.split() == ["workloadentry.networking.istio.io/kv-1"]
        refused = await kubectl.refused("apply", "-n", "kuma-default", "-f", "-", stdin=OURS)
        assert "/meshes/default/dataplanes" in refused
        for arguments in (("delete", "we", "kv-1"), ("label", "we", "kv-1", "a=b"), ("delete", "we", "--all")):
            assert "/meshes/default/dataplanes" in await kubectl.refused(*arguments, "-n", "kuma-default")
        assert "to be read only" in await kubectl.refused("create", "namespace", "kuma-other")
        assert 'there is no mesh "bank"' in await kubectl.refused("apply", "-f", "-", stdin=BANK)


async def test_kubectl_watches_dataplanes_come(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await join(api, "kv-1")
        watching = await api.kubectl(binaries()[PINNED[-1]]).start("get", "we", "-A", "-w", "--no-headers")
        assert watching.stdout
        async with asyncio.timeout(30):
            assert b"kv-1" in await watching.stdout.readline()
            await join(api, "kv-2")
            assert b"kv-2" in await watching.stdout.readline()
        watching.terminate()
        await watching.wait()
