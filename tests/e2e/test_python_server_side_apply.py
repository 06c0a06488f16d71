"""Server-side apply by the official Python client, which knows nothing of kubectl: managers, conflicts, replacing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError

from tests.e2e.kubectl.running import Api, running_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


def service(*ports: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "ratings", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": list(ports)}}


def managers(found: Any) -> list[tuple[str, str]]:
    return [(entry.manager, entry.operation) for entry in found.metadata.managed_fields]


def _apply_and_replace(kubeconfig: str) -> None:
    connection = config.new_client_from_config(kubeconfig)  # type: ignore[no-untyped-call]
    dynamic: Any = DynamicClient(connection)  # type: ignore[no-untyped-call]
    core: Any = client.CoreV1Api(connection)
    services = dynamic.resources.get(api_version="v1", kind="Service")
    http, web = {"port": 80, "name": "http"}, {"port": 80, "name": "web"}
    dynamic.server_side_apply(services, service(http), field_manager="one")
    with pytest.raises(ConflictError, match='conflict with \\\\"one\\\\"'):
        dynamic.server_side_apply(services, service(web), field_manager="two")
    dynamic.server_side_apply(services, service(web), field_manager="two", force_conflicts=True)
    found = core.read_namespaced_service("ratings", "default")
    assert managers(found) == [("one", "Apply"), ("two", "Apply")]
    found.metadata.labels = {"a": "b"}
    replaced = core.replace_namespaced_service("ratings", "default", found)
    assert managers(replaced) == [("one", "Apply"), ("two", "Apply"), ("OpenAPI-Generator", "Update")]
    assert replaced.metadata.managed_fields[2].fields_v1 == {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}


async def test_the_python_client_applies_and_replaces(api: Api) -> None:
    await asyncio.to_thread(_apply_and_replace, str(api.home / "kubeconfig"))
