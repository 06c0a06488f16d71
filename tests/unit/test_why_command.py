"""`outrig why` and its API: who may ask, what is refused and how, and how a control plane is found."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml
from starlette.applications import Starlette

from outrig.api.serving import serve
from outrig.cli.kubeconfig import read_access
from outrig.snapshot import LISTENER, ProxyId
from outrig.xds.subscription import Rejection
from tests.unit.why_making import Asking, asking, command
from tests.unit.why_mesh import ACCOUNT, bookinfo, task_id

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

GOOD = ("productpage", "http://details:9080")


def refusals(proxy: ProxyId) -> tuple[Rejection, ...]:
    """One proxy cannot bind."""
    refused = Rejection(LISTENER, "127.0.0.2_9080", "1", "cannot bind '127.0.0.2:9080': Address already in use")
    return (refused,) if proxy.startswith("bookinfo/reviews-") else ()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    async with asking(tmp_path_factory.mktemp("why"), *bookinfo(), refusals=refusals) as found:
        yield found


PAGE = f"bookinfo/productpage task {task_id('10.0.1.4')[:8]}"
ENTRY = f"productpage-aws-aws-{ACCOUNT}-eu-west-1a-ecs-shop-{task_id('10.0.1.4')}"


@pytest.mark.parametrize(
    "source",
    [f"bookinfo/{ENTRY}", ENTRY, "productpage", "bookinfo/product", task_id("10.0.1.4"), task_id("10.0.1.4")[:8]],
)
async def test_a_caller_is_known_by_its_name_a_beginning_its_group_or_its_task(api: Asking, source: str) -> None:
    said = await api.why(source, "http://details:9080")
    assert said.code == 0, said
    first, step, entry, *_ = said.out.splitlines()
    assert (first, step.split(" ok ")[1].strip()) == (f"{PAGE} calls http://details:9080", f"{PAGE} (10.0.1.4)")
    assert entry.strip() == f"bookinfo/{ENTRY}"


async def test_of_a_group_a_ready_member_is_asked_about(api: Asking) -> None:
    said = await api.why("details", "http://details:9080")
    assert said.out.startswith(f"bookinfo/details task {task_id('10.0.1.6')[:8]} calls")
    assert "one of 2 that are meant" in said.out


async def test_a_namespace_narrows_what_a_name_means(api: Asking) -> None:
    assert (await api.why(*GOOD, "-n", "bookinfo")).code == 0
    said = await api.why(*GOOD, "-n", "billing")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("OUT901 namespace or mesh 'billing': has no workload now (known: bookinfo)")


async def test_the_help_speaks_of_both_dialects(tmp_path: Path) -> None:
    said = (await command("why", "--help", kubeconfig=tmp_path / "none")).out
    for word in ("Dataplane (mesh/name)", "WorkloadEntry", "http://127.0.0.1:PORT/PATH"):
        assert word in said


async def test_a_viewer_may_ask_and_others_may_not(api: Asking) -> None:
    assert (await api.why(*GOOD, group="outrig:viewers")).code == 0
    said = await api.why(*GOOD, group="others")
    assert (said.code, said.out) == (2, "")
    assert 'User "somebody" cannot get path "/outrig/v1/why"' in said.err


async def test_an_address_serves_in_place_of_a_kubeconfig(api: Asking) -> None:
    root = api.home / "root.pem"
    root.write_text(api.authorities.control.pem)
    at = ("--address", api.server, "--ca-cert-file", str(root))
    said = await command("why", *GOOD, *at, kubeconfig=api.home / "none")
    assert 'User "system:anonymous" cannot get path "/outrig/v1/why"' in said.err


async def test_json_says_the_same(api: Asking) -> None:
    said = await api.why(*GOOD, "-o", "json")
    found: dict[str, Any] = json.loads(said.out)
    assert (found["kind"], found["answered"], found["ending"]) == ("Explanation", True, "answered")
    assert [one["part"] for one in found["steps"]] == [
        *("caller", "listener", "route", "cluster", "endpoints", "receiver", "application")
    ]
    assert found["steps"][2]["resource"] == "Service bookinfo/details"


async def test_what_a_proxy_refuses_is_known(api: Asking) -> None:
    said = await api.why("reviews", "http://details:9080")
    assert said.code == 1
    assert "cannot bind '127.0.0.2:9080'" in said.out


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "parameter 'source' is missing"),
        ({"source": "productpage"}, "parameter 'target' is missing"),
        ({"source": "productpage", "target": "x:1", "hint": "y"}, "unknown parameter 'hint'"),
        ({"source": "productpage", "target": ["x:1", "y:1"]}, "parameter 'target' is there twice"),
        ({"source": "productpage", "target": "\x00"}, "OUT901 target"),
        ({"source": "productpage", "target": "a" * 5000}, "OUT901 target"),
        ({"source": "\u2028", "target": "x:1"}, "OUT901 source"),
        ({"source": "productpage", "target": "x:1", "via": "nowhere"}, "OUT901 --via"),
        ({"source": "productpage", "target": "x:1", "via": "[::1"}, "OUT901 --via"),
    ],
)
async def test_a_question_that_cannot_be_understood_is_refused_with_a_status(
    api: Asking, query: dict[str, Any], says: str
) -> None:
    await api.why(*GOOD)  # which makes the kubeconfig
    user = yaml.safe_load((api.home / "outrig-admins").read_text())
    async with client(api, user) as http:
        answer = await http.get("/outrig/v1/why", params=query)
        status = answer.json()
        assert (answer.status_code, status["kind"], status["reason"]) == (400, "Status", "BadRequest")
        assert says in status["message"]


def client(api: Asking, config: dict[str, Any]) -> httpx.AsyncClient:
    """A client as that kubeconfig says."""
    path = api.home / "again"
    path.write_text(yaml.safe_dump(config))
    return httpx.AsyncClient(base_url=api.server, verify=read_access([path]).tls)


async def test_only_reading_is_served_there_and_the_rest_is_kubernetes(api: Asking) -> None:
    await api.why(*GOOD)
    async with client(api, yaml.safe_load((api.home / "outrig-admins").read_text())) as http:
        assert (await http.post("/outrig/v1/why")).status_code == 405
        assert (await http.get("/outrig/v1/nothing")).json()["reason"] == "NotFound"
        assert (await http.get("/api/v1/namespaces/bookinfo/services")).json()["kind"] == "ServiceList"


async def test_without_credentials_nothing_is_told(api: Asking) -> None:
    await api.why(*GOOD)
    config = yaml.safe_load((api.home / "outrig-admins").read_text())
    config["users"][0]["user"] = {}
    async with client(api, config) as http:
        answer = await http.get("/outrig/v1/why", params={"source": "productpage", "target": "x:1"})
        assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")


BROKEN = {
    "absent": (None, "there is no kubeconfig"),
    "no yaml": ("{", "cannot be read"),
    "a list": ("[]", "is no kubeconfig"),
    "empty": ("", "has no current context"),
    "no context": ("current-context: x", "there is no context 'x'"),
    "no server": (
        "{current-context: x, contexts: [{name: x, context: {cluster: c}}], clusters: [{name: c, cluster: {a: b}}]}",
        "names no server",
    ),
    "a plug-in": (
        "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'https://h'}}], users: [{name: u, user: {exec: {command: aws}}}]}",
        "credentials come from a plug-in program",
    ),
    "bad base64": (
        "{current-context: x, contexts: [{name: x, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {server: 'https://h', certificate-authority-data: '*'}}]}",
        "certificate-authority: cannot be read",
    ),
    "no certificate": (
        "{current-context: x, contexts: [{name: x, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {server: 'https://h', certificate-authority-data: aGVsbG8=}}]}",
        "holds no usable certificate",
    ),
    "nobody there": (
        "{current-context: x, contexts: [{name: x, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}",
        "OUT903 http://127.0.0.1:1: the control plane cannot be reached",
    ),
    "no url": (
        "{current-context: x, contexts: [{name: x, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {server: '127.0.0.1'}}]}",
        "OUT903 127.0.0.1",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_kubeconfig_that_cannot_be_used_is_said_in_a_line(tmp_path: Path, case: str) -> None:
    content, says = BROKEN[case]
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    said = await command("why", *GOOD, kubeconfig=path)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert len(said.err.splitlines()) == 1


async def test_of_several_kubeconfigs_the_first_that_says_something_counts(api: Asking) -> None:
    await api.why(*GOOD)
    first = api.home / "first"
    first.write_text("{current-context: outrig, contexts: []}")
    both = Path(f"{first}:{api.home / 'outrig-admins'}:/nowhere")
    assert (await command("why", *GOOD, kubeconfig=both)).code == 0


async def test_what_answers_and_is_no_control_plane_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "config"
    async with serve(Starlette(), host="127.0.0.1", port=0) as serving:
        server = f"http://127.0.0.1:{serving.port}"
        cluster = [{"name": "c", "cluster": {"server": server}}]
        context = [{"name": "x", "context": {"cluster": "c"}}]
        path.write_text(json.dumps({"current-context": "x", "contexts": context, "clusters": cluster}))
        said = await command("why", *GOOD, kubeconfig=path)
    assert (said.code, said.err) == (2, f"OUT903 {server}: it answers HTTP 404, and not as a control plane does")
