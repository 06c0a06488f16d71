"""The control plane's own certificate: made at the start, renewed at half its life, taken up by all that serve."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime

import structlog

from outrig.ca.authorities import Authorities, KeyPair
from outrig.server.files import DataDir
from outrig.xds.credentials import Credentials, Material

Reload = Callable[[], Awaitable[None]]
_log = structlog.get_logger(__name__)


class ServerCertificate:
    """Issues it for `hosts`. `run` renews it, and then calls what `tell` was given."""

    def __init__(self, authorities: Authorities, data: DataDir, hosts: Sequence[str]) -> None:
        self._authorities, self._data, self._hosts = authorities, data, hosts
        self._reloads: tuple[Reload, ...] = ()
        self._pair = self._issue()
        self.credentials = Credentials(self._material())

    def _issue(self) -> KeyPair:
        pair = self._authorities.issue_server(self._hosts)
        self._data.write_server(pair)
        return pair

    def _material(self) -> Material:
        """The xDS server's side: only control identities get a connection."""
        pair, root = self._pair, self._authorities.control.pem
        return Material(pair.key.encode(), pair.certificate.chain.encode(), root.encode())

    def tell(self, reloads: Iterable[Reload]) -> None:
        """These serve with the certificate's files and must read them again when it is renewed."""
        self._reloads = tuple(reloads)

    async def run(self) -> None:
        """Renew at half of what is left of its life, for ever."""
        while True:
            left = self._pair.certificate.not_after - datetime.now(UTC)
            await asyncio.sleep(left.total_seconds() / 2)
            self._pair = self._issue()
            self.credentials.replace(self._material())
            for reload in self._reloads:
                await reload()
            _log.info("server certificate renewed", not_after=self._pair.certificate.not_after.isoformat())
