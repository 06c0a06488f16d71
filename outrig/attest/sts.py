"""Asking STS who signed: the request rebuilt from constants, sent once, its answer read within tight bounds.

Method, host, path, body and headers come from `wire.proof` and our own configuration. The caller contributes values
that can stand nowhere but in their own header. Errors of STS are for the log; the caller gets one uniform text.
"""

import asyncio
import logging
import re
from collections.abc import Mapping

import httpx

from outrig.attest.caller import Caller, read_caller
from outrig.attest.evidence import Evidence
from outrig.attest.refusals import AwsUnavailable, ProofRefused
from outrig.attest.settings import AttestSettings
from outrig.wire import proof as request

MAX_ANSWER = 16 * 1024  # bytes
_CODE = re.compile(rb"<Code>([A-Za-z.]{1,64})</Code>")
_BUSY = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable", "InternalFailure")


class Sts:
    """A client of STS's regional endpoints. `close` it."""

    def __init__(self, settings: AttestSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            transport=transport or httpx.AsyncHTTPTransport(retries=1, trust_env=False),
            timeout=httpx.Timeout(settings.sts_timeout.total_seconds(), connect=2),
            follow_redirects=False,
            trust_env=False,
        )
        _keep_secrets_from_logs("httpcore", "httpx")

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def ask(self, evidence: Evidence, *, partition: str) -> Caller:
        """Who made the signature. Raises ProofRefused, NotATaskRole, Inconsistent, AwsUnavailable."""
        try:
            async with asyncio.timeout(self._settings.sts_timeout.total_seconds()):
                status, kind, body = await self._send(evidence)
        except (httpx.HTTPError, TimeoutError) as error:
            detail = f"{type(error).__name__}: {error}"
            raise AwsUnavailable("aws", "STS cannot be reached now", retry_after=5, detail=detail) from None
        if status == 200 and kind == "text/xml":
            return read_caller(body, partition=partition)
        raise _refusal(status, kind, body=body, audience=evidence.audience)

    async def _send(self, evidence: Evidence) -> tuple[int, str, bytes]:
        host = request.sts_host(evidence.proof.region)
        url = self._settings.aws_endpoint_url or f"https://{host}"
        sent = {
            **request.headers(evidence.proof, evidence.audience, evidence.csr),
            "authorization": request.authorization(evidence.proof),
            "accept": "text/xml",
            "accept-encoding": "identity",
        }
        url = url.rstrip("/") + request.PATH
        async with self._client.stream(request.METHOD, url, headers=sent, content=request.BODY) as answer:
            return answer.status_code, _media_type(answer.headers), await _read(answer)


async def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > MAX_ANSWER:
            problem = "STS gave an answer that cannot be used"
            raise AwsUnavailable("aws", problem, retry_after=10, detail=f"more than {MAX_ANSWER} bytes")
    return bytes(body)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _refusal(status: int, kind: str, *, body: bytes, audience: str) -> ProofRefused | AwsUnavailable:
    found = _CODE.search(body)
    code = found[1].decode() if found else "no code"
    detail = f"STS answered {status} {kind}: {code}"
    if status not in (400, 403) or code in _BUSY:
        return AwsUnavailable("aws", "STS gave no usable answer", retry_after=10, detail=detail)
    hint = (
        "expired credentials, a wrong session token, or a proof made for another control plane, nonce or key; "
        f"this control plane is {audience}"
    )
    return ProofRefused("aws", "STS did not accept the proof", hint, detail=detail)


def _keep_secrets_from_logs(*names: str) -> None:
    """Their DEBUG output holds headers, and so the caller's session token."""
    for name in names:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.INFO))
