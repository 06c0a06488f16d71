"""`outrig apply`, `get`, `delete`, `inspect` and `token` against a running API: what they print and refuse."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from outrig.api.serving import serve
from outrig.cli.main import assembled
from outrig.tokens.jwt import kid_of
from tests.unit.kuma_making import Kuma, serving
from tests.unit.why_making import Said

MESH = "type: Mesh\nname: shop\n"
DATAPLANE = """
type: Dataplane
mesh: {mesh}
name: {name}
networking:
  address: 10.0.0.1
  inbound:
  - port: 15050
    servicePort: 5050
    tags: {{kuma.io/service: kv, kuma.io/protocol: http}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: ratings, labels: {team: books}}
spec: {selector: {app: ratings}, ports: [{name: http, port: 9080}]}
"""


@dataclass(frozen=True, slots=True)
class Command:
    """Runs `outrig` against a server, as an administrator unless told otherwise."""

    address: str
    kuma: Kuma
    home: Path

    async def __call__(self, *arguments: str, text: str = "", token: str = "admin-token") -> Said:  # noqa: S107
        return await asyncio.to_thread(self._run, arguments, text, token)

    def _run(self, arguments: Sequence[str], text: str, token: str) -> Said:
        environment = {"OUTRIG_API_ADDRESS": self.address, "OUTRIG_API_TOKEN": token, "NO_PROXY": "*"}
        done = CliRunner().invoke(assembled(), arguments, input=text or None, env=environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return Said(done.stdout, str(done.exception), 2)  # as `main` does
        return Said(done.stdout, done.stderr, done.exit_code)


@pytest.fixture
async def outrig(tmp_path: Path) -> AsyncIterator[Command]:
    async with serving() as kuma, serve(kuma.app, host="127.0.0.1", port=0) as server:
        yield Command(f"http://127.0.0.1:{server.port}", kuma, tmp_path)


async def test_documents_of_both_dialects_are_created_and_then_replaced(outrig: Command) -> None:
    text = "\n---".join([MESH, DATAPLANE.format(mesh="shop", name="kv-1"), SERVICE])
    first = await outrig("apply", "-f", "-", text=text)
    assert first == Said("Mesh shop created\nDataplane shop/kv-1 created\nService default/ratings created\n", "", 0)
    again = await outrig("apply", "-f", "-", text=text.replace("team: books", "team: pages"))
    assert again.out.count("replaced") == 3
    stored = await outrig("get", "service", "ratings", "-o", "yaml")
    assert yaml.safe_load(stored.out)["metadata"]["labels"] == {"team": "pages"}


async def test_a_directory_is_applied_in_order_and_a_template_is_filled_in(outrig: Command) -> None:
    (outrig.home / "1-mesh.yaml").write_text(MESH)
    (outrig.home / "2-dataplane.yaml").write_text(DATAPLANE.format(mesh="shop", name="'{{ dpname }}'"))
    (outrig.home / "notes.txt").write_text("not a document: {{")
    said = await outrig("apply", "-f", str(outrig.home), "-v", "dpname=kv-2")
    assert said.out == "Mesh shop created\nDataplane shop/kv-2 created\n", said.err
    shown = await outrig("apply", "-f", str(outrig.home), "-v", "dpname=kv-3", "--dry-run")
    assert [one["name"] for one in yaml.safe_load_all(shown.out)] == ["shop", "kv-3"]
    assert (await outrig("get", "dataplane", "kv-3", "-m", "shop")).code == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type: Mesh\nname: shop\nmtlss: {}", "mtlss: unknown field"),
        ("type: Mehs\nname: shop", "did you mean 'Mesh'?"),
        ("type: MeshTimeout\nname: slow", "MeshTimeout is not supported yet"),
        ("type: Mesh", "has no name"),
        ("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}", "apps/v1 Deployment is not served"),
        ("- a list", "is no object"),
        ("{", "is no YAML"),
    ],
)
async def test_nothing_is_applied_where_one_document_is_wrong(outrig: Command, text: str, says: str) -> None:
    said = await outrig("apply", "-f", "-", text=f"type: Mesh\nname: good\n---\n{text}")
    assert (said.out, said.code) == ("", 2)
    assert says in said.err
    assert (await outrig("get", "mesh", "good")).code == 2


async def test_what_the_control_plane_finds_wrong_is_told_field_by_field(outrig: Command) -> None:
    text = DATAPLANE.format(mesh="default", name="kv").replace("15050", "0")
    said = await outrig("apply", "-f", "-", text=text)
    assert said.code == 2
    assert "networking.inbound[0].port" in said.err


async def test_a_mesh_that_does_not_exist_is_said(outrig: Command) -> None:
    said = await outrig("apply", "-f", "-", text=DATAPLANE.format(mesh="nowhere", name="kv"))
    assert said.code == 2
    assert "nowhere" in said.err


async def test_tables_have_kumactls_columns(outrig: Command) -> None:
    await outrig("apply", "-f", "-", text=DATAPLANE.format(mesh="default", name="kv-1"))
    meshes, dataplanes = await outrig("get", "meshes"), await outrig("get", "dataplanes")
    assert meshes.out.splitlines()[0].split() == ["NAME", "mTLS", "LOCALITY", "ZONEEGRESS", "AGE"]
    assert dataplanes.out.splitlines()[0].split() == ["MESH", "NAME", "TAGS", "ADDRESS", "AGE"]
    assert "kuma.io/service=kv" in dataplanes.out
    everywhere = await outrig("get", "dataplanes", "-A")
    assert everywhere.out.split()[:-1] == dataplanes.out.split()[:-1]  # all but the age
    assert (await outrig("get", "zones")).out == "No resources found\n"
    services = await outrig("get", "svc", "-A")
    assert services == Said("No resources found\n", "", 0)


async def test_a_resource_is_deleted_once(outrig: Command) -> None:
    await outrig("apply", "-f", "-", text=MESH)
    assert (await outrig("delete", "mesh", "shop")).out == "Mesh shop deleted\n"
    again = await outrig("delete", "mesh", "shop")
    assert again.code == 2
    assert "OUT904" in again.err


async def test_a_written_dataplane_without_an_agent_is_offline(outrig: Command) -> None:
    await outrig("apply", "-f", "-", text=DATAPLANE.format(mesh="default", name="kv-1"))
    inspected = await outrig("inspect", "dataplanes")
    heading, line = inspected.out.splitlines()
    assert heading.startswith("MESH      NAME")
    assert "Offline" in line
    assert "never" in line
    services = await outrig("inspect", "services")
    assert services.out.splitlines()[1].split() == ["kv", "Offline", "0/1"]


async def test_a_token_is_all_that_is_printed(outrig: Command) -> None:
    asked = ("token", "user", "--name", "alice", "--group", "developers", "--valid-for", "1h")
    made = await outrig("token", "signing-key")
    key = outrig.home / "key.pem"
    key.write_text(made.out)
    offline = await outrig(*asked, "--signing-key-path", str(key), "--kid", "7")
    assert kid_of(offline.out.strip()) == "7"
    assert (await outrig("token", "signing-key", "--public-of", str(key))).out.startswith("-----BEGIN PUBLIC KEY")
    refused = await outrig(*asked, "--signing-key-path", str(key))
    assert "--kid" in refused.err


async def test_the_control_plane_issues_tokens_for_administrators_only(outrig: Command) -> None:
    asked = ("token", "dataplane", "--name", "kv", "--tag", "kuma.io/service=kv,kv2", "--valid-for", "1h")
    refused = await outrig(*asked, token="reader-token")
    assert refused.code == 2
    assert "Access Denied" in refused.err
    unsigned = await outrig(*asked)
    assert "signing-key" in unsigned.err  # this store was made without any


async def test_a_credential_that_is_wrong_is_said(outrig: Command) -> None:
    said = await outrig("get", "meshes", token="guess")
    assert said.code == 2
    assert "OUT904 /meshes" in said.err


async def test_an_address_where_nobody_answers_is_said(tmp_path: Path) -> None:
    done = await asyncio.to_thread(
        CliRunner().invoke, assembled(), ["get", "meshes", "--address", "http://127.0.0.1:1"]
    )
    assert "OUT903 http://127.0.0.1:1: the control plane cannot be reached" in str(done.exception)
