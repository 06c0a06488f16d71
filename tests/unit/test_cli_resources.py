"""`outrig apply`, `get`, `delete`, `inspect` and `token` against a running API: what they print and refuse."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from structlog.testing import capture_logs
from typer.testing import CliRunner

from outrig import __version__
from outrig.api.serving import serve
from outrig.cli.main import assembled
from outrig.dialects.kuma.insight import with_subscription, with_versions, without_subscription
from outrig.resources import Key, Resource
from outrig.store.protocol import Unavailable
from outrig.tokens.jwt import kid_of
from tests.unit.kuma_making import NOW, Kuma, serving
from tests.unit.why_making import Said

pytestmark = pytest.mark.slow

ANYBODY = {"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}
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


LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
HELD = {"listener": {"@type": LISTENER, "address": {}}}
DUMPED = {
    "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
    "dynamic_listeners": [{"name": "in", "active_state": HELD}],
}


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
        error = done.exception
        if error is not None and not isinstance(error, SystemExit):
            told = error.exceptions if isinstance(error, ExceptionGroup) else [error]
            return Said(done.stdout, done.stderr + "\n".join(map(str, told)), 2)  # as `main` does
        return Said(done.stdout, done.stderr, done.exit_code)


@pytest.fixture
async def outrig(tmp_path: Path) -> AsyncIterator[Command]:
    with capture_logs():  # the server's, which is in this process: standard output is the command's alone
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
        ("type: MeshOPA\nname: rules", "MeshOPA is not supported yet"),
        ("type: AccessRole\nname: dev", "AccessRole is not supported yet: the group mesh-system:admin may"),
        ("type: Mesh\nname: Shop\nlabels: {a b: c}\nmtls: {enabledBackend: x}", "mtls.enabledBackend: has to be set"),
        ("type: Mesh", "has no name"),
        ("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}", "apps/v1 Deployment is not served"),
        ("kind: Dataplane\napiVersion: kuma.io/v1alpha1\nmetadata: {name: x}", "write type, mesh, name"),
        ("- a list", "is no object"),
        ("{", "is no YAML"),
        (
            "type: Mesh\nname: shop\nname: sale",
            "OUT905 standard input: the key 'name' is there twice, line 6 (leave one",
        ),
        ('{"type": "Mesh", "name": "a", "labels": {"x": "1", "x": "2"}}', "the key 'x' is there twice, line 4"),
        ("type: Mesh\nname: shop\nlabels: {1: a, '1': b}", "the key '1' is there twice"),
        (
            "kind: Namespace\napiVersion: v1\nmetadata: {name: x}\nmetadata: {name: y}",
            "the key 'metadata' is there twice",
        ),
    ],
)
async def test_nothing_is_applied_where_one_document_is_wrong(outrig: Command, text: str, says: str) -> None:
    said = await outrig("apply", "-f", "-", text=f"type: Mesh\nname: good\n---\n{text}")
    assert (said.out, said.code) == ("", 2)
    assert says in said.err
    assert (await outrig("get", "mesh", "good")).code == 2


async def test_what_only_the_control_plane_can_refuse_leaves_nothing_applied_either(outrig: Command) -> None:
    orphan, attached = DATAPLANE.format(mesh="nowhere", name="kv"), DATAPLANE.format(mesh="shop", name="kv-1")
    text = "\n---".join([MESH, attached, orphan, SERVICE.replace("name: ratings", "name: r, namespace: nowhere")])
    for dry in ([], ["--dry-run"]):
        said = await outrig("apply", "-f", "-", *dry, text=text)
        assert (said.out, said.code) == ("", 2)
        assert said.err.startswith("nothing is applied, as the control plane refuses 2 of 4 documents:")
        assert 'mesh of name "nowhere" is not found' in said.err
        assert 'namespaces "nowhere" not found' in said.err
    assert (await outrig("get", "mesh", "shop")).code == 2


async def test_a_dry_run_tells_what_would_become_of_each(outrig: Command) -> None:
    said = await outrig("apply", "-f", "-", "--dry-run", text="\n---".join([MESH, SERVICE, SERVICE]))
    assert said.err.splitlines() == [
        "Mesh shop would be created",
        "Service default/ratings would be created",
        "Service default/ratings would be replaced",
    ]
    assert len(list(yaml.safe_load_all(said.out))) == 3


async def test_what_was_applied_before_a_failure_is_said(outrig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full after the question and the first write."""
    writing, turns = outrig.kuma.store.transaction, iter(range(9))

    def transaction() -> Any:
        if next(turns) > 1:
            raise Unavailable("store", "its disk is full")
        return writing()

    monkeypatch.setattr(outrig.kuma.store, "transaction", transaction)
    text = "\n---".join([MESH, DATAPLANE.format(mesh="shop", name="kv"), SERVICE])
    said = await outrig("apply", "-f", "-", text=text)
    assert (said.out, said.code) == ("Mesh shop created\n", 2)
    assert "not applied: Dataplane shop/kv, Service default/ratings" in said.err
    assert "OUT904 /meshes/shop/dataplanes/kv" in said.err


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("", [], "OUT905 standard input: holds no document"),
        ("---\n# nothing\n---\n", [], "OUT905 standard input: holds no document"),
        (MESH.replace("shop", "'{{ name }}'"), [], "nobody gave a value for {{ name }} (give it with -v name=VALUE)"),
        (MESH.replace("shop", "{{ name }}"), [], "nobody gave a value for {{ name }} (give it with -v name=VALUE)"),
        (MESH.replace("shop", "{{ name }}"), ["-v", "nmae=x"], "OUT905 standard input: nobody gave a value"),
        (MESH, ["-v", "name"], "OUT905 -v: expected NAME=VALUE"),
        (MESH.replace("shop", "{{ name }}"), ["-v", "name={{b}}", "-v", "b=z"], "is no YAML"),
        ("type: Mesh\nname: shop\nlabels: {since: 2026-01-01}", [], "has a value that is none in JSON"),
    ],
)
async def test_what_cannot_be_meant_is_not_taken_for_a_document(
    outrig: Command, text: str, variables: list[str], says: str
) -> None:
    said = await outrig("apply", "-f", "-", *variables, text=text)
    assert (said.out, said.code) == ("", 2)
    assert says in said.err


async def test_braces_of_kubernetes_documents_are_their_own(outrig: Command) -> None:
    text = SERVICE.replace("labels: {team: books}", "annotations: {note: '{{ this }}'}")
    assert (await outrig("apply", "-f", "-", text=text)).out == "Service default/ratings created\n"


async def test_what_is_not_there_is_said_with_what_is_near(outrig: Command) -> None:
    await outrig("apply", "-f", "-", text=DATAPLANE.format(mesh="default", name="kv-1"))
    for arguments in (("get", "dataplane", "kv-2"), ("inspect", "dataplane", "kv-2"), ("delete", "dataplane", "kv-2")):
        said = await outrig(*arguments)
        assert 'there is no Dataplane "kv-2" in mesh "default" (did you mean \'kv-1\'?)' in said.err
    assert "(did you mean 'default'?)" in (await outrig("get", "dataplanes", "-m", "defualt")).err
    assert "(did you mean 'default'?)" in (await outrig("get", "namespace", "defalt", "-o", "yaml")).err


async def test_a_place_that_a_kind_does_not_have_is_refused(outrig: Command) -> None:
    assert (await outrig("get", "dataplanes", "-n", "foo")).code == 2
    assert (await outrig("get", "services", "-m", "foo")).code == 2
    assert (await outrig("get", "zones", "-m", "default")).code == 0


async def test_what_the_control_plane_finds_wrong_is_told_field_by_field(outrig: Command) -> None:
    text = DATAPLANE.format(mesh="default", name="kv").replace("15050", "0")
    said = await outrig("apply", "-f", "-", text=text)
    assert said.code == 2
    assert "networking.inbound[0].port" in said.err
    both = await outrig("apply", "-f", "-", text=text.replace("mesh: default", "mesh: nowhere").replace("tags", "tgas"))
    for problem in (
        "mesh: mesh of name",
        "inbound[0].port: port must",
        "tgas: unknown field",
        'tags["kuma.io/service"]',
    ):
        assert problem in both.err


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
    await outrig("apply", "-f", "-", text="type: Zone\nname: east\n")
    assert (await outrig("get", "zones")).out.splitlines()[0].split() == ["NAME", "AGE"]
    services = await outrig("get", "svc", "-A")
    assert services == Said("No resources found\n", "", 0)


async def test_a_resource_is_deleted_once(outrig: Command) -> None:
    await outrig("apply", "-f", "-", text=MESH)
    assert (await outrig("delete", "mesh", "shop")).out == "Mesh shop deleted\n"
    again = await outrig("delete", "mesh", "shop")
    assert again.code == 2
    assert "OUT904" in again.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dataplanes", "kv-1"), "outrig inspect dataplane NAME shows one"),
        (("meshes", "default"), "inspect meshes shows all and takes no name"),
        (("dataplanes", "--type", "config"), "--type is of one dataplane"),
    ],
)
async def test_what_would_choose_nothing_is_refused(outrig: Command, arguments: tuple[str, ...], says: str) -> None:
    said = await outrig("inspect", *arguments)
    assert (said.out, said.code) == ("", 2)
    assert says in " ".join(said.err.replace("│", " ").split())


async def test_a_written_dataplane_without_an_agent_is_offline(outrig: Command) -> None:
    await outrig("apply", "-f", "-", text=DATAPLANE.format(mesh="default", name="kv-1"))
    inspected = await outrig("inspect", "dataplanes")
    heading, line = inspected.out.splitlines()
    assert heading.startswith("MESH      NAME")
    assert "Offline" in line
    assert "never" in line
    services = await outrig("inspect", "services")
    assert services.out.splitlines()[1].split() == ["kv", "Offline", "0/1"]


async def test_a_service_is_online_only_where_an_inbound_of_it_takes_calls(outrig: Command) -> None:
    """A Dataplane that is connected may have ready inbounds of one service, and none of another."""
    probed = {"port": 3, "tags": {"kuma.io/service": "probed"}, "serviceProbe": {"tcp": {}}}
    inbound = [
        {"port": 1, "tags": {"kuma.io/service": "kv"}},
        {"port": 2, "tags": {"kuma.io/service": "closed"}, "state": "NotReady"},
        {"port": 4, "tags": {"kuma.io/service": "half"}, "state": "NotReady"},
        {"port": 5, "tags": {"kuma.io/service": "half"}},
        probed,
    ]
    async with outrig.kuma.store.transaction() as tx:
        for name, some in {"a": inbound, "b": inbound[:1]}.items():
            body = {"networking": {"address": "10.0.0.1", "inbound": some}}
            made = Resource(Key("kuma.io", "Dataplane", "default", "", name), body=body)
            await tx.create(with_subscription(made, control_plane="cp", now=NOW) if name == "a" else made)
    said = await outrig("inspect", "services")
    assert [line.split(maxsplit=1) for line in said.out.splitlines()[1:]] == [
        ["closed", "Offline              0/1"],
        ["half", "Online               1/1"],
        ["kv", "Partially degraded   1/2"],
        ["probed", "Offline              0/1"],
    ]


async def test_what_stands_against_a_dataplane_is_counted_in_the_table_and_told_of_the_one(outrig: Command) -> None:
    status = {"conditions": [{"type": "PartiallyInvalid", "status": "True", "message": "OUT601 one; OUT613 two"}]}
    body = {"networking": {"address": "10.0.0.1", "inbound": [{"port": 1, "tags": {"kuma.io/service": "kv"}}]}}
    async with outrig.kuma.store.transaction() as tx:
        await tx.create(Resource(Key("kuma.io", "Dataplane", "default", "", "kv-1"), body=body, status=status))
    heading, line = (await outrig("inspect", "dataplanes")).out.splitlines()
    assert (heading.split()[-1], line.split()[-2:]) == ("NOTES", ["2", "warnings"])
    told = json.loads((await outrig("inspect", "dataplane", "kv-1")).out)
    assert told["warnings"] == ["OUT601 one", "OUT613 two"]


async def test_a_permission_that_is_for_nobody_is_seen_where_somebody_looks(outrig: Command) -> None:
    await outrig("apply", "-f", "-", text=DATAPLANE.format(mesh="default", name="kv-1"))
    for name in ("kv", "kvv"):
        spec = {"targetRef": {"kind": "MeshService", "name": name}, "from": [ANYBODY]}
        document = {"type": "MeshTrafficPermission", "mesh": "default", "name": name, "spec": spec}
        assert (await outrig("apply", "-f", "-", text=yaml.safe_dump(document))).code == 0
    kv = await outrig("inspect", "meshtrafficpermission", "kv")
    assert [line.split() for line in kv.out.splitlines()] == [["MESH", "NAME"], ["default", "kv-1"]]
    kvv = await outrig("inspect", "meshtrafficpermission", "kvv")
    assert kvv.out == "It is for no dataplane that is there now\n"
    assert "which permission?" in (await outrig("inspect", "meshtrafficpermission")).err


async def test_meshes_and_zones_are_inspected_as_tables(outrig: Command) -> None:
    zone = "type: Zone\nname: east\n"
    await outrig("apply", "-f", "-", text="---\n".join([MESH, zone, DATAPLANE.format(mesh="shop", name="kv-1")]))
    meshes, zones = await outrig("inspect", "meshes"), await outrig("inspect", "zones")
    assert [line.split() for line in meshes.out.splitlines()] == [
        ["NAME", "DATAPLANES", "ONLINE", "OFFLINE"],
        ["default", "0", "0", "0"],
        ["shop", "1", "0", "1"],
    ]
    assert [line.split() for line in zones.out.splitlines()] == [["NAME", "ENABLED"], ["east", "true"]]


async def test_proxies_of_zones_are_inspected_with_their_connections(outrig: Command) -> None:
    async with outrig.kuma.store.transaction() as tx:
        for name in ("here", "gone"):
            made = Resource(Key("kuma.io", "ZoneIngress", "", "", name), body={"networking": {"address": "10.0.0.1"}})
            seen = with_versions(with_subscription(made, control_plane="cp", now=NOW), agent="0.1", envoy="1.40")
            await tx.create(seen if name == "here" else without_subscription(seen, now=NOW))
    said = await outrig("inspect", "zoneingresses")
    heading, *lines = said.out.splitlines()
    assert heading.startswith("NAME   STATUS    LAST CONNECTED AGO   LAST UPDATED AGO   TOTAL UPDATES")
    assert [(line.split()[:2], line.split()[-2:]) for line in lines] == [
        (["gone", "Offline"], ["0.1", "1.40"]),
        (["here", "Online"], ["0.1", "1.40"]),
    ]
    assert (await outrig("inspect", "zoneegresses")).out == "No resources found\n"


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        ("overview", {"type": "DataplaneOverview", "name": "kv-1"}),
        ("rules", {"rules": []}),
        ("policies", {"policies": []}),
        ("config", {"xds": {LISTENER: {"in": {"address": {}}}}}),
        ("config-dump", {"configs": [DUMPED]}),
    ],
)
async def test_one_dataplane_is_inspected_in_each_way(outrig: Command, view: str, shown: dict[str, Any]) -> None:
    await outrig("apply", "-f", "-", text=DATAPLANE.format(mesh="default", name="kv-1"))
    key = Key("kuma.io", "Dataplane", "default", "", "kv-1")
    outrig.kuma.live.configs[key] = {LISTENER: {"in": {"address": {}}}}
    said = await outrig("inspect", "dataplane", "kv-1", "--type", view)
    assert json.loads(said.out).items() >= shown.items(), said.err


async def test_what_cannot_be_inspected_is_refused_with_what_can(outrig: Command) -> None:
    said = await outrig("inspect", "dataplane", "kv-1", "--type", "stats")
    assert said.code == 2
    assert all(view in said.err for view in ("overview", "rules", "policies", "config-dump"))
    nameless = await outrig("inspect", "dataplane")
    assert "which dataplane?" in nameless.err
    absent = await outrig("inspect", "dataplane", "nobody")
    assert "OUT904 /meshes/default/dataplanes/nobody/_overview" in absent.err


async def test_a_document_may_be_at_a_url(outrig: Command) -> None:
    agents: list[str] = []

    async def page(request: Request) -> PlainTextResponse:
        agents.append(request.headers["user-agent"])
        return PlainTextResponse(MESH, status_code=200 if request.url.path == "/mesh.yaml" else 404)

    async with serve(Starlette(routes=[Route("/{path}", page)]), host="127.0.0.1", port=0) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert await outrig("apply", "-f", f"{url}/mesh.yaml") == Said("Mesh shop created\n", "", 0)
        absent = await outrig("apply", "-f", f"{url}/other.yaml")
    assert (absent.out, absent.code) == ("", 2)
    assert f"OUT905 {url}/other.yaml: cannot be read: " in absent.err
    assert "404" in absent.err
    assert agents == [f"outrig/{__version__}"] * 2


async def test_what_the_command_writes_is_managed_by_outrig(outrig: Command) -> None:
    await outrig("apply", "-f", "-", text=SERVICE)
    stored = yaml.safe_load((await outrig("get", "service", "ratings", "-o", "yaml")).out)
    assert [one["manager"] for one in stored["metadata"]["managedFields"]] == ["outrig"]


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
