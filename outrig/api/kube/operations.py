"""The requests of each resource type, as OpenAPI describes them.

In: a type of discovery. Out: its paths. kubectl looks here for two things: that a `get` names the kind of a path, and
that a PATCH takes `fieldValidation`, so that the server judges fields, and `dryRun`. Strategic merges are taken for
core kinds and not listed: where they are, kubectl computes patches from schemas marked for it, which these are not.
"""

from collections.abc import Iterator
from typing import Any

from outrig.api.kube.described import META
from outrig.api.kube.discovery import Entry

REFERENCE = "#/components/schemas/"
LIST = {
    "labelSelector": "Only objects with these labels.",
    "fieldSelector": "Only objects with these fields: metadata.name, metadata.namespace, and what the kind allows.",
    "limit": "At most so many objects, with `continue` for the rest.",
    "continue": "Where a list that was cut goes on.",
    "resourceVersion": "How fresh the answer must be; for a watch, the revision to go on from.",
    "resourceVersionMatch": "NotOlderThan or Exact: what resourceVersion means.",
    "watch": "true: changes, as they come.",
    "timeoutSeconds": "A watch ends after so many seconds, and after an hour.",
    "allowWatchBookmarks": "true: the watch tells from time to time how far it is.",
    "sendInitialEvents": "true: the watch begins with what there is, and marks its end.",
}
READ = {"resourceVersion": "How fresh the answer must be."}
WRITE = {
    "dryRun": "All: check everything and change nothing.",
    "fieldManager": "Who writes, for server-side apply.",
    "fieldValidation": "What becomes of unknown fields: Strict, Warn or Ignore.",
}
PATCH = {**WRITE, "force": "true: server-side apply takes fields from other managers."}
DELETE = {
    "dryRun": WRITE["dryRun"],
    "gracePeriodSeconds": "Accepted; nothing here takes time to stop.",
    "orphanDependents": "An older word for propagationPolicy=Orphan.",
    "propagationPolicy": "Background, Foreground or Orphan.",
}
PATCHES = ("application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml")
JSON = "application/json"
REFUSED = {
    "400": "The request cannot be understood.",
    "401": "The credential is wrong.",
    "403": "The caller may not.",
    "404": "It is not there.",
    "406": "No form of the answer is one that the caller takes.",
    "410": "The revision, or the continue token, is too old.",
    "429": "Too many requests of this caller at once; Retry-After says when.",
    "503": "The store is away.",
    "504": "It took too long.",
}
REFUSED_LIST = {**REFUSED, "422": "Parameters do not go together."}
REFUSED_WRITE = {
    **REFUSED,
    "405": "The kind does not take it.",
    "409": "It is there already, was changed meanwhile, or a field is another's.",
    "413": "The body is too large.",
    "415": "The body's form is not taken.",
    "422": "The object would be wrong.",
}
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def paths(entry: Entry, version: str) -> dict[str, Any]:
    """The paths of a type in one version."""
    prefix = f"/apis/{entry.group}/{version}" if entry.group else f"/api/{version}"
    home = "/namespaces/{namespace}" if entry.namespaced else ""
    collection, whole = f"{prefix}{home}/{entry.plural}", _Operations(entry, version)
    described = {collection: whole.of_collection(), f"{collection}/{{name}}": whole.of_object()}
    if entry.namespaced:
        described[f"{prefix}/{entry.plural}"] = {"get": whole.list_()}
    if entry.status_verbs:
        described[f"{collection}/{{name}}/status"] = whole.of_status()
    placed = {path: {**item, "parameters": list(_in_path(path))} for path, item in described.items() if item}
    return {path: item for path, item in placed.items() if len(item) > 1}


def schema_name(group: str, version: str, kind: str) -> str:
    """The name of a kind's schema: `io.istio.networking.v1.Sidecar`."""
    return f"{'.'.join(reversed(group.split('.'))) or 'core'}.{version}.{kind}"


class _Operations:
    """Those of one type. A type without verbs is one that is not served: it is there to be told so."""

    def __init__(self, entry: Entry, version: str) -> None:
        self._entry, self._version = entry, version
        self._schema = {"$ref": REFERENCE + schema_name(entry.group, version, entry.kind)}
        self._verbs = entry.verbs or ("get", "patch")

    def list_(self) -> dict[str, Any]:
        return self._operation("list", LIST, {"type": "object"})

    def of_collection(self) -> dict[str, Any]:
        created = self._operation("create", WRITE, self._schema, body=(JSON, self._schema), code="201")
        emptied = self._operation("deletecollection", {**LIST, **DELETE}, {"type": "object"}, body=_OPTIONS)
        return self._allowed({"list": ("get", self.list_()), "create": ("post", created)}) | self._allowed(
            {"deletecollection": ("delete", emptied)}
        )

    def of_object(self) -> dict[str, Any]:
        deleted = self._operation("delete", DELETE, {"type": "object"}, body=_OPTIONS)
        return self._allowed({**self._changes(""), "delete": ("delete", deleted)})

    def of_status(self) -> dict[str, Any]:
        changes = self._changes("Status")
        return {method: operation for verb, (method, operation) in changes.items() if verb in self._entry.status_verbs}

    def _changes(self, part: str) -> dict[str, tuple[str, dict[str, Any]]]:
        body = (JSON, self._schema)
        patch = self._operation("patch", PATCH, self._schema, part=part)
        content: dict[str, Any] = {media: {"schema": {}} for media in PATCHES}
        patch["requestBody"] = {"content": content, "required": True}
        return {
            "get": ("get", self._operation("get", READ, self._schema, part=part)),
            "update": ("put", self._operation("update", WRITE, self._schema, part=part, body=body)),
            "patch": ("patch", patch),
        }

    def _allowed(self, operations: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        return {method: operation for verb, (method, operation) in operations.items() if verb in self._verbs}

    def _operation(
        self, verb: str, query: dict[str, str], answer: dict[str, Any], *, part: str = "", code: str = "200",
        body: tuple[str, dict[str, Any]] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        entry = self._entry
        kind = {"group": entry.group, "version": self._version, "kind": entry.kind}
        sent = {"requestBody": {"content": {body[0]: {"schema": body[1]}}}} if body else {}
        return {
            "operationId": f"{verb}{entry.kind}{part}",
            "parameters": [_parameter(name, "query", what) for name, what in query.items()],
            **sent,
            "responses": {code: {"description": "OK", "content": {JSON: {"schema": answer}}}, **_refusals(verb)},
            "x-kubernetes-action": verb,
            "x-kubernetes-group-version-kind": kind,
        }


def _refusals(verb: str) -> dict[str, Any]:
    refused = REFUSED_WRITE if verb in WRITES else REFUSED_LIST if verb == "list" else REFUSED
    status = {JSON: {"schema": {"$ref": f"{REFERENCE}{META}.Status"}}}
    return {code: {"description": why, "content": status} for code, why in refused.items()}


_OPTIONS = (JSON, {"$ref": f"{REFERENCE}{META}.DeleteOptions"})


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for name, what in (("namespace", "The namespace."), ("name", "The object's name.")):
        if f"{{{name}}}" in path:
            yield _parameter(name, "path", what)


def _parameter(name: str, place: str, what: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}, "description": what}
