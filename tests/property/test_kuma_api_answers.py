"""Whatever is sent to Kuma's API is answered: accepted, or refused with a problem document; and what it shows can be
shown to kubectl and compiled for proxies.
"""

import asyncio
import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrig.admission.meshes import Meshes
from outrig.ca.settings import CaSettings
from outrig.compile import Index
from outrig.dialects import core, istio, kuma, onboarding
from outrig.resources import Resource
from outrig.store.protocol import Query, Transaction
from outrig.tokens.keys import dataplane_ring, secret_body
from tests.attacks.dataplane_scene import signing_pem
from tests.unit.kuma_making import MTLS, Kuma, dataplane, mesh, permission, serving

pytestmark = pytest.mark.slow

SECRET = {"type": "Secret", "mesh": "default", "name": "s", "data": "eA=="}
FROM = {"from": [{"targetRef": {"kind": "MeshService", "name": "web"}, "default": {"action": "Allow"}}]}
RULES = {"rules": [{"default": {"allow": [{"spiffeID": {"type": "Prefix", "value": "spiffe://x/"}}]}}]}
OUTBOUND = [{"port": 8080, "tags": {"kuma.io/service": "ratings_default_svc_9080"}}]
PROBED = [{"port": 1, "serviceProbe": {"interval": "1s", "tcp": {}}, "tags": {"kuma.io/service": "kv"}}]
DOCUMENTS = [
    ("/meshes/default/dataplanes/kv-1", dataplane(outbound=OUTBOUND)),
    ("/meshes/default/dataplanes/kv-2", dataplane("kv-2", inbound=PROBED)),
    ("/meshes/default/dataplanes/edge", dataplane("edge", inbound=[], gateway={"tags": {"kuma.io/service": "edge"}})),
    ("/meshes/default", mesh("default", mtls=MTLS)),
    ("/meshes/bank", mesh("bank", constraints={"dataplaneProxy": {"requirements": [{"tags": {"a": "*"}}]}})),
    ("/meshes/default/meshtrafficpermissions/p", permission("p", targetRef={"kind": "Mesh"}, **FROM)),
    ("/meshes/default/meshtrafficpermissions/q", permission("q", **RULES)),
    ("/meshes/default/secrets/s", SECRET),
    ("/global-secrets/s", {"type": "GlobalSecret", "name": "s", "data": "eA=="}),
    ("/zones/z", {"type": "Zone", "name": "z"}),
    ("/tokens/dataplane", {"mesh": "default", "validFor": "1h", "tags": {"a": ["b"]}}),
    ("/tokens/user", {"name": "a", "groups": ["b"], "validFor": "1h"}),
]
READS = [
    *(path for path, _ in DOCUMENTS),
    *(
        f"/meshes/default/dataplanes{rest}"
        for rest in ("", "/_overview", "/kv-1/_overview", "/kv-1/_rules", "/kv-1/_policies")
    ),
    *("/dataplanes", "/dataplanes+insights", "/meshes", "/meshes/_overview", "/mesh-insights", "/global-insight"),
    *(
        "/zones/_overview",
        "/meshes/default/meshtrafficpermissions/p/_resources/dataplanes",
        "/",
        "/_resources",
        "/config",
    ),
    *("/api/v1/namespaces", "/apis/networking.istio.io/v1/workloadentries", "/meshes/default/meshretries/x"),
]
WORDS = st.sampled_from(
    [
        "",
        "default",
        "bank",
        "kv",
        "kv-1",
        "10.0.0.1",
        "::1",
        "*",
        "-",
        "%00",
        "\0",
        "\ud800",
        "é",
        "a" * 300,
        "Mesh",
        "STRICT",
    ]
)
PARAMETERS = st.sampled_from(["size", "offset", "name", "tag", "gateway", "format", "filter[labels.a]", "filter["])
NAMES = st.text("ab-.", min_size=1, max_size=64).map(lambda text: f"a{text}"[-64:])
VALUES = st.one_of(WORDS, st.integers(-(2**64), 2**64), st.booleans(), st.none(), st.floats(), st.just([]), st.just({}))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, Any]:
    """A valid document, perhaps of another name, changed in a few places."""
    path, document = draw(st.sampled_from(DOCUMENTS))
    changed: Any = copy.deepcopy(document)
    if path.startswith(("/mesh", "/zone")) and draw(st.booleans()):
        changed["name"] = draw(st.one_of(NAMES, st.integers(1, 64).map(lambda length: "a" * length)))
        path = f"{path.rpartition('/')[0]}/{changed['name']}"
    for _ in range(draw(st.integers(0, 3))):
        *steps, last = draw(st.sampled_from([place for place in places(changed) if place]))
        here = changed
        for step in steps:
            here = here[step]
        if isinstance(here, dict) and draw(st.booleans()):
            here[draw(WORDS) or last] = draw(VALUES)
        else:
            here[last] = draw(VALUES)
    return path, changed


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A method, a path with its query, a body."""
    method = draw(st.sampled_from(["GET", "PUT", "PUT", "DELETE", "POST", "PATCH", "HEAD"]))
    path, document = draw(documents())
    if draw(st.booleans()):
        path = draw(st.sampled_from(READS))
    if draw(st.integers(0, 4)) == 0:
        parts = st.sampled_from([*path.split("/"), "%2F", "_overview", "%ff", "a b"])
        path = "/" + "/".join(draw(st.lists(parts, max_size=6)))
    query = draw(st.lists(st.tuples(PARAMETERS, WORDS), max_size=3))
    written = "&".join(f"{key}={quoted(value)}" for key, value in query)
    return method, f"{path}?{written}" if written else path, json.dumps(document).encode()


def quoted(text: str) -> str:
    """A text as it stands in a URL."""
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "ignore"))


class Cheap(Meshes):
    """Keeps Meshes as they are kept, but that all have one signing key: making one takes a tenth of a second."""

    async def __call__(self, tx: Transaction, name: str, mesh: Resource | None) -> None:
        first = dataplane_ring(name).key_of(1)
        if mesh and await tx.get(first) is None:
            await tx.create(Resource(first, body=secret_body(signing_pem(""))))
        await super().__call__(tx, name, mesh)


async def exchange(api: Kuma, method: str, path: str, body: bytes) -> None:
    answer = await api.request(
        method, f"http://mesh.test{path}", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code < 500, (method, path, body, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        problem = answer.json()
        assert problem.get("type") == "/std-errors" or problem.get("kind") == "Status", answer.text
        assert problem.get("detail") or problem.get("message")


async def play(sent: list[tuple[str, str, bytes]]) -> None:
    async with serving() as api:
        api.kept.keep = Cheap(CaSettings())
        for path, document in DOCUMENTS[:10]:
            assert (await api.put(path, json=document)).status_code in (200, 201), path
        for method, path, body in sent:
            await exchange(api, method, path, body)
        for path in READS:
            await exchange(api, "GET", path, b"")
        stored = {one.key: one for one in (await api.store.list(Query())).items}
        Index((*core.KINDS, *istio.KINDS, *onboarding.KINDS, *kuma.KINDS)).apply(stored)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(requests(), min_size=1, max_size=12))
def test_every_request_is_answered_and_what_is_stored_can_be_used(sent: list[tuple[str, str, bytes]]) -> None:
    asyncio.run(play(sent))
