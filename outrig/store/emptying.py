"""A Namespace that is going: how it says what is still in it.

In: the Namespace, what is left. Out: the Namespace with conditions as Kubernetes' namespace controller writes them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from outrig.resources import Key, Resource

CONTENT: Final = "NamespaceContentRemaining"
FINALIZERS: Final = "NamespaceFinalizersRemaining"


def is_namespace(key: Key) -> bool:
    """Whether it is the key of a Namespace."""
    return (key.group, key.kind) == ("", "Namespace")


def namespace_key(name: str) -> Key:
    """The key of the Namespace of that name."""
    return Key("", "Namespace", "", "", name)


def with_remaining(namespace: Resource, left: Sequence[Resource]) -> Resource:
    """The Namespace, which is marked as going, with what holds it up."""
    since = namespace.deleting.strftime("%Y-%m-%dT%H:%M:%SZ") if namespace.deleting else ""
    kinds = _counted(f"{one.key.kind}.{one.key.group}".rstrip(".") for one in left)
    finalizers = _counted(finalizer for one in left for finalizer in one.finalizers)
    conditions = [
        _condition(CONTENT, "SomeResourcesRemain", f"Some resources are remaining: {_listed(kinds, 'has')}", since),
        _condition(
            FINALIZERS,
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {_listed(finalizers, 'in')}",
            since,
        ),
    ]
    status = {**namespace.status, "conditions": conditions if left else []}
    return replace(namespace, status=status)


def _counted(words: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(words).items())


def _listed(counted: Iterable[tuple[str, int]], verb: str) -> str:
    return ", ".join(f"{word} {verb} {count} resource instances" for word, count in counted)


def _condition(type_: str, reason: str, message: str, since: str) -> dict[str, Any]:
    return {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since}
