"""Fetching a small JSON document over HTTPS, from where the configuration says and nowhere else.

No redirects, no proxies, no compression; bounded in size and time. The name is resolved here, once, and the connection
goes to the address that was checked, so that a name cannot lead into the control plane's own network.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from outrig.attest.issuers import Issuer, check_url
from outrig.attest.refusals import IssuerUnavailable
from outrig.wire.codec import WireError, parse

MAX_DOCUMENT = 256 * 1024  # bytes
_TIMEOUT = 5.0  # seconds for a whole document


async def fetch(issuer: Issuer, url: str) -> Mapping[str, Any]:
    """The JSON object at an URL of an issuer. Raises IssuerUnavailable."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            return _object(await _get(issuer, url))
    except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
        detail = f"{url}: {type(error).__name__}: {error}"[:500]
        problem = f"the keys of issuer {issuer.short_name} cannot be fetched now"
        raise IssuerUnavailable("jwt", problem, "try again", retry_after=10, detail=detail) from None


async def _get(issuer: Issuer, url: str) -> bytes:
    check_url(url)
    target = httpx.URL(url)
    address = await _resolve(issuer, target.host, target.port or 443)
    host = target.netloc.decode("ascii")
    async with (
        httpx.AsyncClient(verify=_trust(issuer), timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client,
        client.stream(
            "GET",
            target.copy_with(host=address),
            headers={"host": host, "accept": "application/json", "accept-encoding": "identity"},
            extensions={"sni_hostname": target.host},
        ) as answer,
    ):
        if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
            raise ValueError(f"answered with status {answer.status_code}, or compressed")
        return await _read(answer)


async def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > MAX_DOCUMENT:
            raise ValueError(f"longer than {MAX_DOCUMENT} bytes")
    return bytes(body)


async def _resolve(issuer: Issuer, host: str, port: int) -> str:
    """An address to connect to; all of the name's must be public, unless the issuer's need not be."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(one[4][0]) for one in found]
    if not issuer.private_addresses:
        inward = [address for address in addresses if not ipaddress.ip_address(address).is_global]
        if inward:
            raise ValueError(f"{host} leads to {inward[0]}, which is not public; set privateAddresses if it is meant")
    return addresses[0]


def _trust(issuer: Issuer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=issuer.roots or None)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = parse(body)
    except WireError as error:
        raise ValueError(str(error)) from None
    if not isinstance(value, Mapping):
        raise ValueError("not a JSON object")  # noqa: TRY004 - what was fetched is wrong, not our types
    return value
