"""Tags of inbounds and outbounds, and the names that follow from them: hosts, namespaces, identities.

Source: Kuma 2.x, where a service is what carries the tag `kuma.io/service`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from outrig.dialects.findings import INVALID, MISSING, Place
from outrig.errors import Finding
from outrig.model import Labels, WorkloadId, labels_of
from outrig.resources import Key

SERVICE: Final = "kuma.io/service"
PROTOCOL: Final = "kuma.io/protocol"
ZONE: Final = "kuma.io/zone"
LOCAL_ZONE: Final = "default"  # there is one control plane, so there is one zone
DOMAIN: Final = "mesh"
LONGEST: Final = 253  # of what stands in an identity of the certificate
_KEY: Final = re.compile(r"[a-zA-Z0-9.\-_:/]+")
_VALUE: Final = re.compile(r"[a-zA-Z0-9.\-_:]+")
_ELSEWHERE: Final = re.compile(r"([a-z0-9][-a-z0-9.]*)_([a-z0-9][-a-z0-9]*)_svc_([1-9][0-9]{0,4})")


def namespace_of(mesh: str) -> str:
    """The namespace in which the other dialect sees the Dataplanes of a mesh."""
    return f"kuma-{mesh}"


def host_of(service: str) -> str:
    """The host name of a service of Dataplanes."""
    return f"{service}.{DOMAIN}"


def named_elsewhere(service: str) -> tuple[str, str, int] | None:
    """Name, namespace and port of a service that is written as `<name>_<namespace>_svc_<port>`."""
    found = _ELSEWHERE.fullmatch(service)
    return (found[1], found[2], int(found[3])) if found else None


def tagged(tags: Mapping[str, str]) -> Labels:
    """The tags of an inbound, with the one that the control plane sets."""
    return labels_of({**tags, ZONE: LOCAL_ZONE})


def identities_of(mesh: str, inbounds: Iterable[Labels]) -> tuple[str, ...]:
    """The URIs in a Dataplane's certificate: one a service that it is, one a tag of any inbound; each once."""
    tags = sorted({tag for inbound in inbounds for tag in inbound})
    services = (f"spiffe://{mesh}/{value}" for key, value in tags if key == SERVICE)
    return (*services, *(f"kuma://{key}/{value}" for key, value in tags))


def identity_of(mesh: str, service: str) -> str:
    """The URI by which callers know a service."""
    return f"spiffe://{mesh}/{service}"


def proxy_id(dataplane: Key) -> WorkloadId:
    """The id of a Dataplane's proxy, whose two slashes no other workload's has."""
    return WorkloadId(f"dataplane/{dataplane.mesh}/{dataplane.name}")


def is_value(text: str) -> bool:
    """Whether a tag may have that value, as a service its name."""
    return len(text) <= LONGEST and _VALUE.fullmatch(text) is not None


def tag_findings(place: Place, tags: Mapping[str, str], *, any_value: bool = False) -> Iterator[Finding]:
    """What is wrong with the spelling of tags. `any_value`: `*` is a value too."""
    for key, value in tags.items():
        here = place[f'"{key}"']
        if not _KEY.fullmatch(key):
            rule = "letters, digits and . - _ : /"
            yield here.error(INVALID, f"tag name must be non-empty and consist of {rule}")
        if not (_VALUE.fullmatch(value) or (any_value and value == "*")):
            rule = "letters, digits and . - _ :"
            yield here.error(INVALID, f"tag value must be non-empty and consist of {rule}")
        for what, text in (("name", key), ("value", value)):
            if len(text) > LONGEST:
                problem = f"tag {what} must have at most {LONGEST} characters, and has {len(text)}"
                yield here.error(INVALID, problem, "it is part of an identity in the certificate")


def service_findings(place: Place, tags: Mapping[str, str], problem: str) -> Iterator[Finding]:
    """Says that the tag is missing by which everything is named."""
    if SERVICE not in tags:
        yield place[f'"{SERVICE}"'].error(MISSING, problem, f"write {SERVICE}: <name of the service>")
