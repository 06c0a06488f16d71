"""Which proxy of a mesh an agent is to be, read from its Dataplane as far as the agent must: kind, mesh and name.

In: the text, with its template filled in. Out: what a join says of it, the whole as JSON. The control plane judges the
rest, and its refusal names every field that is wrong. Refused here: text of another kind, or without a name.
"""

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from outrig.agent.configuration import Endpoint
from outrig.agent.document import Fields, parse
from outrig.agent.problems import InvalidConfiguration
from outrig.wire.join import DataplaneJoin

DATAPLANE: Final = "dataplane"
KINDS: Final = MappingProxyType({DATAPLANE: "Dataplane", "ingress": "ZoneIngress", "egress": "ZoneEgress"})
"""Types of proxies, and the kind that describes each."""
DEFAULT_MESH: Final = "default"


@dataclass(frozen=True, slots=True)
class ProxySeat:
    """Where to join, and as which proxy."""

    endpoint: Endpoint
    join: DataplaneJoin

    @property
    def routed(self) -> bool:
        """Whether it takes part in traffic: zone proxies do not yet."""
        return self.join.proxy_type == DATAPLANE

    def __str__(self) -> str:
        return f"{self.join.mesh}/{self.join.name}" if self.join.mesh else self.join.name


def read_dataplane(source: str, text: str, proxy_type: str) -> DataplaneJoin:
    """The proxy that a text describes. Raises InvalidConfiguration."""
    document = parse(source, text)
    fields = Fields(source, "", document)
    if (kind := fields.text("type")) != KINDS[proxy_type]:
        hint = f"--proxy-type {other}" if (other := _type_of(kind)) else ""
        raise fields.wrong("type", f"expected {KINDS[proxy_type]} for a proxy of type {proxy_type}, got {kind!r}", hint)
    mesh = fields.text("mesh", DEFAULT_MESH) if proxy_type == DATAPLANE else ""
    name = fields.text("name")
    try:
        whole = json.dumps(document, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidConfiguration(source, f"has a value that is none in JSON: {error}", "put it in quotes") from None
    return DataplaneJoin(mesh=mesh, name=name, proxy_type=proxy_type, resource=whole)


def _type_of(kind: str) -> str:
    return next((name for name, known in KINDS.items() if known == kind), "")
