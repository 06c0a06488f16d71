"""The control plane's own certificate: made at the start, renewed at half its life, taken up by all that serve.

One that was given is served as it is; its owner is told at the start of an end that is near, or past.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import structlog
from cryptography import x509

from outrig.ca.authorities import Authorities, KeyPair
from outrig.ca.authority import nears_its_end
from outrig.errors import OutrigError
from outrig.server.files import DataDir, Given
from outrig.xds.credentials import Credentials, Material

Reload = Callable[[], Awaitable[None]]
SHORTEST_WAIT: Final = 10.0
"""Seconds between two tries at least, also when a certificate that could not be renewed is about to end."""

_log = structlog.get_logger(__name__)


class ServerCertificate:
    """Issues it for `hosts`. `run` renews it, and then calls what `tell` was given."""

    def __init__(self, authorities: Authorities, data: DataDir, hosts: Sequence[str]) -> None:
        self._authorities, self._data, self._hosts = authorities, data, hosts
        self._reloads: tuple[Reload, ...] = ()
        self._pair = self._issue()
        self.credentials = Credentials(_material(self._pair, authorities))

    @property
    def pem(self) -> str:
        """The chain in use."""
        return self._pair.certificate.chain

    def tell(self, reloads: Iterable[Reload]) -> None:
        """These serve with the certificate's files and must read them again when it is renewed."""
        self._reloads = tuple(reloads)

    async def run(self, *, wait: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Renew at half of what is left of its life, for ever; where that fails, go on with the old one and try again.

        `wait` is given seconds.
        """
        while True:
            left = self._pair.certificate.not_after - self._authorities.clock()
            await wait(max(left.total_seconds() / 2, SHORTEST_WAIT))
            try:
                await self._renew()
            except OutrigError as error:
                _log.error("server certificate not renewed", reason=str(error))

    async def _renew(self) -> None:
        pair = self._issue()
        self.credentials.replace(_material(pair, self._authorities))
        for reload in self._reloads:
            await reload()
        self._pair = pair
        _log.info("server certificate renewed", not_after=pair.certificate.not_after.isoformat())

    def _issue(self) -> KeyPair:
        pair = self._authorities.issue_server(self._hosts)
        self._data.write_server(pair)
        return pair


def warn_of_end(given: Given, now: datetime) -> None:
    """A line of the log if a certificate that was given is not valid now, or is in the last tenth of its life."""
    leaf = x509.load_pem_x509_certificates(given.pem.encode())[0]
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    known = {"valid_from": begin.isoformat(), "valid_until": end.isoformat(), "name": given.name}
    if not begin <= now < end:
        _log.error("tls_cert_file is not valid now: agents and clients refuse it", **known)
    elif nears_its_end(leaf, now):
        _log.warning("tls_cert_file is about to end: agents and clients will refuse it", **known)


def _material(pair: KeyPair, authorities: Authorities) -> Material:
    """The xDS server's side: only control identities get a connection."""
    return Material(pair.key.encode(), pair.certificate.chain.encode(), authorities.control.pem.encode())
