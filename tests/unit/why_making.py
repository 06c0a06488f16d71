"""An API that answers `outrig why`, over TLS, from resources in a store; and the command that asks it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette
from typer.testing import CliRunner

from outrig.api.access.gate import Gate
from outrig.api.callers import Authenticator
from outrig.api.kube.app import kube_app
from outrig.api.operator.why import why_route
from outrig.api.serving import Tls, serve
from outrig.ca.authorities import Authorities, open_authorities
from outrig.cli.main import assembled
from outrig.control.witness import Witness
from outrig.resources import Resource
from outrig.server.files import kubeconfig
from outrig.snapshot import ProxyId
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query
from outrig.xds.subscription import Rejection
from tests.mesh_making import KINDS, world_of

Refusals = Callable[[ProxyId], tuple[Rejection, ...]]


@dataclass(frozen=True, slots=True)
class Said:
    """What the command printed, and how it ended."""

    out: str
    err: str
    code: int


@dataclass(frozen=True, slots=True)
class Asking:
    """A running API. `home` has a kubeconfig for each group of callers."""

    home: Path
    server: str
    authorities: Authorities

    async def why(self, *arguments: str, group: str = "outrig:admins") -> Said:
        """Run `outrig why`."""
        path = self.home / group.replace(":", "-")
        if not path.exists():
            user = self.authorities.issue_client("somebody", group=group, lifetime=timedelta(hours=1))
            path.write_text(kubeconfig(self.authorities.control.pem, user, self.server))
        return await command("why", *arguments, kubeconfig=path)


async def command(*arguments: str, kubeconfig: Path) -> Said:
    """Run `outrig`, beside the loop that serves it."""
    return await asyncio.to_thread(_run, arguments, kubeconfig)


def _run(arguments: Sequence[str], kubeconfig: Path) -> Said:
    done = CliRunner().invoke(assembled(), arguments, env={"KUBECONFIG": str(kubeconfig), "NO_PROXY": "*"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return Said(done.stdout, str(done.exception), 2)  # as `main` does
    return Said(done.stdout, done.stderr, done.exit_code)


@asynccontextmanager
async def asking(home: Path, *resources: Resource, refusals: Refusals = lambda _: ()) -> AsyncIterator[Asking]:
    """The API of a control plane in which these are."""
    store = MemoryStore()
    async with store.transaction() as tx:
        for resource in resources:
            await tx.create(resource)
    authorities = await open_authorities(store)
    pair = authorities.issue_server(["127.0.0.1"])
    files = {"server.pem": pair.certificate.chain, "key.pem": pair.key, "clients.pem": authorities.clients.pem}
    for name, text in files.items():
        (home / name).write_text(text)
    gate = Gate(Authenticator(now=lambda: datetime.now(UTC)))
    world = world_of(*(await store.list(Query())).items)
    why = why_route(Witness(store, world, refusals), gate)
    served = Starlette(routes=[why, *kube_app(store, KINDS, gate).routes])
    async with serve(served, host="127.0.0.1", port=0, tls=Tls(*(home / name for name in files))) as serving:
        yield Asking(home, f"https://127.0.0.1:{serving.port}", authorities)
