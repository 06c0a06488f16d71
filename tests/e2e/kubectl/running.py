"""The real kubectl against the real API in this process: the binaries, and a server for them to talk to."""

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette

from outrig.api.access.gate import WATCHED, Gate
from outrig.api.callers import ADMINS, VIEWERS, Authenticator, signed_in
from outrig.api.kube.app import kube_app
from outrig.api.serving import Serving, Tls, serve
from outrig.ca.authorities import Authorities, KeyPair, open_authorities, utc_now
from outrig.control.following import follow
from outrig.kit.tasks import running
from outrig.resources import Key, Resource
from outrig.server.access import desk_of
from outrig.server.kinds import KINDS
from outrig.store.memory import MemoryStore

REPOSITORY = Path(__file__).parents[3]
PINNED = ("1.27.1", "1.30.0", "1.33.9", "1.37.1")
ENDS = (PINNED[0], PINNED[-1])
TOKENS = {"admin-token": ADMINS, "viewer-token": VIEWERS}


def binaries() -> dict[str, Path]:
    """The kubectls to test with, by version: the pinned ones, there or not; and, for `make kubectls`, those on the PATH
    from 1.27 on.
    """
    found = {version: REPOSITORY / ".cache" / "kubectl" / version / "kubectl" for version in PINNED}
    if "EVERY_KUBECTL" not in os.environ:
        return found
    for folder in os.get_exec_path():
        for path in sorted(Path(folder).glob("kubectl*")):
            version = _version(path.resolve())
            if version and tuple(map(int, version.split(".")[:2])) >= (1, 27):
                found.setdefault(version, path.resolve())
    linked = shutil.which("kubectl")
    for path in sorted(Path(linked).resolve().parent.glob("kubectl.1.*")) if linked else ():
        if version := _version(path):
            found.setdefault(version, path)
    return found


def _version(path: Path) -> str:
    if not re.fullmatch(r"kubectl([-.]v?1\.\d+(\.\d+)?)?", path.name):
        return ""
    asked = [str(path), "version", "--client", "-o", "json"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
    found = re.search(r'"gitVersion": "v(\d+\.\d+\.\d+)"', answer.stdout)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and how it ended."""

    out: str
    err: str
    code: int


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One binary, pointed at one server."""

    binary: Path
    home: Path
    kubeconfig: Path

    async def __call__(self, *arguments: str, stdin: str = "", user: str = "admin") -> Said:
        """Run a command to its end."""
        process = await self.start(*arguments, user=user)
        try:
            async with asyncio.timeout(60):
                out, err = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            raise
        return Said(out.decode(), err.decode(), process.returncode or 0)

    async def start(self, *arguments: str, user: str = "admin") -> asyncio.subprocess.Process:
        """Start a command."""
        fixed = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.home}/cache", f"--user={user}"]
        piped = asyncio.subprocess.PIPE
        environment = {"HOME": str(self.home), "TMPDIR": str(self.home), "PATH": os.environ["PATH"]}
        return await asyncio.create_subprocess_exec(
            self.binary, *fixed, *arguments, stdin=piped, stdout=piped, stderr=piped, env=environment
        )

    async def ok(self, *arguments: str, stdin: str = "", user: str = "admin") -> str:
        """Run a command that must succeed; gives what it printed."""
        said = await self(*arguments, stdin=stdin, user=user)
        assert said.code == 0, f"kubectl {' '.join(arguments)}: {said.err}{said.out}"
        return said.out

    async def refused(self, *arguments: str, stdin: str = "", user: str = "admin") -> str:
        """Run a command that must fail; gives what it complained."""
        said = await self(*arguments, stdin=stdin, user=user)
        assert said.code != 0, f"kubectl {' '.join(arguments)} succeeded: {said.out}"
        return said.err


@dataclass(frozen=True, slots=True)
class Api:
    """A running API with the namespace `default`, and a kubeconfig for it."""

    store: MemoryStore
    authorities: Authorities
    serving: Serving
    home: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.serving.port}"

    def kubectl(self, binary: Path) -> Kubectl:
        """A kubectl for it."""
        return Kubectl(binary, self.home, self.home / "kubeconfig")


@asynccontextmanager
async def running_api(home: Path, store: MemoryStore | None = None) -> AsyncIterator[Api]:
    """The API over TLS on a free port."""
    store = store or MemoryStore()
    async with store.transaction() as tx:
        await tx.create(Resource(Key("", "Namespace", "", "", "default")))
    authorities = replace(await open_authorities(store, clock=yesterday), clock=utc_now)
    chain, key = written(home, "server", authorities.issue_server(["127.0.0.1", "localhost"]))
    (home / "roots.pem").write_text(authorities.control_roots)
    (home / "clients.pem").write_text(authorities.clients.pem)
    known = {token: signed_in(token, [group], by="token") for token, group in TOKENS.items()}
    tokens = {hashlib.sha256(token.encode()).hexdigest(): caller for token, caller in known.items()}
    gate = Gate(Authenticator(now=lambda: datetime.now(UTC), tokens=tokens))
    app = Starlette(routes=[*desk_of(store, gate, authorities).routes(), *kube_app(store, KINDS, gate).routes])
    async with (
        running(gate.follow(follow(store, WATCHED))),
        serve(app, host="127.0.0.1", port=0, tls=Tls(chain, key, home / "clients.pem", at_any_time=True)) as serving,
    ):
        await gate.ready()
        api = Api(store, authorities, serving, home)
        _write_kubeconfig(api)
        yield api


def yesterday() -> datetime:
    """This time yesterday."""
    return datetime.now(UTC) - timedelta(days=1)


def written(home: Path, name: str, pair: KeyPair) -> tuple[Path, Path]:
    """A certificate and its key as files."""
    chain, key = home / f"{name}.crt", home / f"{name}.key"
    chain.write_text(pair.certificate.chain)
    key.write_text(pair.key)
    return chain, key


def _write_kubeconfig(api: Api) -> None:
    """Users: admin and viewer by certificate or token, somebody whose certificate says nothing, and no credential."""
    users: dict[str, dict[str, str]] = {"nobody": {}, "wrong": {"token": "wrong"}}
    users |= {token.removesuffix("-token") + "-token": {"token": token} for token in TOKENS}
    for name, group in (("admin", ADMINS), ("viewer", VIEWERS), ("stranger", "others")):
        pair = api.authorities.issue_client(name, group=group, lifetime=timedelta(hours=1))
        chain, key = written(api.home, name, pair)
        users[name] = {"client-certificate": str(chain), "client-key": str(key)}
    cluster = {"server": api.url, "certificate-authority": str(api.home / "roots.pem")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "outrig", "cluster": cluster}],
        "users": [{"name": name, "user": user} for name, user in users.items()],
        "contexts": [{"name": "outrig", "context": {"cluster": "outrig", "user": "admin"}}],
        "current-context": "outrig",
    }
    (api.home / "kubeconfig").write_text(json.dumps(config))
