"""Joining by token: a control plane that trusts a real HTTPS issuer, and callers with tokens, honest or not."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from outrig.attest.issuers import Issuer
from outrig.resources import Resource
from tests.attacks.scene import POLICY, Caller, Plane
from tests.fixtures.oidc.issuer import IssuerServer, sign

NOW = 1_800_000_000  # a time, for tests that set the clock


@dataclass
class Tokens:
    """A control plane that trusts an issuer."""

    plane: Plane
    issuer: IssuerServer

    @property
    def audience(self) -> str:
        return self.plane.authorities.audience

    async def join(self, token: str, caller: Caller | None = None, **changes: Any) -> httpx.Response:
        return await self.plane.post(await self.request(token, caller, **changes))

    async def request(self, token: str, caller: Caller | None = None, **changes: Any) -> dict[str, Any]:
        nonce = await self.plane.challenge()
        return {
            "version": 1,
            "namespace": "bookinfo",
            "workloadGroup": "ratings",
            "csr": base64.b64encode((caller or Caller()).csr).decode(),
            "jwt": {"token": token, "nonce": nonce},
            "addresses": [{"ip": "192.168.7.9", "type": "VPC"}],
            "agentVersion": "0.1.0",
            "envoyVersion": "1.40.0",
            **changes,
        }

    async def refused(self, token: str, code: str = "OUT122", *, says: str = "") -> None:
        """The token is refused with that code, for that reason, and nothing has come of it."""
        answer = await self.join(token)
        assert (answer.status_code, answer.json()["code"]) == (400 if code == "OUT101" else 403, code), answer.text
        assert says in answer.json()["reason"], answer.text
        assert not await self.plane.all("WorkloadAutoRegistration")

    def sign(self, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """An honest token but for these changes; a claim that is None is left out."""
        said = {**self.issuer.claims(self.audience), **claims}
        whole = {name: value for name, value in said.items() if value is not None}
        return sign(self.issuer.key, {**self.issuer.header(), **(header or {})}, whole)


def trusted(server: IssuerServer, **changes: Any) -> Issuer:
    """The issuer as an operator configures it."""
    made = Issuer(url=server.url, short_name="corp", roots=server.roots, private_addresses=True)
    return replace(made, **changes)


async def allow(plane: Plane, issuer: str, **rule: Any) -> None:
    """A policy lets workloads with tokens of the issuer in."""
    allow = [{"workloads": [{"jwt": {"issuer": issuer, **rule}}], "onboardTo": [{"workloadGroupSelector": {}}]}]
    async with plane.store.transaction() as tx:
        await tx.create(Resource(replace(POLICY, name="allow-tokens"), body={"spec": {"allow": allow}}))
