"""Whole data planes: agents of `kuma-dp run`, real Envoys, a real control plane process, and AWS where it is asked for.

All of it lives on addresses of a network namespace made for the test: a Dataplane is not reached at a loopback address.
"""

import asyncio
import ctypes
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from outrig.local.namespaces import NEWNET, unshare
from tests.attacks.scene import ACCOUNT, REGION, AwsServer, RunningTask
from tests.envoy.agent_scene import Agent
from tests.unit.agent_server import CREDENTIALS_PATH, Ecs
from tests.unit.test_server_process import Plane, client, running

START = "import sys; from outrig.agent.kuma_dp import main; sys.exit(main(sys.argv[2:], link_local=sys.argv[1]))"
TEMPLATE = """---
type: Dataplane
mesh: "{{ mesh }}"
name: "{{ dpname }}"
networking:
  address: "{{ address }}"
  inbound:
  - port: 15050
    servicePort: 5050
    tags:
      kuma.io/service: kv
      kuma.io/protocol: http
"""


@contextmanager
def own_network(*addresses: str) -> Iterator[None]:
    """This thread, and what it starts, in a network of its own that has these addresses."""
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        try:
            unshare(NEWNET)
        except OSError as error:
            pytest.skip(f"no network namespace: {error}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            for address in addresses:
                add_address(address)
            yield
        finally:
            if ctypes.CDLL(None, use_errno=True).setns(before.fileno(), NEWNET):
                raise OSError(ctypes.get_errno(), "cannot return to the network of before")


def add_address(address: str) -> None:
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)


class DataplaneScene:
    """A control plane, and data planes that join it."""

    def __init__(self, home: Path, variables: Mapping[str, str], tmp: Path) -> None:
        self.home, self.tmp, self._variables = home, tmp, variables
        self.plane: Plane
        self._caller: httpx.AsyncClient

    @asynccontextmanager
    async def control_plane(self) -> AsyncIterator[Plane]:
        ports = {}
        if (self.home / "ports.json").exists():  # a second start is found where the first one was
            ports = {"OUTRIG_AGENTS_PORT": str(self.plane.ports["agents"])}
            ports["OUTRIG_XDS_PORT"] = str(self.plane.ports["xds"])
        async with running(self.home, **self._variables, **ports) as self.plane, client(self.plane) as self._caller:
            yield self.plane

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self._caller.request(method, self.plane.url("apiHttps", path), **more)

    async def token(self, name: str = "", mesh: str = "default", **more: Any) -> str:
        answer = await self.ask(
            "POST", "/tokens/dataplane", json={"mesh": mesh, "name": name, "validFor": "1h", **more}
        )
        assert answer.status_code == 200, answer.text
        return answer.text

    async def write(self, plural: str, document: Mapping[str, Any]) -> None:
        """Create or replace a resource of mesh `default`; empty: the Mesh itself."""
        place = f"/meshes/default/{plural}/{document['name']}" if plural else "/meshes/default"
        answer = await self.ask("PUT", place, json=document)
        assert answer.is_success, answer.text

    async def overview(self, name: str) -> dict[str, Any]:
        """Its Dataplane and what is known of it; empty if there is none."""
        answer = await self.ask("GET", f"/meshes/default/dataplanes/{name}/_overview")
        return answer.json() if answer.status_code == 200 else {}

    async def wait_overview(self, name: str, right: Any) -> None:
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(30):
                while not right(found := await self.overview(name)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(yaml.safe_dump(found)) from None

    @asynccontextmanager
    async def agent(
        self, *flags: str, template: str = TEMPLATE, name: str = "dp", link_local: str = "", **environment: str
    ) -> AsyncIterator[Agent]:
        """`kuma-dp run` as a task definition has it."""
        directory, log, out = self.tmp / name, self.tmp / f"{name}.log", self.tmp / f"{name}.out"
        variables = {
            "PATH": os.environ["PATH"],
            "KUMA_CONTROL_PLANE_CA_CERT": (self.home / "onboarding-root.pem").read_text(),
            "KUMA_READINESS_PORT": "0",
            **({"KUMA_DATAPLANE_RUNTIME_RESOURCE": template} if template else {}),
            **environment,
        }
        words = ("--cp-address", f"https://127.0.0.1:{self.plane.ports['agents']}", "--work-dir", str(directory))
        with log.open("ab") as errors, out.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", START, link_local, "run", *words, *flags),
                env=variables, stdout=output, stderr=errors,
            )  # fmt: skip
        try:
            yield Agent(process, directory, log, out)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def variables(name: str, address: str, mesh: str = "default") -> tuple[str, ...]:
    """The template's."""
    given = {"dpname": name, "address": address, "mesh": mesh}
    return tuple(word for key, value in given.items() for word in ("--dataplane-var", f"{key}={value}"))


@asynccontextmanager
async def scene(tmp: Path, **settings: str) -> AsyncIterator[DataplaneScene]:
    """With a control plane that runs."""
    made = DataplaneScene(tmp / "cp", settings, tmp)
    made.home.mkdir(mode=0o755)
    async with made.control_plane():
        yield made


def aws_settings(aws: AwsServer) -> dict[str, str]:
    """Of a control plane that admits by role tags, or by token."""
    key, secret = aws.own
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": REGION,
        "OUTRIG_AWS_ENDPOINT_URL": aws.url,
        "OUTRIG_AWS_ACCOUNTS": ACCOUNT,
        "OUTRIG_DP_AUTHN": "aws-iam,dpToken",
    }


def tell_task(ecs: Ecs, task: RunningTask) -> None:
    """ECS says to the agent that it is in that task."""
    told = {
        "/v4/c1": {"Networks": [{"IPv4Addresses": [task.ip]}]},
        "/v4/c1/task": {"Cluster": task.cluster, "TaskARN": task.arn, "Limits": {"CPU": 1}},
        CREDENTIALS_PATH: {
            "AccessKeyId": task.credentials.access_key,
            "SecretAccessKey": task.credentials.secret_key,
            "Token": task.credentials.token,
        },
    }
    ecs.answers.update({path: (200, json.dumps(answer).encode()) for path, answer in told.items()})
