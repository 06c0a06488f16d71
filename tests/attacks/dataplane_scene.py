"""Data planes that join: a control plane with meshes and signing keys, and proxies, honest or not."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import httpx

from outrig.admission.meshes import Meshes
from outrig.admission.settings import AdmissionSettings
from outrig.ca.settings import CaSettings
from outrig.dialects.kuma.mesh import mesh_key
from outrig.resources import Key, Resource
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Store
from outrig.tokens.claims import DataplaneClaims, ZoneClaims
from outrig.tokens.keys import ZONE, dataplane_ring, new_signing_key, secret_body
from outrig.tokens.settings import TokenSettings
from outrig.tokens.tokens import Tokens
from tests.attacks.scene import Caller, Plane, RunningTask, open_plane

ADDRESS = "10.7.1.2"
HOUR = timedelta(hours=1)
BOTH = AdmissionSettings(
    xds_port=5679,
    rate=1000,
    burst=1000,
    task_rate=1000,
    task_burst=1000,
    dataplane_proofs=frozenset(("aws-iam", "dpToken")),
    zone_proofs=frozenset(("aws-iam", "zoneToken")),
)


def document(name: str = "kv-1", *, mesh: str = "default", address: str = ADDRESS, **changes: Any) -> dict[str, Any]:
    """A Dataplane of service `kv`."""
    inbound = {"port": 15050, "servicePort": 5050, "tags": {"kuma.io/service": "kv", "kuma.io/protocol": "http"}}
    networking = {"address": address, "inbound": [inbound], **changes.pop("networking", {})}
    return {"type": "Dataplane", "mesh": mesh, "name": name, "networking": networking, **changes}


def service(name: str) -> dict[str, Any]:
    """What makes `document` one of another service."""
    return {"inbound": [{"port": 15050, "tags": {"kuma.io/service": name}}]}


def zone_document(kind: str, name: str, address: str) -> dict[str, Any]:
    return {"type": kind, "name": name, "networking": {"address": address, "port": 10001}}


@dataclass
class DataplaneScene:
    """A control plane that has the meshes `default` and `other`."""

    plane: Plane
    tokens: Tokens
    meshes: Meshes
    callers: dict[str, Caller] = field(default_factory=dict)

    async def token(self, *, lifetime: timedelta = HOUR, mesh: str = "default", **claims: Any) -> str:
        async with self.plane.store.transaction() as tx:
            wanted = DataplaneClaims(mesh, **claims)
            return await self.tokens.issue_dataplane(tx, wanted, now=self.plane.clock(), lifetime=lifetime)

    async def zone_token(self, **claims: Any) -> str:
        async with self.plane.store.transaction() as tx:
            wanted = ZoneClaims(**claims)
            return await self.tokens.issue_zone(tx, wanted, now=self.plane.clock(), lifetime=HOUR)

    async def join(
        self,
        proof: str | RunningTask,
        written: Mapping[str, Any] | None = None,
        *,
        caller: Caller | None = None,
        join: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A join by token or as a task; `written`: the text it brings. `join`: other fields than the text's."""
        caller = caller or Caller()
        nonce = await self.plane.challenge()
        return await self.plane.post(self.request(proof, nonce, caller, written=written, join=join or {}))

    def request(
        self,
        proof: str | RunningTask,
        nonce: str,
        caller: Caller,
        *,
        written: Mapping[str, Any] | None,
        join: Mapping[str, str],
    ) -> dict[str, Any]:
        said = written or {}
        asked = {"mesh": str(said.get("mesh", "")), "name": str(said.get("name", "")), **join}
        if written is not None and "resource" not in asked:
            asked["resource"] = json.dumps(written)
        return {
            "version": 1,
            "namespace": "",
            "workloadGroup": "",
            "csr": base64.b64encode(caller.csr).decode(),
            "addresses": [],
            "agentVersion": "0.1.0",
            "envoyVersion": "1.40.0",
            "dataplane": asked,
            **self._proof(proof, nonce, caller),
        }

    def _proof(self, proof: str | RunningTask, nonce: str, caller: Caller) -> dict[str, Any]:
        if isinstance(proof, str):
            return {"token": {"token": proof, "nonce": nonce}}
        signed = caller.prove(proof.credentials, nonce, self.plane.authorities.audience, now=self.plane.clock())
        whole = caller.request(proof, signed)
        return {"aws": whole["aws"], "ecs": whole["ecs"]}

    async def dataplane(self, name: str = "kv-1", mesh: str = "default") -> Resource | None:
        return await self.plane.store.get(Key("kuma.io", "Dataplane", mesh, "", name))

    async def connect(self, name: str = "kv-1", *, connected: bool = True) -> None:
        """Its agent is connected, or is away."""
        await self.plane.connect(Key("kuma.io", "Dataplane", "default", "", name), connected=connected)

    async def write(self, key: Key, body: Mapping[str, Any]) -> None:
        async with self.plane.store.transaction() as tx:
            await tx.create(Resource(key, body=body))

    async def delete(self, key: Key) -> None:
        async with self.plane.store.transaction() as tx:
            await tx.delete(key)


@cache
def signing_pem(_name: str) -> str:
    """A signing key: making one takes long, and none is changed."""
    return new_signing_key()


async def open_scene(
    aws_url: str,
    *,
    store: Store | None = None,
    admission: AdmissionSettings = BOTH,
    tokens: TokenSettings | None = None,
    **settings: Any,
) -> DataplaneScene:
    signed = Tokens(tokens)
    store = store or MemoryStore()
    plane = await open_plane(aws_url, store=store, admission=admission, dataplane_tokens=signed, **settings)
    meshes = Meshes(CaSettings(), clock=plane.clock)
    async with store.transaction() as tx:
        for ring in (dataplane_ring("default"), dataplane_ring("other"), ZONE):
            await tx.create(Resource(ring.key_of(1), body=secret_body(signing_pem(ring.prefix))))
        for name in ("default", "other"):
            mesh = await tx.create(Resource(mesh_key(name)))
            await meshes(tx, name, mesh)
    return DataplaneScene(plane, signed, meshes)


async def open_replica(scene: DataplaneScene, store: Store, *, admission: AdmissionSettings = BOTH) -> DataplaneScene:
    """Another control plane of the same installation; `store`: its own on the same database."""
    plane = await open_plane("", store=store, admission=admission, dataplane_tokens=scene.tokens)
    return DataplaneScene(plane, scene.tokens, scene.meshes)


def at(scene: DataplaneScene, moment: datetime) -> None:
    """It is that time now."""
    scene.plane.now = moment
