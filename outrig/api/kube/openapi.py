"""OpenAPI v3, a document for each group and version: what `kubectl explain` reads, and where kubectl learns that the
server validates fields itself; and the same as OpenAPI v2.

In: the catalog and the pydantic schemas of its kinds. Out: the index and the documents. A kind that Outrig lacks has a
schema too, whose description says so.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from outrig.api.kube.catalog import Catalog, api_version
from outrig.api.kube.described import META, SHARED
from outrig.api.kube.discovery import Entry, group_versions
from outrig.api.kube.foreign import ForeignKind, foreign_to
from outrig.api.kube.gnostic import encode
from outrig.api.kube.operations import REFERENCE, paths, schema_name
from outrig.api.kube.renditions import Rendition, rendition
from outrig.api.kube.review_kinds import REVIEWS
from outrig.api.kube.swagger import swagger
from outrig.dialects.kind import Kind

OBJECT_META = f"{META}.ObjectMeta"
LIST_META = f"{META}.ListMeta"
TOKEN = "BearerToken"  # noqa: S105 - the name of a way to sign in
BEARER = {"type": "http", "scheme": "bearer", "description": "A user token. A client certificate is taken as well."}
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
PORT = {
    "oneOf": [{"type": "integer"}, {"type": "string"}],
    "format": "int-or-string",
    "description": "A number, or a text.",
}
OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ASKED_AS = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"  # by kubectl, which takes no `@` in an answer

Specification = Mapping[str, tuple[Rendition, ...]]
"""The documents, in all of their forms, by their paths below /openapi/."""


def specify(catalog: Catalog, types: Sequence[Entry]) -> Specification:
    """Everything under /openapi."""
    shared = {name: schema for form in SHARED for name, schema in _parts(form, META, form.__name__).items()}
    made = {
        _path(group, version): _document(catalog, types, group, version, shared=shared)
        for group, versions in group_versions(types).items()
        for version in versions
    }
    documents = {path: _json(document) for path, document in made.items()}
    served = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={text.tag}"} for path, text in documents.items()}
    older = swagger(made)
    return {
        "v3": (_json({"paths": served}),),
        **{f"v3/{path}": (text,) for path, text in documents.items()},
        "v2": (_json(older), rendition(encode(older), media=OPENAPI_V2, also=ASKED_AS)),
    }


def _path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _json(document: Mapping[str, Any]) -> Rendition:
    return rendition(json.dumps(document).encode())


def _document(
    catalog: Catalog, types: Sequence[Entry], group: str, version: str, *, shared: Mapping[str, Any]
) -> dict[str, Any]:
    found = [entry for entry in types if entry.group == group and version in entry.versions]
    schemas: dict[str, Any] = {INT_OR_STRING: PORT, **shared}
    reviews = Catalog(REVIEWS).served(group, version)
    for kind in (*catalog.served(group, version), *reviews):
        schemas.update(_schemas(kind, version))
    for foreign in foreign_to(catalog):
        if foreign.group == group and version in foreign.versions:
            schemas[schema_name(group, version, foreign.name)] = _foreign(foreign, version)
    for entry in found:
        if entry.is_only_asked:
            continue
        schemas[schema_name(group, version, f"{entry.kind}List")] = _list(entry, version)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Outrig", "version": "v1"},
        "paths": {path: item for entry in found for path, item in paths(entry, version).items()},
        "components": {"schemas": _with_told_parts(schemas), "securitySchemes": {TOKEN: BEARER}},
        "security": [{TOKEN: []}, {}],  # the other: a client certificate, or nobody, who is refused with 403
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


def _list(entry: Entry, version: str) -> dict[str, Any]:
    whole, kind = schema_name(entry.group, version, entry.kind), f"{entry.kind}List"
    items = {"type": "array", "description": "The objects.", "items": {"$ref": REFERENCE + whole}}
    metadata = {"metadata": {"$ref": REFERENCE + LIST_META}, "items": items}
    return {
        "type": "object",
        "description": f"Objects of kind {entry.kind}.",
        "required": ["items"],
        "properties": {**_envelope(entry.group, version, kind), **metadata},
        "x-kubernetes-group-version-kind": [{"group": entry.group, "version": version, "kind": kind}],
    }


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
