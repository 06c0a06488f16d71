"""Who may call whom: each dialect calls each, under every kind of permission, the mesh's mutual TLS on and off.

The destination's dialect governs. `rows` are all cases; what becomes of each call is in `golden/truth-table.txt`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from outrig.resources import Resource
from tests.mesh_making import document, make, mesh

CALLERS = {"web": "group", "demo": "dataplane"}
DESTINATIONS = {"app": "group", "kv": "dataplane"}
PERMISSIONS = ("none", "allows the caller", "allows another", "denies the caller", "other dialect denies all")
IDENTITIES = {"web": "cluster.local/ns/shop/sa/web", "demo": "default/demo"}
SERVICES = {"web": "web_shop_svc_80", "demo": "demo"}


@dataclass(frozen=True)
class Row:
    """A call, and what is said of it. `mode`: that of the mesh's mutual TLS; empty: off."""

    caller: str
    destination: str
    mode: str
    permission: str

    @property
    def resources(self) -> list[Resource]:
        """What says so."""
        return [mesh(mode=self.mode), *_PERMISSIONS[DESTINATIONS[self.destination]](self)]

    def __str__(self) -> str:
        sides = (CALLERS[self.caller], DESTINATIONS[self.destination])
        return f"{sides[0]:<10} calls {sides[1]:<10} mTLS {self.mode or 'off':<10} {self.permission:<25}"


def rows() -> Iterator[Row]:
    """All of them."""
    for mode, permission, destination, caller in product(("", "STRICT"), PERMISSIONS, DESTINATIONS, CALLERS):
        yield Row(caller, destination, mode, permission)


def permission(name: str, action: str, *, of: dict[str, Any], to: dict[str, Any] | None = None) -> Resource:
    """A MeshTrafficPermission: what becomes of calls of some callers."""
    spec = {"from": [{"targetRef": of, "default": {"action": action}}], **({"targetRef": to} if to else {})}
    return document({"type": "MeshTrafficPermission", "mesh": "default", "name": name, "spec": spec})


def policy(name: str, action: str, *rules: dict[str, Any], space: str = "shop", app: str = "app") -> Resource:
    """An AuthorizationPolicy."""
    chosen = {"selector": {"matchLabels": {"app": app}}} if app else {}
    return make("AuthorizationPolicy", name, space, {**chosen, "action": action, "rules": list(rules)})


def source(**fields: list[str]) -> dict[str, Any]:
    """The `from` of a rule."""
    return {"from": [{"source": fields}]}


def _for_group(row: Row) -> list[Resource]:
    match row.permission:
        case "allows the caller":
            return [policy("one", "ALLOW", source(principals=[IDENTITIES[row.caller]]))]
        case "allows another":
            return [policy("one", "ALLOW", source(principals=["default/another"]))]
        case "denies the caller":
            return [policy("one", "DENY", source(principals=[IDENTITIES[row.caller]]))]
        case "other dialect denies all":
            return [permission("one", "Deny", of={"kind": "Mesh"})]
    return []


def _for_dataplane(row: Row) -> list[Resource]:
    caller = {"kind": "MeshService", "name": SERVICES[row.caller]}
    match row.permission:
        case "allows the caller":
            return [permission("one", "Allow", of=caller)]
        case "allows another":
            return [permission("one", "Allow", of={"kind": "MeshService", "name": "another"})]
        case "denies the caller":
            return [permission("all", "Allow", of={"kind": "Mesh"}), permission("a-one", "Deny", of=caller)]
        case "other dialect denies all":
            everywhere = policy("one", "DENY", {}, space="istio-system", app="")
            return [everywhere, permission("all", "Allow", of={"kind": "Mesh"})]
    return []


_PERMISSIONS: dict[str, Callable[[Row], list[Resource]]] = {"group": _for_group, "dataplane": _for_dataplane}
