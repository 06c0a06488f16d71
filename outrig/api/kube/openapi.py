"""OpenAPI v3, a document for each group and version: what `kubectl explain` reads, and where kubectl learns that the
server validates fields itself.

In: the catalog and the pydantic schemas of its kinds. Out: the index and the documents. kubectl looks for a PATCH
operation of the kind with a `fieldValidation` parameter and, for `--dry-run=server`, a `dryRun` one. Only merge patches
are listed: where strategic merge is listed, kubectl computes patches from schemas marked for it, which these are not.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outrig.api.kube.catalog import Catalog, api_version
from outrig.api.kube.discovery import Entry, group_versions
from outrig.dialects.kind import Kind

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
REFERENCE = "#/components/schemas/"
TEXT_MAP = {"type": "object", "additionalProperties": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Specification:
    """The documents, by their path below /openapi/v3/, and the index that names them with their hashes."""

    index: Mapping[str, Any]
    documents: Mapping[str, bytes]


def specify(catalog: Catalog, types: Sequence[Entry]) -> Specification:
    """Everything under /openapi/v3."""
    documents: dict[str, bytes] = {}
    for group, versions in group_versions(types).items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            documents[path] = json.dumps(_document(catalog, types, group, version)).encode()
    paths = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(text)}"} for path, text in documents.items()}
    return Specification({"paths": paths}, documents)


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:32].upper()


def _document(catalog: Catalog, types: Sequence[Entry], group: str, version: str) -> dict[str, Any]:
    found = [entry for entry in types if entry.group == group and version in entry.versions]
    schemas: dict[str, Any] = {OBJECT_META: _object_meta()}
    for kind in catalog.served(group, version):
        schemas.update(_schemas(kind, version))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Outrig", "version": "v1"},
        "paths": {path: item for entry in found for path, item in _paths(entry, version).items()},
        "components": {"schemas": schemas},
    }


def _paths(entry: Entry, version: str) -> dict[str, Any]:
    prefix = f"/apis/{entry.group}/{version}" if entry.group else f"/api/{version}"
    where = "/namespaces/{namespace}" if entry.namespaced else ""
    kind = {"group": entry.group, "version": version, "kind": entry.kind}
    parameters = [_parameter(name, "query") for name in ("dryRun", "fieldManager", "fieldValidation")]
    patch = {
        "operationId": f"patch{entry.kind}",
        "parameters": parameters,
        "requestBody": {"content": {"application/merge-patch+json": {"schema": {"type": "object"}}}, "required": True},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind,
    }
    in_path = [_parameter(name, "path") for name in (("namespace", "name") if entry.namespaced else ("name",))]
    return {f"{prefix}{where}/{entry.plural}/{{name}}": {"patch": patch, "parameters": in_path}}


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


def _schemas(kind: Kind, version: str) -> dict[str, Any]:
    """The schema of the whole object and of the parts that its body's schema defines."""
    prefix = f"{'.'.join(reversed(kind.group.split('.'))) or 'core'}.{version}.{kind.name}"
    template = f"{REFERENCE}{prefix}.{{model}}"
    body = kind.schema.model_json_schema(ref_template=template)
    parts = {f"{prefix}.{name}": _plain(part) for name, part in body.pop("$defs", {}).items()}
    return {**parts, prefix: _whole(_plain(body), kind, version)}


def _whole(body: dict[str, Any], kind: Kind, version: str) -> dict[str, Any]:
    properties = {
        "apiVersion": {"type": "string", "description": f"Always {api_version(kind.group, version)}"},
        "kind": {"type": "string", "description": f"Always {kind.name}"},
        "metadata": {
            "allOf": [{"$ref": REFERENCE + OBJECT_META}],
            "description": "Name, namespace, labels and what the server adds",
        },
        **body.get("properties", {}),
    }
    if kind.has_status:
        status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        properties["status"] = {**status, "description": "What the control plane observed"}
    names = [{"group": kind.group, "version": version, "kind": kind.name}]
    return {**body, "type": "object", "properties": properties, "x-kubernetes-group-version-kind": names}


def _plain(schema: Any) -> Any:
    """JSON Schema as OpenAPI 3.0 and `kubectl explain` understand it: no titles or null types, references alone."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {
        word: _members(value) if word == "properties" else _plain(value)
        for word, value in schema.items()
        if word != "title"
    }
    if isinstance(plain.get("additionalProperties"), bool):  # `kubectl explain` expects a schema there
        del plain["additionalProperties"]
    choices = [choice for choice in plain.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del plain["anyOf"]
        plain.update(choices[0])
    if "$ref" in plain and len(plain) > 1:
        plain["allOf"] = [{"$ref": plain.pop("$ref")}]
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    return plain


def _members(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A field may be called `title`, so the names of fields are not words of the schema."""
    return {name: _plain(schema) for name, schema in properties.items()}


def _object_meta() -> dict[str, Any]:
    text = {"type": "string"}
    described: dict[str, tuple[str, dict[str, Any]]] = {
        "name": ("Unique among the objects of its kind in a namespace; cannot be changed", text),
        "generateName": ("A prefix from which the server makes a unique name, where name is empty", text),
        "namespace": ("Where the object is; cannot be changed", text),
        "labels": ("Keys and values that objects are selected by", TEXT_MAP),
        "annotations": ("Keys and values for tools, of any content", TEXT_MAP),
        "ownerReferences": (
            "Objects without which this one is deleted",
            {"type": "array", "items": {"type": "object"}},
        ),
        "finalizers": ("While there are any, the object is only marked as deleted", {"type": "array", "items": text}),
        "uid": ("Unique over all time; set by the server", text),
        "resourceVersion": ("Changes with every write; opaque", text),
        "generation": ("Counts changes of the content; set by the server", {"type": "integer", "format": "int64"}),
        "creationTimestamp": ("Set by the server", {"type": "string", "format": "date-time"}),
        "deletionTimestamp": (
            "When deletion was asked for; set by the server",
            {"type": "string", "format": "date-time"},
        ),
    }
    return {
        "type": "object",
        "properties": {name: {**schema, "description": what} for name, (what, schema) in described.items()},
    }
