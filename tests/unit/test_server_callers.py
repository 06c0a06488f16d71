"""A bearer token that lets nobody in: what its bearer is told, and what not."""

from pathlib import Path

import httpx

from outrig.api.access.gate import Gate
from outrig.api.kube.app import kube_app
from outrig.server.callers import authenticator, user_verifier
from outrig.server.files import DataDir
from outrig.server.kinds import KINDS
from outrig.server.settings import Settings
from outrig.store.memory import MemoryStore
from outrig.tokens.tokens import Tokens

WORDS = ("neither the administrator's", "DATA_DIR/admin-token", "nor a user token", "`outrig token user`")


async def test_a_token_that_is_none_is_told_which_there_are_and_all_such_are_told_the_same(tmp_path: Path) -> None:
    data, store = DataDir(tmp_path), MemoryStore()
    app = kube_app(store, KINDS, Gate(authenticator(Settings(), data, user_verifier(store, Tokens()))))
    own = data.read_admin_token()
    close = (f"{own[:-1]}{'A' if own[-1] != 'A' else 'B'}", own[1:], f"{own}{own[0]}", own.swapcase())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

        async def answer(token: str) -> httpx.Response:
            return await client.get("/api/v1/namespaces", headers={"authorization": f"Bearer {token}"})

        assert (await answer(own)).status_code == 200
        refused = [await answer(wrong) for wrong in (*close, "", "a", "a.b", "a.b.c.d")]
        assert {one.status_code for one in refused} == {401}
        (told,) = {one.json()["message"] for one in refused}
        assert all(word in told for word in WORDS)
        assert "the user token is no good: OUT150" in (await answer("YQ.YQ.YQ")).json()["message"]
