"""The proof in a data plane's join request: a task's signature, a token, or nothing where nothing is asked for.

In: a request. Out: a `Proof` whose verification gives what the caller is allowed to be. Refused: kinds of proof that
this control plane does not take from proxies of that type.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from outrig.admission.documents import DATAPLANE, Asked
from outrig.admission.ports import DataplaneTokens, TaskAttestor
from outrig.admission.proofs import Proof, TaskProof
from outrig.admission.proven import Warranted, warranted_holder, warranted_task
from outrig.admission.refusals import Malformed, MethodRefused
from outrig.admission.settings import AWS_IAM, DP_TOKEN, NONE, ZONE_TOKEN, AdmissionSettings
from outrig.admission.warrants import Warrant, dataplane_warrant, zone_warrant
from outrig.attest.evidence import Evidence
from outrig.attest.refusals import TokenRefused
from outrig.dialects.kuma.dataplane import networking_of
from outrig.store.protocol import Store
from outrig.tokens.jwt import kid_of
from outrig.tokens.refusals import TokenInvalid
from outrig.wire.join import JoinRequest

_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_WAYS: Final = {
    AWS_IAM: "--auth-type=aws",
    DP_TOKEN: "--dataplane-token-file with what `outrig token dataplane` prints",
    ZONE_TOKEN: "--dataplane-token-file with what `outrig token zone` prints",
}


@dataclass(frozen=True, slots=True)
class BearerProof:
    """A token, checked as far as that needs no key; empty: none is asked for."""

    nonce: str
    token: str
    asked: Asked
    tokens: DataplaneTokens
    store: Store

    @property
    def claimed(self) -> str:
        """The proxy itself: a token names none, or it."""
        return self.asked.principal

    async def verify(self, now: datetime, *, fresh: bool) -> Warranted:  # noqa: ARG002 - nothing of it is ever cached
        """See `Proof`."""
        return warranted_holder(self.asked, await self._warrant(now))

    async def _warrant(self, now: datetime) -> Warrant:
        if not self.token:
            return Warrant("whoever asks")
        try:
            if self.asked.proxy_type != DATAPLANE:
                return zone_warrant(*await self.tokens.verify_zone(self.store, self.token, now=now))
            found = await self.tokens.verify_dataplane(self.store, self.token, mesh=self.asked.mesh, now=now)
            return dataplane_warrant(*found)
        except TokenInvalid as error:
            raise refused_token(error) from None


@dataclass(frozen=True, slots=True)
class WarrantProofs:
    """Reads proofs. `audience`: this control plane's."""

    settings: AdmissionSettings
    tasks: TaskAttestor
    tokens: DataplaneTokens
    store: Store
    audience: str

    def read(self, request: JoinRequest, asked: Asked, now: datetime) -> Proof[Warranted]:
        """The one proof of a request, checked as far as that asks nobody. Raises Refused."""
        if request.jwt or (request.token is None) == (request.aws is None) or (request.aws and request.ecs is None):
            raise Malformed("request", "has no proof of identity, or more than one", "aws and ecs, or else token")
        if request.token is None:
            return self._of_task(request, asked, now)
        if not _NONCE.fullmatch(request.token.nonce):
            raise Malformed("token.nonce", f"does not have the form {_NONCE.pattern}")
        return BearerProof(request.token.nonce, self._token(request.token.token, asked), asked, self.tokens, self.store)

    def _of_task(self, request: JoinRequest, asked: Asked, now: datetime) -> Proof[Warranted]:
        self._check_method(AWS_IAM, asked)
        assert request.aws  # noqa: S101 - `read` has decided; this narrows
        assert request.ecs  # noqa: S101
        public = asked.document is not None and asked.proxy_type == DATAPLANE and advertises(asked)
        evidence = Evidence(request.aws, request.ecs, asked.csr, self.audience, public)
        self.tasks.check(evidence, now)
        return TaskProof(evidence, self.tasks, warranted_task)

    def _token(self, token: str, asked: Asked) -> str:
        """The token to verify: none where nothing but none is asked for."""
        method = DP_TOKEN if asked.proxy_type == DATAPLANE else ZONE_TOKEN
        if NONE in self._methods(asked) and (not token or method not in self._methods(asked)):
            return ""
        if not token:
            ways = " or ".join(_WAYS[one] for one in sorted(self._methods(asked)))
            raise TokenRefused(
                "token.token", "no proof was sent, neither a token nor a role's", f"give the agent {ways}"
            )
        self._check_method(method, asked)
        try:
            kid_of(token)
        except TokenInvalid as error:
            raise refused_token(error) from None
        return token

    def _methods(self, asked: Asked) -> frozenset[str]:
        return self.settings.dataplane_proofs if asked.proxy_type == DATAPLANE else self.settings.zone_proofs

    def _check_method(self, method: str, asked: Asked) -> None:
        if method not in self._methods(asked):
            accepted = ", ".join(sorted(self._methods(asked)))
            problem = f"{method} is no proof that a proxy of type {asked.proxy_type} may bring"
            raise MethodRefused("request", problem, f"accepted here: {accepted}")


def advertises(asked: Asked) -> bool:
    """Whether the text gives another address than the proxy's own, which may be a public one."""
    return asked.document is not None and bool(networking_of(asked.document).advertised_address)


def refused_token(error: TokenInvalid) -> TokenRefused:
    """The refusal of a join by a token that is not good."""
    return TokenRefused("token.token", error.problem, error.hint)
