"""The finalizers of a document, checked.

In: `metadata.finalizers` as decoded. Out: their names; what is wrong with them as causes, or what is doubtful.
Kubernetes' own kinds take no name without a domain but the standard ones; other kinds take it with a warning.
Source: ValidateFinalizers of k8s.io/apimachinery api/validation, validateKubeFinalizerName of k8s.io/kubernetes
pkg/apis/core/validation and of k8s.io/apiextensions-apiserver pkg/registry/customresource.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from outrig.api.fields import invalid_value, key_problem, typed
from outrig.api.refusals import Cause
from outrig.store.cascade import FOREGROUND, ORPHAN

FIELD: Final = "metadata.finalizers"
STANDARD: Final = frozenset({"kubernetes", ORPHAN, FOREGROUND})


def finalizers(value: Any, causes: list[Cause], *, standard: bool) -> tuple[str, ...]:
    """The finalizers that a value spells; what is wrong with it is added to the causes.

    `standard`: names without a domain must be standard ones.
    """
    items = typed(value, list, FIELD, "a list", causes) or []
    found = tuple(_names(items, causes))
    causes += [invalid_value(FIELD, name, why) for name in found if (why := key_problem(name))]
    if {ORPHAN, FOREGROUND} <= set(found):
        causes.append(invalid_value(FIELD, items, f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"))
    if standard:
        why = "name is neither a standard finalizer name nor is it fully qualified"
        bare = set(_without_domain(found))
        causes += [invalid_value(f"{FIELD}[{place}]", name, why) for place, name in enumerate(found) if name in bare]
    return found


def doubtful(before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """What its author should hear of the names that are new, in Kubernetes' words."""
    why = "prefer a domain-qualified finalizer name including a path (/)"
    for name in sorted(set(_without_domain(now)) - set(before)):
        yield f'{FIELD}: "{name}": {why} to avoid accidental conflicts with other finalizer writers'


def _without_domain(names: Sequence[str]) -> Iterator[str]:
    return (name for name in names if "/" not in name and name not in STANDARD)


def _names(items: Sequence[Any], causes: list[Cause]) -> Iterator[str]:
    for place, item in enumerate(items):
        if (name := typed("" if item is None else item, str, f"{FIELD}[{place}]", "a text", causes)) is not None:
            yield name
