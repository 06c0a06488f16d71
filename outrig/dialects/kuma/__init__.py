"""Kong Mesh's and Kuma's kinds, as of their 2.x API: a file a kind.

`KINDS` are served; `REFUSED` are known and not served yet. OFFER nobody is served.
"""

from typing import Final

from outrig.dialects.kind import Kind
from outrig.dialects.kuma.dataplane import DATAPLANE
from outrig.dialects.kuma.mesh import MESH
from outrig.dialects.kuma.mesh_traffic_permission import MESH_TRAFFIC_PERMISSION
from outrig.dialects.kuma.offer import OFFER
from outrig.dialects.kuma.refused import REFUSED, RefusedKind
from outrig.dialects.kuma.secret import GLOBAL_SECRET, SECRET
from outrig.dialects.kuma.zone import ZONE
from outrig.dialects.kuma.zone_proxy import ZONE_EGRESS, ZONE_INGRESS

KINDS: Final[tuple[Kind, ...]] = (
    MESH,
    DATAPLANE,
    MESH_TRAFFIC_PERMISSION,
    GLOBAL_SECRET,
    SECRET,
    ZONE,
    ZONE_INGRESS,
    ZONE_EGRESS,
)

__all__ = [
    "DATAPLANE",
    "GLOBAL_SECRET",
    "KINDS",
    "MESH",
    "MESH_TRAFFIC_PERMISSION",
    "OFFER",
    "REFUSED",
    "SECRET",
    "ZONE",
    "ZONE_EGRESS",
    "ZONE_INGRESS",
    "RefusedKind",
]
