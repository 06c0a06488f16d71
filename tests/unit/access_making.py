"""The API of a control plane with roles, called in-process by people who each have a token; and its audit log."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette

from outrig.api.access.gate import WATCHED, Gate
from outrig.api.access.traffic import Limits, Traffic
from outrig.api.callers import ADMINS, VIEWERS, Authenticator, signed_in
from outrig.api.kube.app import kube_app
from outrig.api.kuma.app import Parts, kuma_routes
from outrig.ca.authorities import open_authorities
from outrig.control.following import follow
from outrig.dialects import kuma
from outrig.kit.tasks import running
from outrig.resources import Key, Resource
from outrig.server.access import desk_of
from outrig.server.callers import user_verifier
from outrig.server.kinds import KINDS
from outrig.store.memory import MemoryStore
from outrig.tokens.tokens import Tokens
from tests.unit.kuma_making import Kept, Live

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES, BINDINGS = f"{RBAC}/namespaces/shop/roles", f"{RBAC}/namespaces/shop/rolebindings"
CLUSTER_ROLES, CLUSTER_BINDINGS = f"{RBAC}/clusterroles", f"{RBAC}/clusterrolebindings"
SERVICES = "/api/v1/namespaces/shop/services"
CERTIFICATES = "/outrig/v1/certificates"
PEOPLE = {"admin": (ADMINS,), "eve": (VIEWERS,), "alice": ("dev",), "bob": ("dev",)}
API_VERSION = "rbac.authorization.k8s.io/v1"


@dataclass
class Counted(MemoryStore):
    """A store that counts what is read outside of transactions."""

    reads: int = field(default=0)

    def __post_init__(self) -> None:
        super().__init__()

    async def get(self, key: Key) -> Resource | None:
        self.reads += 1
        return await super().get(key)


@dataclass(frozen=True, slots=True)
class Scene:
    """The API, and what is behind it."""

    app: Starlette
    store: Counted
    gate: Gate

    def of(self, name: str = "admin", **headers: str) -> "Person":
        """Somebody's client."""
        return Person(self.app, name, headers)


class Person(httpx.AsyncClient):
    """Somebody who uses the API. An empty name: without a credential."""

    def __init__(self, app: Starlette, name: str, headers: dict[str, str]) -> None:
        super().__init__(transport=httpx.ASGITransport(app), base_url="http://mesh.test", timeout=30, headers=headers)
        if name:
            self.headers["authorization"] = f"Bearer {name}"

    async def told(self, method: str, path: str, code: int, **more: Any) -> dict[str, Any]:
        """What a request is answered, which must have that code."""
        answer = await self.request(method, path, **more)
        assert answer.status_code == code, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def makes(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create something, which must be allowed."""
        return await self.told("POST", path, 201, json=document)

    async def may(self, verb: str, resource: str, **more: str) -> bool:
        """What `kubectl auth can-i` prints."""
        group, _, plural = resource.rpartition("/")
        asked = {"verb": verb, "group": group, "resource": plural, **more}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        found = await self.makes(path, {**review, "spec": {"resourceAttributes": asked}})
        allowed: bool = found["status"]["allowed"]
        return allowed


@asynccontextmanager
async def scene(limits: Limits | None = None) -> AsyncIterator[Scene]:
    """An API with the namespace `shop` and the mesh `default`."""
    store = Counted()
    async with store.transaction() as tx:
        for name in ("default", "shop"):
            await tx.create(Resource(Key("", "Namespace", "", "", name), body={"spec": {}}))
        await tx.create(Resource(Key("kuma.io", "Mesh", "default", "", "default")))
    tokens = {hashlib.sha256(name.encode()).hexdigest(): signed_in(name, of, by="token") for name, of in PEOPLE.items()}
    verify_user = user_verifier(store, Tokens())
    known = Authenticator(now=lambda: datetime.now(UTC), tokens=tokens, verify_user=verify_user)
    gate = Gate(known, Traffic(limits or Limits()))
    desk = desk_of(store, gate, await open_authorities(store))
    of_kuma = kuma_routes(Parts(store, kuma.KINDS, gate, Kept(), Tokens(), Live()))
    app = Starlette(routes=[*desk.routes(), *of_kuma, *kube_app(store, KINDS, gate).routes])
    async with running(gate.follow(follow(store, WATCHED))):
        await gate.ready()
        yield Scene(app, store, gate)


def rule(
    verbs: Sequence[str], resources: Sequence[str] = ("services",), groups: Sequence[str] = ("",), **more: Any
) -> dict[str, Any]:
    """A rule as people write it."""
    return {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources), **more}


def role(*rules: dict[str, Any], name: str = "r", kind: str = "Role") -> dict[str, Any]:
    """A role with these rules."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "rules": list(rules)}


def binding(
    *users: str, to: str = "r", kind: str = "RoleBinding", role_kind: str = "Role", name: str = "b"
) -> dict[str, Any]:
    """A binding of these users to a role."""
    subjects = [{"kind": "User", "name": user} for user in users]
    role = {"kind": role_kind, "name": to}
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "subjects": subjects,
        "roleRef": role,
    }


def service(name: str = "cart") -> dict[str, Any]:
    """A Service."""
    spec = {"ports": [{"port": 80, "name": "http"}], "selector": {"app": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


async def settled() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


def lines(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]
