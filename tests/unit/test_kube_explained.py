"""What `kubectl explain` reads: a description for every field, and operations that say all that they answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from outrig.api.kube.catalog import Catalog
from outrig.api.kube.discovery import entries
from outrig.api.kube.openapi import specify
from outrig.server.kinds import KINDS


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    catalog = Catalog(KINDS)
    found = specify(catalog, entries(catalog)).documents
    return {path: json.loads(text) for path, text in found.items()}


def _undescribed(schema: Any, path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        if not field.get("description"):
            yield f"{path}.{name}"
        yield from _undescribed(field, f"{path}.{name}")


def test_every_field_is_described(documents: dict[str, Any]) -> None:
    for document in documents.values():
        for name, schema in document["components"]["schemas"].items():
            assert schema.get("description"), name
            assert list(_undescribed(schema, name)) == []


def test_every_path_that_kubectl_1_27_looks_for_names_its_kind_under_get(documents: dict[str, Any]) -> None:
    for document in documents.values():
        for path, item in document["paths"].items():
            assert item["get"]["x-kubernetes-group-version-kind"]["kind"], path


def test_operations_say_what_they_take_and_answer(documents: dict[str, Any]) -> None:
    item = documents["apis/networking.istio.io/v1"]["paths"][
        "/apis/networking.istio.io/v1/namespaces/{namespace}/workloadgroups/{name}"
    ]
    assert set(item) == {"get", "put", "patch", "delete", "parameters"}
    assert {parameter["name"] for parameter in item["patch"]["parameters"]} >= {"dryRun", "fieldValidation"}
    refusals = {method: set(item[method]["responses"]) - {"200"} for method in set(item) - {"parameters"}}
    assert refusals["get"] == {"400", "401", "403", "404", "406", "410", "429", "503", "504"}
    assert refusals["patch"] == refusals["get"] | {"405", "409", "413", "415", "422"}


def test_what_only_the_control_plane_makes_is_read_and_deleted(documents: dict[str, Any]) -> None:
    prefix = "/apis/runtime.onboarding.tetrate.io/v1alpha1/namespaces/{namespace}/workloadautoregistrations"
    paths = documents["apis/runtime.onboarding.tetrate.io/v1alpha1"]["paths"]
    assert set(paths[prefix]) == {"get", "delete", "parameters"}
    assert set(paths[f"{prefix}/{{name}}"]) == {"get", "delete", "parameters"}
