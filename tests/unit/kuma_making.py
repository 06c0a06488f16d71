"""Kuma's API over a store in memory, called in-process by a client that sends and reads as kumactl does."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette

from outrig.api.access.gate import Gate
from outrig.api.callers import MESH_ADMINS, Authenticator
from outrig.api.kube.app import kube_app
from outrig.api.kuma.about import Installation
from outrig.api.kuma.app import Parts, kuma_routes
from outrig.api.kuma.writes import KeepMesh
from outrig.api.operator.rehearsal import rehearsal_route
from outrig.dialects import kuma
from outrig.resources import Key, Resource
from outrig.server.kinds import KINDS
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query, Transaction
from outrig.tokens.claims import UserClaims
from outrig.tokens.tokens import Tokens, check_secret

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
USERS = {
    "admin-token": UserClaims("mesh-system:admin", (MESH_ADMINS,)),
    "reader-token": UserClaims("alice", ("developers",)),
}
MTLS = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}


@dataclass
class Kept:
    """Remembers which meshes the API had kept. `keep`: does so really, which takes a tenth of a second each."""

    meshes: list[tuple[str, Resource | None]] = field(default_factory=list)
    keep: KeepMesh | None = None

    async def __call__(self, tx: Transaction, name: str, mesh: Resource | None) -> None:
        self.meshes.append((name, mesh))
        if self.keep:
            await self.keep(tx, name, mesh)

    async def check(self, written: Resource) -> None:
        await check_secret(written)


@dataclass
class Live:
    """What proxies were given."""

    configs: dict[Key, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def config(self, workload: Key, **_: bool) -> Mapping[str, Mapping[str, Any]] | None:
        return self.configs.get(workload)


class Kuma(httpx.AsyncClient):
    """A client of the API, with what is behind it. `bearer` None: without a credential."""

    def __init__(self, app: Starlette, store: MemoryStore, kept: Kept, live: Live) -> None:
        super().__init__(transport=httpx.ASGITransport(app), base_url="http://mesh.test", timeout=30)
        self.headers["authorization"] = "Bearer admin-token"
        self.app, self.store, self.kept, self.live = app, store, kept, live

    async def written(self, path: str, document: dict[str, Any], code: int = 201) -> dict[str, Any]:
        """A resource that must be accepted; gives the answer."""
        answer = await self.put(path, json=document)
        assert answer.status_code == code, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def read(self, path: str, **query: Any) -> dict[str, Any]:
        """A document that must be there."""
        answer = await self.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def refused(self, method: str, path: str, code: int, **more: Any) -> dict[str, Any]:
        """A request that must be refused with a problem document and leave the store as it was."""
        before = await self.store.list(Query())
        answer = await self.request(method, path, **more)
        problem: dict[str, Any] = answer.json()
        assert (answer.status_code, problem["status"], problem["type"]) == (code, code, "/std-errors"), answer.text
        assert problem["details"] == problem["detail"]
        mirrored = [(one["field"], one["reason"]) for one in problem.get("invalid_parameters", [])]
        assert mirrored == [(one["field"], one["message"]) for one in problem.get("causes", [])]
        assert await self.store.list(Query()) == before
        return problem

    async def wrong_fields(self, path: str, document: Any) -> dict[str, str]:
        """What a PUT is refused for, by field."""
        problem = await self.refused("PUT", path, 400, json=document)
        return {one["field"]: one["reason"] for one in problem["invalid_parameters"]}


@asynccontextmanager
async def serving(store: MemoryStore | None = None) -> AsyncIterator[Kuma]:
    """The API with the mesh `default` and the namespace `default`; kubectl's paths are served beside."""
    store, kept, live = store or MemoryStore(), Kept(), Live()
    async with store.transaction() as tx:
        await tx.create(Resource(Key("", "Namespace", "", "", "default"), body={"spec": {}}))
        await tx.create(Resource(Key("kuma.io", "Mesh", "default", "", "default")))
    tokens = Tokens()

    async def known(token: str) -> UserClaims:
        return USERS[token] if token in USERS else await tokens.verify_user(store, token, now=NOW)

    gate = Gate(Authenticator(now=lambda: NOW, verify_user=known))
    installation = Installation("host", "host-1", "cluster-1", lambda: {"mode": "zone"})
    parts = Parts(store, kuma.KINDS, gate, kept, tokens, live, installation, now=lambda: NOW)
    app = Starlette(routes=[rehearsal_route(parts, KINDS), *kuma_routes(parts), *kube_app(store, KINDS, gate).routes])
    async with Kuma(app, store, kept, live) as client:
        yield client


def dataplane(name: str = "kv-1", *, mesh: str = "default", **networking: Any) -> dict[str, Any]:
    """A Dataplane of service `kv`, or of what is given."""
    inbound = [{"port": 5050, "tags": {"kuma.io/service": "kv", "kuma.io/protocol": "http"}}]
    return {
        "type": "Dataplane",
        "mesh": mesh,
        "name": name,
        "networking": {"address": "10.0.0.1", "inbound": inbound, **networking},
    }


def mesh(name: str, **fields: Any) -> dict[str, Any]:
    """A Mesh."""
    return {"type": "Mesh", "name": name, **fields}


def permission(name: str, **spec: Any) -> dict[str, Any]:
    """A MeshTrafficPermission of mesh `default`."""
    return {"type": "MeshTrafficPermission", "mesh": "default", "name": name, "spec": spec}


def claims_of(token: str) -> dict[str, Any]:
    """What a token says."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
