"""Clients that are not kubectl: the official Python client and its informers, and kr8s, against the API."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.informer import SharedInformer

from outrig.api.access.gate import Gate
from outrig.api.callers import Authenticator
from outrig.api.kube.app import kube_app
from outrig.api.serving import serve
from outrig.resources import Key, Resource
from outrig.server.kinds import KINDS
from outrig.store.opening import open_store
from outrig.store.protocol import AlreadyExists

NAMESPACE = Key("", "Namespace", "", "", "default")


@asynccontextmanager
async def served(database: Path, port: int = 0) -> AsyncIterator[int]:
    """The API on what a database holds; gives its port. Leaving ends every connection, as the end of a process does."""
    async with open_store(database) as store:
        try:
            async with store.transaction() as tx:
                await tx.create(Resource(NAMESPACE))
        except AlreadyExists:
            pass
        gate = Gate(Authenticator(now=lambda: datetime.now(UTC), loopback_is_admin=True))
        async with serve(kube_app(store, KINDS, gate), host="127.0.0.1", port=port) as serving:
            yield serving.port


def core_at(port: int) -> Any:
    """The official client. It takes plain dicts for its models, whatever its annotations say."""
    settings = client.Configuration()
    settings.host = f"http://127.0.0.1:{port}"
    return client.CoreV1Api(client.ApiClient(settings))


def service(name: str) -> dict[str, Any]:
    """As people write it in Python: without apiVersion and kind."""
    return {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}


def informer_of(core: Any) -> Any:
    """An informer of the Services in `default`."""
    make: Any = SharedInformer  # without annotations
    return make(core.list_namespaced_service, namespace="default")


async def until_cached(informer: Any, *names: str) -> None:
    """Returns when the informer knows these services and no others."""
    async with asyncio.timeout(60):
        while set(informer.cache.list_keys()) != {f"default/{name}" for name in names}:
            await asyncio.sleep(0.02)


async def test_an_informer_of_the_python_client_stays_right_over_restarts_and_another_history(tmp_path: Path) -> None:
    async with served(tmp_path / "one") as port:
        core = core_at(port)
        for name in "ab":
            await asyncio.to_thread(core.create_namespaced_service, "default", service(name))
        informer = informer_of(core)
        lists: list[str] = []
        informer.add_event_handler("MODIFIED", lambda found: lists.append(found.metadata.name))
        informer.start()
        await until_cached(informer, "a", "b")
    async with served(tmp_path / "one", port):
        await asyncio.to_thread(core.create_namespaced_service, "default", service("c"))
        gone = await asyncio.to_thread(core.delete_namespaced_service, "a", "default")
        assert gone.metadata.name == "a"
        await until_cached(informer, "b", "c")
        assert lists == []  # it resumed: a new list would have shown b again
    async with served(tmp_path / "other", port):
        await asyncio.to_thread(core.create_namespaced_service, "default", service("z"))
        await until_cached(informer, "z")
    await asyncio.to_thread(informer.stop)  # only now: its thread ends with its stream


async def test_the_python_client_walks_through_pages(tmp_path: Path) -> None:
    async with served(tmp_path / "db") as port:
        core = core_at(port)
        for name in "abc":
            await asyncio.to_thread(core.create_namespaced_service, "default", service(name))
        first = await asyncio.to_thread(core.list_namespaced_service, "default", limit=2)
        assert first.metadata.remaining_item_count == 1
        token = first.metadata._continue or ""
        rest = await asyncio.to_thread(core.list_namespaced_service, "default", _continue=token)
        assert [found.metadata.name for found in (*first.items, *rest.items)] == ["a", "b", "c"]


# In a process of its own: kr8s closes its connections no sooner than its interpreter ends.
KR8S = """
import asyncio, sys
import kr8s.asyncio
from kr8s.asyncio.objects import Service, new_class

async def main():
    api = await kr8s.asyncio.api(kubeconfig=sys.argv[1])
    assert "workloadgroups" in {found["name"] for found in await api.api_resources()}
    kind = new_class("WorkloadGroup", "networking.istio.io/v1", namespaced=True)
    spec = {"template": {"serviceAccount": "ratings"}}
    group = await kind({"metadata": {"name": "ratings", "namespace": "default"}, "spec": spec}, api=api)
    await group.create()
    await group.label(tier="back")
    await group.patch({"spec": {"template": {"weight": 2}}})
    assert [found.name async for found in api.get("workloadgroups", label_selector="tier=back")] == ["ratings"]
    web = await Service({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}, api=api)
    await web.create()
    async for event, found in api.watch("services", namespace="default"):
        print(event, found.name)
        if event == "DELETED":
            break
        await found.delete()
    await group.delete()
    assert not await group.exists()

asyncio.run(main())
"""


async def test_kr8s_finds_makes_changes_watches_and_deletes(tmp_path: Path) -> None:
    async with served(tmp_path / "db") as port:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "outrig", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "outrig", "context": {"cluster": "outrig", "user": "nobody"}}],
            "current-context": "outrig",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        piped = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KR8S, str(tmp_path / "kubeconfig"), stdout=piped, stderr=piped
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    assert (process.returncode, out.decode().splitlines()) == (0, ["ADDED web", "DELETED web"]), err.decode()
