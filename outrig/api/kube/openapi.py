"""OpenAPI v3, a document for each group and version: what `kubectl explain` reads, and where kubectl learns that the
server validates fields itself.

In: the catalog and the pydantic schemas of its kinds. Out: the index and the documents. A kind that Outrig lacks has a
schema too, whose description says so.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from outrig.api.kube.catalog import Catalog, api_version
from outrig.api.kube.described import META, SHARED
from outrig.api.kube.discovery import Entry, group_versions
from outrig.api.kube.foreign import ForeignKind, foreign_to
from outrig.api.kube.operations import REFERENCE, paths, schema_name
from outrig.dialects.kind import Kind

OBJECT_META = f"{META}.ObjectMeta"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
PORT = {"type": "string", "format": "int-or-string", "description": "A number, or a name."}


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
    served = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(text)}"} for path, text in documents.items()}
    return Specification({"paths": served}, documents)


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:32].upper()


def _document(catalog: Catalog, types: Sequence[Entry], group: str, version: str) -> dict[str, Any]:
    found = [entry for entry in types if entry.group == group and version in entry.versions]
    schemas: dict[str, Any] = {INT_OR_STRING: PORT}
    for form in SHARED:
        schemas.update(_parts(form, META, form.__name__))
    for kind in catalog.served(group, version):
        schemas.update(_schemas(kind, version))
    for foreign in foreign_to(catalog):
        if foreign.group == group and version in foreign.versions:
            schemas[schema_name(group, version, foreign.name)] = _foreign(foreign, version)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Outrig", "version": "v1"},
        "paths": {path: item for entry in found for path, item in paths(entry, version).items()},
        "components": {"schemas": _with_told_parts(schemas)},
    }


def _schemas(kind: Kind, version: str) -> dict[str, Any]:
    """The schema of the whole object and of the parts that its body's schema and its status's define."""
    name = schema_name(kind.group, version, kind.name)
    parts = _parts(kind.schema, name, "")
    if kind.has_status:
        parts.update(_parts(kind.status_schema, name, kind.status_schema.__name__))
    return {**parts, name: _whole(parts[name], kind, version)}


def _parts(form: type[BaseModel], prefix: str, name: str) -> dict[str, Any]:
    """The schema of a form, `<prefix>.<name>`, and those of the forms within it."""
    body = form.model_json_schema(ref_template=f"{REFERENCE}{prefix}.{{model}}")
    parts = {f"{prefix}.{part}": _plain(schema) for part, schema in body.pop("$defs", {}).items()}
    return {**parts, f"{prefix}.{name}" if name else prefix: _plain(body)}


def _whole(body: dict[str, Any], kind: Kind, version: str) -> dict[str, Any]:
    properties = {**_envelope(kind.group, version, kind.name), **body.get("properties", {})}
    if kind.has_status:
        status = f"{REFERENCE}{schema_name(kind.group, version, kind.name)}.{kind.status_schema.__name__}"
        properties["status"] = {"$ref": status}
    names = [{"group": kind.group, "version": version, "kind": kind.name}]
    return {**body, "type": "object", "properties": properties, "x-kubernetes-group-version-kind": names}


def _envelope(group: str, version: str, kind: str) -> dict[str, Any]:
    return {
        "apiVersion": {"type": "string", "description": f"Always {api_version(group, version)}."},
        "kind": {"type": "string", "description": f"Always {kind}."},
        "metadata": {"$ref": REFERENCE + OBJECT_META},
    }


def _foreign(kind: ForeignKind, version: str) -> dict[str, Any]:
    names = [{"group": kind.group, "version": version, "kind": kind.name}]
    described = {"type": "object", "description": f"{kind.sentence}.", "x-kubernetes-group-version-kind": names}
    return {**described, "properties": _envelope(kind.group, version, kind.name)}


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
    if [choice.get("type") for choice in choices] == ["integer", "string"]:
        choices = [{"$ref": REFERENCE + INT_OR_STRING}]
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


def _with_told_parts(schemas: dict[str, Any]) -> dict[str, Any]:
    """A field that is described by its type alone says so itself: kubectl reads no description beyond a reference."""
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if set(field) == {"$ref"}:
                described = schemas[field["$ref"].removeprefix(REFERENCE)].get("description", "")
                schema["properties"][name] = {"allOf": [dict(field)], "description": described}
    return schemas
