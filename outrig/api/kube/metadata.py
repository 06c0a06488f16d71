"""The `metadata` of a document, read and checked: names, labels, annotations, owners, finalizers.

In: the `metadata` value as decoded. Out: `Metadata`, the fields nobody knows, and every problem as a `Cause`.
Rules: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and labels/. What the server sets
(generation, times) is ignored when a user sends it; `managedFields` is not kept.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from outrig.api.kube.statuses import Cause

KNOWN = frozenset(
    {
        "name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers", "uid",
        "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        "managedFields", "selfLink",
    }
)  # fmt: skip
OWNER_FIELDS = frozenset({"apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"})

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: a generated name spells no word
ANNOTATIONS_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """An owner as a document names it."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool


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


def parse_metadata(value: Any) -> tuple[Metadata, tuple[str, ...], tuple[Cause, ...]]:
    """The metadata, its unknown fields (as paths), and what is wrong with it; wrong parts are left empty."""
    causes: list[Cause] = []
    found = _typed(value or {}, dict, "metadata", "an object", causes) or {}
    unknown = tuple(f"metadata.{field}" for field in sorted(found.keys() - KNOWN))
    texts = {
        field: _typed(found.get(field), str, f"metadata.{field}", "a text", causes) or ""
        for field in ("name", "generateName", "namespace", "uid", "resourceVersion")
    }
    metadata = Metadata(
        name=texts["name"],
        generate_name=texts["generateName"],
        namespace=texts["namespace"],
        uid=texts["uid"],
        revision=_revision(texts["resourceVersion"], causes),
        labels=_labels(found.get("labels"), causes),
        annotations=_annotations(found.get("annotations"), causes),
        owners=_owners(found.get("ownerReferences"), causes),
        finalizers=tuple(_texts(found.get("finalizers"), "metadata.finalizers", causes)),
    )
    return metadata, unknown, tuple(causes)


def name_problems(name: str, *, as_label: bool) -> Iterator[Cause]:
    """What is wrong with an object's name; `as_label` for kinds whose name becomes one label of a DNS name."""
    if not name:
        yield Cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")
    elif as_label and (len(name) > 63 or not LABEL.fullmatch(name)):
        yield _invalid(
            "metadata.name", name, "must be at most 63 of a-z, 0-9 and '-', and start and end with a letter or digit"
        )
    elif len(name) > 253 or not SUBDOMAIN.fullmatch(name):
        rule = "must be at most 253 of a-z, 0-9, '-' and '.', and start and end with a letter or digit"
        yield _invalid("metadata.name", name, rule)


def key_problem(key: str) -> str:
    """Why a text is no label key (`[prefix/]name`); empty if it is one."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not SUBDOMAIN.fullmatch(prefix)):
        return "the part before '/' must be a DNS name in lower case"
    if len(name) > 63 or not QUALIFIED.fullmatch(name):
        return "the name must be at most 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
    return ""


def value_problem(value: str) -> str:
    """Why a text is no label value; empty if it is one."""
    if value and (len(value) > 63 or not QUALIFIED.fullmatch(value)):
        return "must be at most 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
    return ""


def _labels(value: Any, causes: list[Cause]) -> dict[str, str]:
    labels = _text_map(value, "metadata.labels", causes)
    for key, text in labels.items():
        if why := key_problem(key):
            causes.append(_invalid("metadata.labels", key, why))
        if why := value_problem(text):
            causes.append(_invalid(f"metadata.labels[{key}]", text, why))
    return labels


def _annotations(value: Any, causes: list[Cause]) -> dict[str, str]:
    annotations = _text_map(value, "metadata.annotations", causes)
    wrong = ((key, key_problem(key.lower())) for key in annotations)
    causes.extend(_invalid("metadata.annotations", key, why) for key, why in wrong if why)
    if sum(len(key) + len(text) for key, text in annotations.items()) > ANNOTATIONS_BYTES:
        causes.append(
            Cause(
                "metadata.annotations", f"Too long: may not be more than {ANNOTATIONS_BYTES} bytes", "FieldValueTooLong"
            )
        )
    return annotations


def _owners(value: Any, causes: list[Cause]) -> tuple[OwnerReference, ...]:
    field = "metadata.ownerReferences"
    items = _typed(value, list, field, "a list", causes) or []
    return tuple(owner for index, item in enumerate(items) if (owner := _owner(item, f"{field}[{index}]", causes)))


def _owner(value: Any, field: str, causes: list[Cause]) -> OwnerReference | None:
    found = _typed(value, dict, field, "an object", causes) or {}
    required = {part: found.get(part) for part in ("apiVersion", "kind", "name", "uid")}
    for part, text in required.items():
        if not isinstance(text, str) or not text:
            causes.append(Cause(f"{field}.{part}", "Required value: must be a text", "FieldValueRequired"))
    causes.extend(Cause(f"{field}.{part}", "unknown field") for part in sorted(found.keys() - OWNER_FIELDS))
    if not all(isinstance(text, str) and text for text in required.values()):
        return None
    api_version, kind, name, uid = (str(text) for text in required.values())
    return OwnerReference(api_version, kind, name, uid, found.get("controller") is True)


def _revision(text: str, causes: list[Cause]) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        causes.append(_invalid("metadata.resourceVersion", text, "must be one that this server gave"))
        return 0
    return int(text or 0)


def _texts(value: Any, field: str, causes: list[Cause]) -> Iterator[str]:
    for index, item in enumerate(_typed(value, list, field, "a list", causes) or []):
        if text := _typed(item, str, f"{field}[{index}]", "a text", causes):
            yield text


def _text_map(value: Any, field: str, causes: list[Cause]) -> dict[str, str]:
    found = _typed(value, dict, field, "an object", causes) or {}
    checked = {key: _typed(text, str, f"{field}[{key}]", "a text", causes) for key, text in found.items()}
    return {key: text for key, text in checked.items() if text is not None}


def _typed(value: Any, wanted: type, field: str, name: str, causes: list[Cause]) -> Any:
    """The value if it is of that type or absent; otherwise None, with the cause noted."""
    if value is None or isinstance(value, wanted):
        return value
    hint = f'; quote it: "{str(value).lower()}"' if wanted is str and isinstance(value, bool | int | float) else ""
    causes.append(_invalid(field, value, f"must be {name}{hint}"))
    return None


def _invalid(field: str, value: Any, why: str) -> Cause:
    return Cause(field, f"Invalid value: {shown(value)}: {why}")


def shown(value: Any) -> str:
    """A value as messages quote it: short, one line."""
    if isinstance(value, dict | list):
        return "{...}" if isinstance(value, dict) else "[...]"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f'"{text}"' if isinstance(value, str) else text
