"""Which proxy a caller asks to be, and the text it brings: checked for form, and as its kind sees it.

In: the `dataplane` of a join request. Out: `Asked`. Refused, with all that is wrong: text that is no such resource,
unknown fields, what the kind refuses, names other than those the request gives.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from outrig.admission.form import check_agent, decoded_csr
from outrig.admission.refusals import DataplaneRefused, Malformed
from outrig.dialects import syntax
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.dataplane import DATAPLANE as DATAPLANE_KIND
from outrig.dialects.kuma.document import InvalidDocument, read
from outrig.dialects.kuma.names import is_mesh_name
from outrig.dialects.kuma.tags import LOCAL_ZONE, ZONE, namespace_of
from outrig.dialects.kuma.zone_proxy import ZONE_EGRESS, ZONE_INGRESS
from outrig.errors import Severity
from outrig.resources import Key, Resource
from outrig.wire.codec import WireError, parse
from outrig.wire.join import DataplaneJoin, JoinRequest

DATAPLANE: Final = "dataplane"
KINDS: Final = MappingProxyType({DATAPLANE: DATAPLANE_KIND, "ingress": ZONE_INGRESS, "egress": ZONE_EGRESS})
_MOST: Final = 2000  # characters of all that is wrong with a text


@dataclass(frozen=True, slots=True)
class Asked:
    """Which proxy a caller wants to be. `mesh` is empty for zone proxies. `document` None: the one that is stored.

    `csr`: DER.
    """

    proxy_type: str
    mesh: str
    name: str
    csr: bytes
    document: Resource | None

    @property
    def kind(self) -> Kind:
        """The kind of its resource."""
        return KINDS[self.proxy_type]

    @property
    def key(self) -> Key:
        """Of its resource."""
        return Key(self.kind.group, self.kind.name, self.mesh, "", self.name)

    @property
    def principal(self) -> str:
        """Its name among callers, where its proof has no better one."""
        return f"{self.proxy_type}/{self.mesh}/{self.name}"

    @property
    def namespace(self) -> str:
        """Where kubectl sees what is said of it."""
        return namespace_of(self.mesh)


def read_asked(request: JoinRequest, join: DataplaneJoin) -> Asked:
    """What the request asks for. Raises Malformed, DataplaneRefused."""
    check_agent(request)
    if request.namespace or request.workload_group or request.labels:
        raise Malformed("dataplane", "comes with a namespace, a workloadGroup or labels", "those are of the other way")
    if join.proxy_type not in KINDS:
        raise Malformed("dataplane.proxyType", "is no type of proxy", f"one of {', '.join(KINDS)}")
    if not syntax.is_dns_subdomain(join.name):
        raise Malformed("dataplane.name", "is no name of a proxy", "lower-case letters, digits, '-' and '.'")
    if not (is_mesh_name(join.mesh) if join.proxy_type == DATAPLANE else join.mesh == ""):
        raise Malformed("dataplane.mesh", "is no name of a mesh; zone proxies are in none")
    bare = Asked(join.proxy_type, join.mesh, join.name, decoded_csr(request.csr), None)
    if not join.resource and join.proxy_type != DATAPLANE:
        raise Malformed("dataplane.resource", f"is needed: a {bare.kind.name} cannot be made beforehand")
    return replace(bare, document=_document(join.resource, bare) if join.resource else None)


def _document(text: str, asked: Asked) -> Resource:
    try:
        found = read(parse(text))
    except (WireError, InvalidDocument) as error:
        raise DataplaneRefused("dataplane.resource", str(error)[:_MOST]) from None
    if found.key != asked.key:
        raise DataplaneRefused("dataplane.resource", f"is {found.key}, and {asked.key} was to join")
    computed = _computed(asked)
    for key, value in computed.items():
        if found.labels.get(key, value) != value:
            raise DataplaneRefused(f"labels[{key}]", f"is the control plane's to set, to {value!r}")
    return replace(found, labels={key: value for key, value in found.labels.items() if key not in computed})


def check_text(asked: Asked) -> None:
    """The text is one that its kind takes. It costs more than other checks, so it comes after the proof.

    Raises DataplaneRefused with all that is wrong.
    """
    problems = list(_errors(asked.kind, asked.document)) if asked.document else []
    if problems:
        raise DataplaneRefused(str(asked.key), "; ".join(problems)[:_MOST])


def _computed(asked: Asked) -> dict[str, str]:
    """Labels that the control plane computes for each reader: they may be there if they are right."""
    return {"kuma.io/mesh": asked.mesh, ZONE: LOCAL_ZONE, "kuma.io/origin": "zone", "kuma.io/env": "universal"}


def _errors(kind: Kind, resource: Resource) -> Iterator[str]:
    for one in kind.findings(resource):
        if one.severity is Severity.ERROR:
            yield f"{one.path}: {one.problem}{f' ({one.hint})' if one.hint else ''}"
