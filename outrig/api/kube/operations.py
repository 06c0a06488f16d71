"""The requests of each resource type, as OpenAPI describes them.

In: a type of discovery. Out: its paths. kubectl looks here for two things: that a `get` names the kind of a path, and
that a PATCH takes `fieldValidation`, so that the server judges fields, and `dryRun`. Strategic merges are taken for
core kinds and not listed: where they are, kubectl computes patches from schemas marked for it, which these are not.
"""

from collections.abc import Iterator
from typing import Any

from outrig.api.kube.described import META
from outrig.api.kube.discovery import Entry
from outrig.api.kube.list_options import Match
from outrig.api.kube.options import MANAGER_BYTES, Propagation
from outrig.api.kube.validation import Strictness

REFERENCE = "#/components/schemas/"
STATUS = f"{REFERENCE}{META}.Status"
DONE = {"200": "OK", "201": "Created"}
SELECT = {
    "labelSelector": "Only objects with these labels.",
    "fieldSelector": "Only objects with these fields: metadata.name, metadata.namespace, and what the kind allows.",
    "limit": "At most so many objects, with `continue` for the rest.",
    "continue": "Where a list that was cut goes on.",
    "resourceVersion": "How fresh the answer must be; for a watch, the revision to go on from.",
    "resourceVersionMatch": "NotOlderThan or Exact: what resourceVersion means.",
}
LIST = {
    **SELECT,
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
JSON = "application/json"
YAML = "application/yaml"
OPERATIONS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string"},
            "from": {"type": "string"},
            "value": {},
        },
    },
}
_YES_OR_NO: dict[str, Any] = {"type": "boolean"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
PARAMETERS: dict[str, dict[str, Any]] = {
    "limit": _COUNT,
    "resourceVersionMatch": {"type": "string", "enum": list(Match)},
    "timeoutSeconds": _COUNT,
    "allowWatchBookmarks": _YES_OR_NO,
    "sendInitialEvents": _YES_OR_NO,
    "dryRun": {"type": "string", "enum": ["All"]},
    "fieldManager": {"type": "string", "maxLength": MANAGER_BYTES},
    "fieldValidation": {"type": "string", "enum": list(Strictness)},
    "force": _YES_OR_NO,
    "gracePeriodSeconds": {"type": "integer"},
    "orphanDependents": _YES_OR_NO,
    "propagationPolicy": {"type": "string", "enum": list(Propagation)},
}
"""Those of a request that are not any text. `watch` is: a program that makes up requests from these documents would
otherwise spend its time in watches.
"""

REFUSED = {
    "400": "The request cannot be understood.",
    "401": "The credential is wrong.",
    "403": "The caller may not.",
    "404": "It is not there.",
    "405": "The kind does not take it; Allow says what is taken.",
    "406": "No form of the answer is one that the caller takes.",
    "410": "The revision, or the continue token, is too old.",
    "422": "Parameters do not go together.",
    "429": "Too many requests of this caller at once; Retry-After says when.",
    "503": "The store is away.",
    "504": "It took too long.",
}
REFUSED_WRITE = {
    **REFUSED,
    "408": "The body did not arrive in time.",
    "409": "It is there already, was changed meanwhile, or a field is another's.",
    "413": "The body is too large.",
    "415": "The body's form is not taken.",
    "422": "The object would be wrong.",
}
EVERYWHERE = "ForAllNamespaces"
NAMES = {"get": ("read", ""), "update": ("replace", ""), "deletecollection": ("delete", "Collection")}
ACTIONS = {"create": "post", "update": "put"}  # the others are called as their verbs are
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def paths(entry: Entry, version: str) -> dict[str, Any]:
    """The paths of a type in one version."""
    prefix = f"/apis/{entry.group}/{version}" if entry.group else f"/api/{version}"
    home = "/namespaces/{namespace}" if entry.namespaced else ""
    collection, whole = f"{prefix}{home}/{entry.plural}", _Operations(entry, version)
    described = {collection: whole.of_collection(), f"{collection}/{{name}}": whole.of_object()}
    if entry.namespaced and not entry.is_only_asked:
        described[f"{prefix}/{entry.plural}"] = {"get": whole.list_(EVERYWHERE)}
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
        name = REFERENCE + schema_name(entry.group, version, entry.kind)
        self._schema, self._list = {"$ref": name}, {"$ref": f"{name}List"}
        self._verbs = entry.verbs or ("get", "patch")

    def list_(self, part: str = "") -> dict[str, Any]:
        return self._operation("list", LIST, self._list, part=part)

    def of_collection(self) -> dict[str, Any]:
        created = self._operation("create", WRITE, self._schema, body=_whole(self._schema), codes=("201",))
        emptied = self._operation("deletecollection", {**SELECT, **DELETE}, self._list, body=_OPTIONS)
        return self._allowed({"list": ("get", self.list_()), "create": ("post", created)}) | self._allowed(
            {"deletecollection": ("delete", emptied)}
        )

    def of_object(self) -> dict[str, Any]:
        gone = {"anyOf": [{"$ref": STATUS}, self._schema]}
        deleted = self._operation("delete", DELETE, gone, body=_OPTIONS)
        return self._allowed({**self._changes(""), "delete": ("delete", deleted)})

    def of_status(self) -> dict[str, Any]:
        changes = self._changes("Status")
        return {method: operation for verb, (method, operation) in changes.items() if verb in self._entry.status_verbs}

    def _changes(self, part: str) -> dict[str, tuple[str, dict[str, Any]]]:
        schema = self._schema
        patches = {
            "application/merge-patch+json": {"schema": {"type": "object"}},
            "application/json-patch+json": {"schema": OPERATIONS},
            "application/apply-patch+yaml": {"schema": schema},
        }
        body, codes = {"content": patches, "required": True}, ("200",) if part else ("200", "201")
        return {
            "get": ("get", self._operation("get", READ, schema, part=part)),
            "update": ("put", self._operation("update", WRITE, schema, part=part, body=_whole(schema), codes=codes)),
            "patch": ("patch", self._operation("patch", PATCH, schema, part=part, body=body, codes=codes)),
        }

    def _allowed(self, operations: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        return {method: operation for verb, (method, operation) in operations.items() if verb in self._verbs}

    def _operation(
        self, verb: str, query: dict[str, str], answer: dict[str, Any], *, part: str = "",
        codes: tuple[str, ...] = ("200",), body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        entry = self._entry
        kind = {"group": entry.group, "version": self._version, "kind": entry.kind}
        done = {code: {"description": DONE[code], "content": _content(answer)} for code in codes}
        return {
            "operationId": self._id(verb, part),
            **({"deprecated": True} if self._version in entry.deprecated else {}),
            "parameters": [_parameter(name, "query", what) for name, what in query.items()],
            **({"requestBody": body} if body else {}),
            "responses": {**done, **_refusals(verb)},
            "x-kubernetes-action": ACTIONS.get(verb, verb),
            "x-kubernetes-group-version-kind": kind,
        }

    def _id(self, verb: str, part: str) -> str:
        """A name that no other operation has in any document: `readNetworkingIstioIoV1NamespacedSidecar`."""
        entry, (does, what) = self._entry, NAMES.get(verb, (verb, ""))
        group = entry.group.removesuffix(".k8s.io") or "core"
        home = "".join(word.capitalize() for word in (*group.split("."), self._version))
        where = "Namespaced" if entry.namespaced and part != EVERYWHERE else ""
        return f"{does}{home}{what}{where}{entry.kind}{part}"


def _refusals(verb: str) -> dict[str, Any]:
    refused = REFUSED_WRITE if verb in WRITES else REFUSED
    status = {JSON: {"schema": {"$ref": STATUS}}}
    return {code: {"description": why, "content": status} for code, why in refused.items()}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    """A document, in either form."""
    return {JSON: {"schema": schema}, YAML: {"schema": schema}}


def _whole(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": _content(schema), "required": True}


_OPTIONS = {"content": _content({"$ref": f"{REFERENCE}{META}.DeleteOptions"})}


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for name, what in (("namespace", "The namespace."), ("name", "The object's name.")):
        if f"{{{name}}}" in path:
            yield _parameter(name, "path", what)


def _parameter(name: str, place: str, what: str) -> dict[str, Any]:
    schema = PARAMETERS.get(name, {"type": "string"})
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": what}
