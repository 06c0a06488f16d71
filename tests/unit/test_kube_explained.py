"""What `kubectl explain` reads: a description for every field, and operations that say all that they answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

from outrig.api.kube.catalog import Catalog
from outrig.api.kube.discovery import entries
from outrig.api.kube.openapi import Specification, specify
from outrig.server.kinds import KINDS


@pytest.fixture(scope="module")
def specification() -> Specification:
    catalog = Catalog(KINDS)
    return specify(catalog, entries(catalog))


@pytest.fixture(scope="module")
def documents(specification: Specification) -> dict[str, Any]:
    found = {path: json.loads(forms[0].text) for path, forms in specification.items()}
    return {path.removeprefix("v3/"): document for path, document in found.items() if path.startswith("v3/")}


@pytest.fixture(scope="module")
def older(specification: Specification) -> Any:
    return json.loads(specification["v2"][0].text)


def _undescribed(schema: Any, path: str) -> Iterator[str]:
    """The fields below a schema that say nothing; those of other schemas, which are judged by themselves, not."""
    for name, field in schema.get("properties", {}).items():
        if not field.get("description", "").strip():
            yield f"{path}.{name}"
        yield from _undescribed(field, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from _undescribed(schema[word], f"{path}.{word}")
    for word in ("allOf", "anyOf", "oneOf"):
        for number, part in enumerate(schema.get(word, ())):
            yield from _undescribed(part, f"{path}.{word}[{number}]")


def _explained(schemas: dict[str, Any], schema: Any, above: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all fields that `kubectl explain --recursive` shows."""
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from _explained(schemas, schema[word], above)
    for part in (schema, *schema.get("allOf", ()), *schema.get("anyOf", ())):
        name = part.get("$ref", "").rpartition("/")[2]
        if name and name not in above:
            yield from _explained(schemas, schemas[name], (*above, name))
    for name, field in schema.get("properties", {}).items():
        yield name
        yield from _explained(schemas, field, above)


def test_every_field_is_described(documents: dict[str, Any]) -> None:
    for document in documents.values():
        for name, schema in document["components"]["schemas"].items():
            assert schema.get("description"), name
            assert list(_undescribed(schema, name)) == []


def test_what_is_explained_of_a_kind_goes_down_to_the_last_field(documents: dict[str, Any]) -> None:
    for path, name, fields in [
        ("apis/networking.istio.io/v1beta1", "WorkloadGroup", {"httpHeaders", "fieldsV1", "lastTransitionTime"}),
        ("apis/networking.istio.io/v1", "SidecarList", {"remainingItemCount", "defaultEndpoint", "maxConnections"}),
        ("api/v1", "Service", {"targetPort", "blockOwnerDeletion"}),
        ("apis/rbac.authorization.k8s.io/v1", "ClusterRole", {"nonResourceURLs", "matchLabels"}),
    ]:
        schemas = documents[path]["components"]["schemas"]
        (whole,) = (schema for named, schema in schemas.items() if named.endswith(f".{name}"))
        assert set(_explained(schemas, whole)) >= fields | {"apiVersion", "kind", "metadata"}, path


def test_every_kind_and_its_list_are_found_by_their_names(documents: dict[str, Any]) -> None:
    found = {
        (name["group"], name["version"], name["kind"])
        for document in documents.values()
        for schema in document["components"]["schemas"].values()
        for name in schema.get("x-kubernetes-group-version-kind", ())
    }
    assert {
        (kind.group, version, f"{kind.name}{suffix}")
        for kind in KINDS
        for version in kind.versions
        for suffix in ("", "List")
    } <= found


def test_every_path_that_kubectl_1_27_looks_for_names_its_kind_under_get(documents: dict[str, Any]) -> None:
    for document in documents.values():
        for path, item in document["paths"].items():
            read = item["post"] if path.endswith("reviews") else item["get"]
            assert read["x-kubernetes-group-version-kind"]["kind"], path


def test_operations_say_what_they_take_and_answer(documents: dict[str, Any]) -> None:
    item = documents["apis/networking.istio.io/v1"]["paths"][
        "/apis/networking.istio.io/v1/namespaces/{namespace}/workloadgroups/{name}"
    ]
    assert set(item) == {"get", "put", "patch", "delete", "parameters"}
    assert {parameter["name"] for parameter in item["patch"]["parameters"]} >= {"dryRun", "fieldValidation"}
    refusals = {method: set(item[method]["responses"]) - {"200", "201"} for method in set(item) - {"parameters"}}
    assert refusals["get"] == {"400", "401", "403", "404", "405", "406", "410", "422", "429", "503", "504"}
    assert refusals["patch"] == refusals["get"] | {"408", "409", "413", "415"}
    done = {method: set(item[method]["responses"]) & {"200", "201"} for method in set(item) - {"parameters"}}
    assert done == {"get": {"200"}, "put": {"200", "201"}, "patch": {"200", "201"}, "delete": {"200"}}


def test_an_older_version_is_marked_in_its_operations_alone(documents: dict[str, Any]) -> None:
    def marks(path: str) -> set[bool]:
        items = documents[path]["paths"].values()
        operations = [operation for item in items for method, operation in item.items() if method != "parameters"]
        of_served = [operation for operation in operations if "Workload" in operation["operationId"]]
        return {operation.get("deprecated", False) for operation in of_served}

    assert marks("apis/networking.istio.io/v1beta1") == {True}
    assert marks("apis/networking.istio.io/v1") == marks("apis/networking.istio.io/v1alpha3") == {False}


def test_what_only_the_control_plane_makes_is_read_and_deleted(documents: dict[str, Any]) -> None:
    prefix = "/apis/runtime.onboarding.tetrate.io/v1alpha1/namespaces/{namespace}/workloadautoregistrations"
    paths = documents["apis/runtime.onboarding.tetrate.io/v1alpha1"]["paths"]
    assert set(paths[prefix]) == {"get", "delete", "parameters"}
    assert set(paths[f"{prefix}/{{name}}"]) == {"get", "delete", "parameters"}


def test_version_2_says_the_same_in_its_own_terms(older: dict[str, Any], documents: dict[str, Any]) -> None:
    assert older["swagger"] == "2.0"
    assert {path: set(item) for path, item in older["paths"].items()} == {
        path: set(item) for document in documents.values() for path, item in document["paths"].items()
    }
    named = {name for document in documents.values() for name in document["components"]["schemas"]}
    assert set(older["definitions"]) == named
    for name, schema in older["definitions"].items():
        assert schema.get("description"), name
        assert list(_undescribed(schema, name)) == []
    assert {f"#/definitions/{name}" for name in named} >= set(_values(older, "$ref"))
    assert {"allOf", "anyOf", "oneOf", "nullable", "requestBody", "content", "components"}.isdisjoint(_words(older))


def test_version_2_has_every_operation_with_its_answers_and_every_kind(
    older: dict[str, Any], documents: dict[str, Any]
) -> None:
    def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, str, list[str], str, str]]:
        for path, item in document["paths"].items():
            for method in set(item) - {"parameters"}:
                operation, marked = item[method], str(item[method]["x-kubernetes-group-version-kind"])
                codes, action = list(operation["responses"]), operation["x-kubernetes-action"]
                yield path, method, operation["operationId"], codes, action, marked

    newer = [one for document in documents.values() for one in operations(document)]
    assert sorted(operations(older)) == sorted(newer)
    assert len({identity for _, _, identity, *_ in newer}) == len(newer)
    marks = "x-kubernetes-group-version-kind"
    for document in documents.values():
        for name, schema in document["components"]["schemas"].items():
            assert older["definitions"][name].get(marks) == schema.get(marks), name


def test_operations_are_called_as_in_kubernetes(older: dict[str, Any]) -> None:
    found = {
        operation["operationId"]: operation["x-kubernetes-action"]
        for item in older["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
    }
    assert {
        "readCoreV1Namespace": "get",
        "replaceCoreV1NamespacedService": "put",
        "createAuthorizationV1SelfSubjectAccessReview": "post",
        "listNetworkingIstioIoV1alpha3SidecarForAllNamespaces": "list",
        "deleteSecurityIstioIoV1CollectionNamespacedAuthorizationPolicy": "deletecollection",
        "patchNetworkingIstioIoV1NamespacedWorkloadGroupStatus": "patch",
        "deleteRbacAuthorizationV1ClusterRole": "delete",
    }.items() <= found.items()


@pytest.mark.slow
def test_the_documents_are_valid_openapi(older: dict[str, Any], documents: dict[str, Any]) -> None:
    from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator  # takes a while

    OpenAPIV2SpecValidator(older).validate()
    OpenAPIV30SpecValidator(documents["apis/networking.istio.io/v1"]).validate()


def test_version_2_in_protobuf_is_the_same(specification: Specification, older: dict[str, Any]) -> None:
    message = specification["v2"][1].text
    assert _texts(message, 9, 1, 1) == list(older["definitions"])
    assert _texts(message, 8, 2, 1) == list(older["paths"])
    operations = [item["patch"] for item in older["paths"].values() if "patch" in item]
    assert _texts(message, 8, 2, 2, 8, 5) == [operation["operationId"] for operation in operations]
    queries = [one["name"] for operation in operations for one in operation["parameters"] if one["in"] == "query"]
    assert _texts(message, 8, 2, 2, 8, 8, 1, 2, 3, 4) == queries
    extensions = zip(_texts(message, 9, 1, 2, 31, 1), map(json.loads, _texts(message, 9, 1, 2, 31, 2, 2)), strict=True)
    assert list(extensions) == [
        (word, value)
        for schema in older["definitions"].values()
        for word, value in schema.items()
        if word.startswith("x-")
    ]


def _texts(message: bytes, *numbers: int) -> list[str]:
    """What stands in a message at a path of fields."""
    found = [message]
    for number in numbers:
        found = [field.data for part in found for field in _fields(part) if field.field_number == number]
    return [text.decode() for text in found]


def _fields(message: bytes) -> UnknownFieldSet:
    """The fields of a message, as protobuf itself reads them."""
    return UnknownFieldSet(Empty.FromString(message))


def test_version_2_has_bodies_and_answers_beside_the_other_parameters(older: dict[str, Any]) -> None:
    item = older["paths"]["/api/v1/namespaces/{namespace}/services/{name}"]
    service = {"$ref": "#/definitions/core.v1.Service"}
    assert item["put"]["parameters"][-1] == {"name": "body", "in": "body", "required": True, "schema": service}
    assert item["put"]["consumes"] == item["put"]["produces"] == ["application/json", "application/yaml"]
    assert item["get"]["responses"]["200"] == {"description": "OK", "schema": service}
    assert item["patch"]["parameters"][-1]["schema"] == {"type": "object"}
    assert item["delete"]["parameters"][-1]["required"] is False
    assert {"name": "dryRun", "in": "query", "type": "string", "enum": ["All"]}.items() <= {
        name: value for parameter in item["put"]["parameters"] if parameter["name"] == "dryRun"
        for name, value in parameter.items()
    }.items()  # fmt: skip


def _values(value: Any, word: str) -> Iterator[Any]:
    """What stands at a word, wherever that is."""
    if isinstance(value, dict):
        if word in value:
            yield value[word]
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from _values(inner, word)


def test_reviews_can_be_created_and_nothing_else(documents: dict[str, Any]) -> None:
    document = documents["apis/authorization.k8s.io/v1"]
    assert {method for item in document["paths"].values() for method in item} == {"post", "parameters"}
    assert "/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews" in document["paths"]
    schema = document["components"]["schemas"]["io.k8s.authorization.v1.SelfSubjectAccessReview"]
    assert set(schema["properties"]) == {"apiVersion", "kind", "metadata", "spec", "status"}


def _words(value: Any) -> set[str]:
    """Every word in a document, the names of fields too."""
    if isinstance(value, list):
        return set().union(*map(_words, value))
    return set(value).union(*map(_words, value.values())) if isinstance(value, dict) else set()
