"""Who sees a service, and which of its endpoints callers use first: what Service and ServiceEntry say alike.

Sources: Istio's `exportTo`, Kubernetes' `trafficDistribution` and Istio's annotation of that name.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from outrig.dialects.findings import NOT_HONOURED, Place
from outrig.errors import Finding, did_you_mean
from outrig.resources import Resource

EXPORT_ANNOTATION: Final = "networking.istio.io/exportTo"
DISTRIBUTION_ANNOTATION: Final = "networking.istio.io/traffic-distribution"
NEAR_FIRST: Final = frozenset({"preferclose", "prefersamezone"})


def exported_to(words: Iterable[str], own_namespace: str) -> tuple[str, ...]:
    """The namespaces that see a service: `.` is its own, `*` all, `~` none. Nothing said: all."""
    namespaces = [own_namespace if word == "." else word for word in words]
    return tuple(word for word in namespaces if word != "~") if namespaces else ("*",)


def export_words(resource: Resource) -> tuple[str, ...]:
    """What the annotation of a Service says, word by word."""
    words = (word.strip() for word in resource.annotations.get(EXPORT_ANNOTATION, "").split(","))
    return tuple(word for word in words if word)


def asked_distribution(resource: Resource) -> str:
    """What the annotation asks for; empty if nothing."""
    return resource.annotations.get(DISTRIBUTION_ANNOTATION, "")


def is_near_first(distribution: str) -> bool:
    """Whether callers are to use endpoints of their own zone first. Istio reads the word in any case."""
    return distribution.lower() in NEAR_FIRST


def distribution_findings(resource: Resource) -> Iterator[Finding]:
    """What is doubtful about the annotation."""
    asked = asked_distribution(resource)
    if asked and not is_near_first(asked):
        place = Place(resource.key, "metadata.annotations")[DISTRIBUTION_ANNOTATION]
        hint = did_you_mean(asked, ("PreferClose", "PreferSameZone"))
        yield place.warning(NOT_HONOURED, f"{asked!r} has no effect", hint)
