"""Kuma's API over TLS, on a SQLite store, with real certificates and tokens: from the first token on."""

import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from outrig.admission.meshes import Meshes
from outrig.api.access.gate import Gate
from outrig.api.callers import ADMINS, VIEWERS, Authenticator
from outrig.api.kube.app import kube_app
from outrig.api.kuma.app import Parts, kuma_routes
from outrig.api.operator.rehearsal import rehearsal_route
from outrig.api.serving import Tls, serve
from outrig.ca.authorities import Authorities, open_authorities
from outrig.ca.settings import CaSettings
from outrig.dialects import kuma
from outrig.resources import Key, Resource
from outrig.server.callers import user_verifier
from outrig.server.kinds import KINDS
from outrig.store.protocol import Store
from outrig.store.sqlite import open_sqlite
from outrig.tokens.keys import USER
from outrig.tokens.tokens import Tokens, ensure_admin_token, ensure_signing_key
from tests.e2e.kubectl.running import written
from tests.unit.kuma_making import MTLS, Live, claims_of, dataplane, mesh

pytestmark = pytest.mark.slow

PLANE = "/meshes/default/dataplanes/kv-1"


class Server:
    """A running API; `client` gives one that calls it, with a client certificate or a token or neither."""

    def __init__(self, url: str, authorities: Authorities, home: Path) -> None:
        self.url, self._authorities, self._home = url, authorities, home

    def client(self, *, group: str = "", token: str = "") -> httpx.AsyncClient:
        roots = self._home / "roots.pem"
        roots.write_text(self._authorities.control_roots)
        context = ssl.create_default_context(cafile=str(roots))
        if group:
            pair = self._authorities.issue_client("somebody", group=group, lifetime=timedelta(hours=1))
            context.load_cert_chain(*written(self._home, group.replace(":", "-"), pair))
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.url, verify=context, headers=headers, timeout=30)


async def prepare(store: Store, tokens: Tokens) -> None:
    async with store.transaction() as tx:
        await tx.create(Resource(Key("", "Namespace", "", "", "default"), body={"spec": {}}))
        await ensure_signing_key(tx, USER)
        await ensure_admin_token(tx, tokens, now=datetime.now(UTC))


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[Server]:
    async with open_sqlite(home / "outrig.db") as store:
        tokens, live = Tokens(), Live()
        await prepare(store, tokens)
        authorities = await open_authorities(store)
        chain, key = written(home, "server", authorities.issue_server(["127.0.0.1"]))
        (home / "clients.pem").write_text(authorities.clients.pem)
        gate = Gate(Authenticator(now=lambda: datetime.now(UTC), verify_user=user_verifier(store, tokens)))
        parts = Parts(store, kuma.KINDS, gate, Meshes(CaSettings()), tokens, live, live)
        app = Starlette(
            routes=[rehearsal_route(parts, KINDS), *kuma_routes(parts), *kube_app(store, KINDS, gate).routes]
        )
        async with serve(app, host="127.0.0.1", port=0, tls=Tls(chain, key, home / "clients.pem")) as serving:
            yield Server(f"https://127.0.0.1:{serving.port}", authorities, home)


async def test_an_installation_from_its_first_token_to_a_revoked_one(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        async with server.client() as nobody, server.client(group=VIEWERS) as viewer:
            assert (await nobody.get("/meshes")).status_code == 403
            assert (await nobody.get("/global-secrets/admin-user-token")).status_code == 403
            assert (await viewer.get("/meshes")).json()["items"] == []
            assert (await viewer.get("/global-secrets/admin-user-token")).status_code == 403
            assert (await viewer.put("/meshes/default", json=mesh("default"))).status_code == 403
        async with server.client(group=ADMINS) as admin:
            secret = (await admin.get("/global-secrets/admin-user-token")).json()["data"]
        async with server.client(token=base64.b64decode(secret).decode()) as admin:
            assert "mesh-system:admin" in (await admin.get("/who-am-i")).json()["groups"]
            assert await rehearsed(admin) == [201, 201]
            assert (await admin.get("/meshes/default")).status_code == 404
            assert (await admin.put("/meshes/default", json=mesh("default", mtls=MTLS))).status_code == 201
            assert (await admin.put(PLANE, json=dataplane())).status_code == 201
            assert (await admin.get("/meshes/default/dataplanes/_overview")).json()["total"] == 1
            asked = {"name": "alice", "validFor": "1h"}
            alices = (await admin.post("/tokens/user", json=asked)).text
            async with server.client(token=alices) as alice:
                assert (await alice.get(PLANE)).status_code == 200
                assert (await alice.delete(PLANE)).status_code == 403
                await revoke(admin, alices)
                assert (await alice.get(PLANE)).status_code == 401
            assert (await admin.delete(PLANE)).status_code == 200


async def rehearsed(admin: httpx.AsyncClient) -> list[int]:
    wanted = {"/meshes/default": mesh("default", mtls=MTLS), PLANE: dataplane()}
    writes = [{"path": path, "collection": "", "document": json.dumps(one)} for path, one in wanted.items()]
    outcomes = (await admin.post("/outrig/v1/dry-run", json={"writes": writes})).json()["outcomes"]
    return [outcome["status"] for outcome in outcomes]


async def revoke(admin: httpx.AsyncClient, token: str) -> None:
    data = base64.b64encode(claims_of(token)["jti"].encode()).decode()
    document = {"type": "GlobalSecret", "name": "user-token-revocations", "data": data}
    assert (await admin.put("/global-secrets/user-token-revocations", json=document)).status_code == 201
