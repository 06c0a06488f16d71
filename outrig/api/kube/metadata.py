"""The `metadata` of a document, read and checked: names, labels, annotations, owners, finalizers.

In: the `metadata` value as decoded. Out: `Metadata`, the fields nobody knows, and every problem as a `Cause`.
Rules: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and labels/. What the server sets
(generation, times) is ignored when a user sends it; `managedFields` is read where managers are tracked (`owning`).
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from outrig.api.fields import SUBDOMAIN, invalid_value, key_problem, labels, text_map, typed
from outrig.api.kube.finalizers import finalizers
from outrig.api.numbers import whole
from outrig.api.refusals import Cause
from outrig.dialects.syntax import is_time

KNOWN = frozenset(
    {
        "name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers", "uid",
        "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        "managedFields", "selfLink",
    }
)  # fmt: skip
OWNER_FIELDS = frozenset({"apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"})

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: a generated name spells no word
ANNOTATIONS_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """An owner as a document names it."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None
    blocks: bool | None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a user may set. `revision` is 0 where the document has no resourceVersion."""

    name: str
    generate_name: str
    namespace: str
    uid: str
    revision: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owners: tuple[OwnerReference, ...]
    finalizers: tuple[str, ...]

    def chosen_name(self) -> str:
        """The name, or one made from `generateName`."""
        if self.name or not self.generate_name:
            return self.name
        return self.generate_name[:58] + "".join(secrets.choice(SUFFIX_ALPHABET) for _ in range(5))


def parse_metadata(value: Any, *, standard: bool = False) -> tuple[Metadata, tuple[str, ...], tuple[Cause, ...]]:
    """The metadata, its unknown fields (as paths), and what is wrong with it; wrong parts are left empty.

    `standard`: of a kind of Kubernetes' own, whose finalizers are named more strictly.
    """
    causes: list[Cause] = []
    found = typed(value or {}, dict, "metadata", "an object", causes) or {}
    unknown = [f"metadata.{field}" for field in sorted(found.keys() - KNOWN)]
    texts = {
        field: typed(found.get(field), str, f"metadata.{field}", "a text", causes) or ""
        for field in ("name", "generateName", "namespace", "uid", "resourceVersion")
    }
    typed(found.get("managedFields"), list, "metadata.managedFields", "a list", causes)
    _check_times(found, causes)
    metadata = Metadata(
        name=texts["name"],
        generate_name=texts["generateName"],
        namespace=texts["namespace"],
        uid=texts["uid"],
        revision=_revision(texts["resourceVersion"], causes),
        labels=labels(found.get("labels"), "metadata.labels", causes),
        annotations=_annotations(found.get("annotations"), causes),
        owners=_owners(found.get("ownerReferences"), causes, unknown),
        finalizers=finalizers(found.get("finalizers"), causes, standard=standard),
    )
    return metadata, tuple(unknown), tuple(causes)


def _check_times(found: Mapping[str, Any], causes: list[Cause]) -> None:
    """The server's own times are not taken from anybody; what is no time at all is no object of Kubernetes'."""
    for field in ("metadata.creationTimestamp", "metadata.deletionTimestamp"):
        said = typed(found.get(field.removeprefix("metadata.")), str, field, "a text", causes)
        if said is not None and not is_time(said):
            causes.append(invalid_value(field, said, "must be a time with its zone, such as 2026-01-31T09:00:00Z"))


def name_problems(name: str, *, as_label: bool) -> Iterator[Cause]:
    """What is wrong with an object's name; `as_label` for kinds whose name becomes one label of a DNS name."""
    if not name:
        yield Cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")
    elif as_label and (len(name) > 63 or not LABEL.fullmatch(name)):
        yield invalid_value(
            "metadata.name", name, "must be at most 63 of a-z, 0-9 and '-', and start and end with a letter or digit"
        )
    elif len(name) > 253 or not SUBDOMAIN.fullmatch(name):
        rule = "must be at most 253 of a-z, 0-9, '-' and '.', and start and end with a letter or digit"
        yield invalid_value("metadata.name", name, rule)


def _annotations(value: Any, causes: list[Cause]) -> dict[str, str]:
    annotations = text_map(value, "metadata.annotations", causes)
    wrong = ((key, key_problem(key.lower())) for key in annotations)
    causes.extend(invalid_value("metadata.annotations", key, why) for key, why in wrong if why)
    if sum(len(key) + len(text) for key, text in annotations.items()) > ANNOTATIONS_BYTES:
        causes.append(
            Cause(
                "metadata.annotations", f"Too long: may not be more than {ANNOTATIONS_BYTES} bytes", "FieldValueTooLong"
            )
        )
    return annotations


def _owners(value: Any, causes: list[Cause], unknown: list[str]) -> tuple[OwnerReference, ...]:
    """Source: ValidateOwnerReferences of k8s.io/apimachinery api/validation."""
    field = "metadata.ownerReferences"
    items = typed(value, list, field, "a list", causes) or []
    found = []
    for index, item in enumerate(items):
        place = f"{field}[{index}]"
        if (said := typed({} if item is None else item, dict, place, "an object", causes)) is not None:
            unknown += [f"{place}.{part}" for part in sorted(said.keys() - OWNER_FIELDS)]
            found += [owner] if (owner := _owner(said, place, causes)) else []
    first, *others = [f"{owner.kind}/{owner.name}" for owner in found if owner.controller] or [""]
    for other in others:
        why = f'Only one reference can have Controller set to true. Found "true" in references for {first} and {other}'
        causes.append(Cause(field, f"Invalid value: {why}"))
    return tuple(found)


def _owner(found: Mapping[str, Any], field: str, causes: list[Cause]) -> OwnerReference | None:
    flags = {
        part: typed(found.get(part), bool, f"{field}.{part}", "true or false", causes)
        for part in ("controller", "blockOwnerDeletion")
    }
    required = {part: found.get(part) for part in ("apiVersion", "kind", "name", "uid")}
    missing = [part for part, text in required.items() if not isinstance(text, str) or not text]
    if missing:
        why = "Required value: must be a text"
        causes += [Cause(f"{field}.{part}", why, "FieldValueRequired") for part in missing]
        return None
    api_version, kind, name, uid = (str(text) for text in required.values())
    if api_version.count("/") > 1 or api_version.endswith("/"):
        causes.append(invalid_value(f"{field}.apiVersion", api_version, "version must not be empty"))
    if (api_version, kind) == ("v1", "Event"):
        causes.append(Cause(field, "Invalid value: /v1, Kind=Event is disallowed from being an owner"))
    return OwnerReference(api_version, kind, name, uid, flags["controller"], flags["blockOwnerDeletion"])


def _revision(text: str, causes: list[Cause]) -> int:
    if (revision := whole(text or "0")) is None:
        causes.append(invalid_value("metadata.resourceVersion", text, "must be one that this server gave"))
    return revision or 0
