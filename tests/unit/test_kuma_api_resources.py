"""Kuma's API: resources are written, read, listed and deleted as its clients expect, or refused and nothing changes."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from outrig.admission.meshes import Meshes
from outrig.ca.meshes import find_authority
from outrig.ca.settings import CaSettings
from outrig.resources import Key, Resource
from outrig.store.protocol import AlreadyExists, Conflict, Query, Unavailable
from tests.unit.kuma_making import MTLS, Kuma, dataplane, mesh, permission, serving

PLANES = "/meshes/default/dataplanes"
SECRETS = "/meshes/default/secrets"


@pytest.fixture
async def api() -> AsyncIterator[Kuma]:
    async with serving() as client:
        yield client


async def test_a_dataplane_is_created_read_replaced_and_deleted(api: Kuma) -> None:
    assert await api.written(f"{PLANES}/kv-1", dataplane()) == {}
    found = await api.read(f"{PLANES}/kv-1")
    assert {key: found[key] for key in ("type", "mesh", "name")} == {
        "type": "Dataplane", "mesh": "default", "name": "kv-1",
    }  # fmt: skip
    assert found["networking"] == dataplane()["networking"]
    assert found["creationTime"] == found["modificationTime"]
    assert found["kri"] == "kri_dp_default_default__kv-1_"
    assert await api.written(f"{PLANES}/kv-1", dataplane(address="10.0.0.2"), 200) == {}
    changed = await api.read(f"{PLANES}/kv-1")
    assert changed["networking"]["address"] == "10.0.0.2"
    assert changed["modificationTime"] == "2026-11-22T12:00:00Z"
    gone = await api.delete(f"{PLANES}/kv-1")
    assert (gone.status_code, gone.json()) == (200, {})
    assert (await api.refused("GET", f"{PLANES}/kv-1", 404))["title"] == "Could not retrieve a resource"
    gone = await api.refused("DELETE", f"{PLANES}/kv-1", 404)
    assert gone["detail"] == 'Not found: there is no Dataplane "kv-1" in mesh "default"'


async def test_what_was_read_can_be_written_back_and_changes_nothing(api: Kuma) -> None:
    await api.written(f"{PLANES}/kv-1", {**dataplane(), "labels": {"team": "a"}})
    found = await api.read(f"{PLANES}/kv-1")
    assert found["labels"] == {
        "team": "a",
        "kuma.io/mesh": "default",
        "kuma.io/zone": "default",
        "kuma.io/origin": "zone",
        "kuma.io/env": "universal",
        "kuma.io/proxy-type": "sidecar",
    }
    revision = await api.store.revision()
    assert await api.written(f"{PLANES}/kv-1", found, 200) == {}
    assert await api.store.revision() == revision
    assert await api.read(f"{PLANES}/kv-1") == found


async def test_a_label_of_the_control_plane_cannot_be_set(api: Kuma) -> None:
    wrong = await api.wrong_fields(f"{PLANES}/kv-1", {**dataplane(), "labels": {"kuma.io/zone": "other"}})
    why = 'label "kuma.io/zone" is managed by the control plane: got "other", expected "default"'
    assert wrong == {'labels["kuma.io/zone"]': why}


async def test_a_display_name_stays_what_it_is(api: Kuma) -> None:
    label = "kuma.io/display-name"
    await api.written(f"{PLANES}/kv-1", {**dataplane(), "labels": {label: "kv"}})
    assert (await api.read(f"{PLANES}/kv-1"))["kri"] == "kri_dp_default_default__kv_"
    wrong = await api.wrong_fields(f"{PLANES}/kv-1", {**dataplane(), "labels": {label: "other"}})
    assert wrong == {f'labels["{label}"]': 'is immutable, cannot be changed from "kv" to "other"'}
    await api.written(f"{PLANES}/kv-1", {**dataplane(address="10.0.0.2"), "labels": {label: "kv"}}, 200)


async def test_url_and_body_must_agree(api: Kuma) -> None:
    said = await api.wrong_fields(f"{PLANES}/kv-2", {**dataplane("kv-1", mesh="other"), "type": "Mesh"})
    assert set(said) == {"type", "mesh", "name"}
    assert said["name"].startswith("name from the URL has to be the same as in body")


async def test_every_problem_of_a_document_is_named_at_once(api: Kuma) -> None:
    document = {**dataplane(inbound=[{"port": 1, "prot": "http"}], adress="x"), "labels": {"a b": "c"}}
    said = await api.wrong_fields(f"{PLANES}/kv-1", document)
    assert said["networking.adress"] == "unknown field (did you mean 'address'?)"
    assert "networking.inbound[0].prot" in said
    assert 'labels["a b"]' in said


async def test_a_mesh_that_is_not_there_hides_nothing_and_is_not_hidden(api: Kuma) -> None:
    wrong = await api.wrong_fields("/meshes/none/dataplanes/kv-1", dataplane(mesh="none", inbound=[], outbond=[]))
    assert set(wrong) == {"mesh", "networking.inbound", "networking.outbond"}


async def test_a_bad_name_hides_nothing_of_what_is_below_it(api: Kuma) -> None:
    document = {**dataplane("Kv", inbound=[{"port": 99999, "prot": "x", "tags": {"a": "b"}}]), "labels": {"a": "b c"}}
    assert set(await api.wrong_fields(f"{PLANES}/Kv", document)) == {
        "name",
        "labels.a",
        "networking.inbound[0].prot",
        "networking.inbound[0].port",
        'networking.inbound[0].tags["kuma.io/service"]',
    }


async def test_an_overlong_name_of_a_mesh_is_told_the_limit_and_why(api: Kuma) -> None:
    said = await api.wrong_fields(f"/meshes/{'a' * 64}", mesh("a" * 64))
    why = "the label kuma.io/mesh has it as its value, which is no longer"
    assert said == {"name": f"must have at most 63 characters, and has 64 ({why}) [OUT314]"}


async def test_what_a_kind_refuses_is_refused_with_its_place(api: Kuma) -> None:
    said = await api.wrong_fields(f"{PLANES}/kv-1", dataplane(inbound=[{"port": 99999, "tags": {"a": "b"}}]))
    assert said["networking.inbound[0].port"].startswith("port must be in the range [1, 65535]")
    assert 'networking.inbound[0].tags["kuma.io/service"]' in said


async def test_warnings_come_with_the_answer(api: Kuma) -> None:
    answer = await api.written(f"{PLANES}/kv-1", dataplane(admin={"port": 9901}))
    assert [one for one in answer["warnings"] if one.startswith("networking.admin")]


async def test_an_unknown_mesh_is_said(api: Kuma) -> None:
    problem = await api.refused("PUT", "/meshes/other/dataplanes/kv-1", 400, json=dataplane(mesh="other"))
    assert problem["detail"] == "Mesh is not found"
    assert problem["causes"][0]["field"] == "mesh"
    assert (await api.refused("GET", "/meshes/other/dataplanes", 404))["title"] == "Failed to retrieve Mesh"


async def test_the_constraints_of_a_mesh_hold_for_what_is_written(api: Kuma) -> None:
    rule = {"dataplaneProxy": {"requirements": [{"tags": {"team": "a"}}]}}
    await api.written("/meshes/default", mesh("default", constraints=rule), 200)
    said = await api.wrong_fields(f"{PLANES}/kv-1", dataplane())
    assert "not allowed to be a part of the mesh" in said["networking.inbound[0]"]


async def test_a_mesh_takes_its_authority_along_in_the_same_transaction(api: Kuma) -> None:
    await api.written("/meshes/bank", mesh("bank", mtls=MTLS))
    name, kept = api.kept.meshes[-1]
    assert (name, kept and kept.key) == ("bank", Key("kuma.io", "Mesh", "bank", "", "bank"))
    found = await api.read("/meshes/bank")
    assert "mesh" not in found
    assert found["kri"] == "kri_m____bank_"
    assert (await api.delete("/meshes/bank")).status_code == 200
    assert api.kept.meshes[-1] == ("bank", None)


async def test_a_mesh_whose_authority_is_refused_is_not_written(api: Kuma) -> None:
    api.kept.keep = Meshes(CaSettings())
    conf = {"cert": {"secret": "ca-cert"}, "key": {"secret": "ca-key"}}
    provided = {"enabledBackend": "ours", "backends": [{"name": "ours", "type": "provided", "conf": conf}]}
    said = await api.wrong_fields("/meshes/default", mesh("default", mtls=provided))
    assert "there is no Secret 'ca-cert'" in said["mtls.backends[0].conf.cert.secret"]
    assert "there is no Secret 'ca-key'" in said["mtls.backends[0].conf.key.secret"]


async def test_a_mesh_that_was_written_has_an_authority_and_can_issue_tokens(api: Kuma) -> None:
    api.kept.keep = Meshes(CaSettings())
    await api.written("/meshes/bank", mesh("bank", mtls=MTLS))
    answer = await api.post("/tokens/dataplane", json={"mesh": "bank", "validFor": "1h"})
    assert answer.status_code == 200, answer.text
    assert await find_authority(api.store, "bank") is not None
    assert len((await api.read("/meshes/bank/secrets"))["items"]) == 1
    assert (await api.delete("/meshes/bank")).status_code == 200
    left = [one.key for one in (await api.store.list(Query())).items if "bank" in str(one.key)]
    assert left == []


async def test_a_mesh_with_dataplanes_stays(api: Kuma) -> None:
    await api.written("/meshes/bank", mesh("bank"))
    await api.written("/meshes/bank/dataplanes/kv-1", dataplane(mesh="bank"))
    problem = await api.refused("DELETE", "/meshes/bank", 400)
    assert "unable to delete mesh, there are still some dataplanes attached: kv-1" in problem["causes"][0]["message"]
    await api.delete("/meshes/bank/dataplanes/kv-1")
    assert (await api.delete("/meshes/bank")).status_code == 200


async def test_a_mesh_with_namespaces_stays(api: Kuma) -> None:
    problem = await api.refused("DELETE", "/meshes/default", 400)
    assert "namespaces attached: default" in problem["causes"][0]["message"]


async def test_a_mesh_takes_with_it_what_is_in_it(api: Kuma) -> None:
    await api.written("/meshes/bank", mesh("bank"))
    secret = {"type": "Secret", "mesh": "bank", "name": "ca", "data": "eA=="}
    await api.written("/meshes/bank/secrets/ca", secret)
    await api.delete("/meshes/bank")
    assert (await api.store.list(Query(mesh="bank"))).items == ()


async def test_secrets_keep_their_mesh_up_to_date(api: Kuma) -> None:
    await api.written(f"{SECRETS}/ca", {"type": "Secret", "mesh": "default", "name": "ca", "data": "eA=="})
    assert api.kept.meshes[-1][0] == "default"
    assert api.kept.meshes[-1][1] is not None, "the mesh is there still"


@pytest.mark.parametrize(
    "path",
    [
        "/meshes/default/secrets/dataplane-token-signing-key-default-7",
        "/global-secrets/zone-token-signing-key-7",
        "/global-secrets/user-token-signing-key",
    ],
)
async def test_what_is_named_as_a_signing_key_must_be_one(api: Kuma, path: str) -> None:
    scope = {"type": "Secret", "mesh": "default"} if "meshes" in path else {"type": "GlobalSecret"}
    document = {**scope, "name": path.rpartition("/")[2], "data": base64.b64encode(b"top secret").decode()}
    problem = await api.refused("PUT", path, 400, json=document)
    (wrong,) = problem["causes"]
    assert wrong["field"] == "data"
    assert wrong["message"].startswith("is no private key in PEM")
    assert wrong["message"].endswith("[OUT152]")
    assert "top secret" not in str(problem)
    assert await api.store.get(Key("kuma.io", scope["type"], scope.get("mesh", ""), "", document["name"])) is None


@pytest.mark.parametrize(
    "path",
    [
        "/meshes/default/secrets/dataplane-token-revocations-default",
        "/global-secrets/dataplane-token-revocations-default",
        "/global-secrets/zone-token-revocations",
        "/global-secrets/user-token-revocations",
    ],
)
async def test_what_is_named_as_a_list_of_revoked_tokens_must_be_a_text(api: Kuma, path: str) -> None:
    """With one that is none every token would be refused."""
    scope = {"type": "Secret", "mesh": "default"} if "meshes" in path else {"type": "GlobalSecret"}
    document = {**scope, "name": path.rpartition("/")[2], "data": "/////w=="}
    (message,) = (await api.wrong_fields(path, document)).values()
    assert message.startswith("its data is no base64 of a text, and resources of this name list revoked tokens")
    await api.written(path, {**document, "data": base64.b64encode(b"a, b\nc").decode()})
    await api.written(
        path.replace("revocations", "revoked"), {**document, "name": document["name"].replace("cations", "ked")}
    )


@pytest.mark.parametrize("data", ["aGVsbG8=\n", "aGVs\nbG8=", "\r\naGVs\r\nbG8=\r\n"])
async def test_a_secret_may_have_lines_and_is_kept_in_one(api: Kuma, data: str) -> None:
    path = f"{SECRETS}/lines"
    await api.written(path, {"type": "Secret", "mesh": "default", "name": "lines", "data": data})
    assert (await api.read(path))["data"] == "aGVsbG8="


@pytest.mark.parametrize("data", ["aGVsbG8", "_-8=", "aGVs bG8=", "aGVs\tbG8="])
async def test_another_spelling_of_base64_is_refused(api: Kuma, data: str) -> None:
    said = await api.wrong_fields(f"{SECRETS}/s", {"type": "Secret", "mesh": "default", "name": "s", "data": data})
    assert "in the standard alphabet and padded" in said["data"]


async def test_a_secret_that_is_no_base64_is_not_repeated(api: Kuma) -> None:
    document = {"type": "Secret", "mesh": "default", "name": "ca", "data": "my-password!"}
    problem = await api.refused("PUT", f"{SECRETS}/ca", 400, json=document)
    assert problem["causes"][0]["field"] == "data"
    assert "my-password" not in str(problem)


async def test_global_kinds_are_in_no_mesh(api: Kuma) -> None:
    document = {"type": "GlobalSecret", "name": "key", "data": "eA=="}
    await api.written("/global-secrets/key", document)
    assert (await api.read("/globalsecrets/key"))["data"] == "eA=="
    await api.written("/zones/east", {"type": "Zone", "name": "east"})
    assert (await api.read("/zones/east"))["enabled"] is True
    await api.refused("GET", "/meshes/default/zones", 404)
    said = await api.wrong_fields("/zones/west", {"type": "Zone", "name": "west", "mesh": "default"})
    assert set(said) == {"mesh"}


@pytest.mark.parametrize(
    "path",
    [
        "/meshes/default/meshservices/kv",
        "/meshes/default/meshtimeouts/t",
        "/meshes/default/retries/r",
        "/meshes/default/meshopas/o",
        "/meshes/default/meshglobalratelimits/g",
        "/access-roles/a",
        "/accessrolebindings/b",
        "/access-audits/c",
    ],
)
async def test_kinds_of_later_say_so(api: Kuma, path: str) -> None:
    problem = await api.refused("PUT", path, 405, json={})
    assert "is not supported yet" in problem["detail"]
    assert await api.read(path.rpartition("/")[0]) == {"total": 0, "items": [], "next": None}
    await api.refused("GET", path, 404)


async def test_insights_are_read_only(api: Kuma) -> None:
    problem = await api.refused("PUT", "/meshes/default/dataplane-insights/kv-1", 405, json={})
    assert "_overview" in problem["detail"]


@pytest.mark.parametrize("name", ["Kv_1", "-a", "a" * 254, "kv%20"])
async def test_what_cannot_be_a_name_is_nowhere_and_cannot_be_made(api: Kuma, name: str) -> None:
    path = f"{PLANES}/{name}"
    await api.refused("GET", path, 404)
    await api.refused("DELETE", path, 404)
    assert "name" in await api.wrong_fields(path, dataplane(name.replace("%20", " ")))


async def test_a_name_that_no_database_can_hold_is_not_even_looked_up(
    api: Kuma, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = api.store.get

    async def get(key: Key) -> Resource | None:
        assert "\0" not in key.name + key.mesh
        return await really(key)

    monkeypatch.setattr(api.store, "get", get)
    await api.refused("GET", "/meshes/default/dataplanes/a%00b", 404)
    await api.refused("GET", "/meshes/a%00b/dataplanes/kv-1", 404)
    await api.refused("GET", "/meshes/a%00b/dataplanes", 404)
    await api.refused("DELETE", "/meshes/a%00b/dataplanes/kv-1", 404)
    await api.refused("PUT", "/meshes/default/dataplanes/a%00b", 400, json=dataplane())
    await api.refused("PUT", "/meshes/a%00b/dataplanes/kv-1", 400, json=dataplane())


async def test_zone_proxies_are_made_by_joining_alone(api: Kuma) -> None:
    problem = await api.refused("PUT", "/zone-ingresses/z", 405, json={})
    assert "when its proxy joins" in problem["detail"]


async def test_another_form_of_documents_is_refused(api: Kuma) -> None:
    problem = await api.refused("GET", "/meshes/default?format=k8s", 400)
    assert problem["causes"][0]["field"] == "format"
    await api.read("/meshes/default", format="universal")


@pytest.mark.parametrize(
    ("content", "media", "code"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"a":1,"a":2}', "application/json", 400),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b" " * (3 * 1024 * 1024 + 1), "application/json", 413),
    ],
)
async def test_bodies_that_are_no_document_are_refused(api: Kuma, content: bytes, media: str, code: int) -> None:
    await api.refused("PUT", f"{PLANES}/kv-1", code, content=content, headers={"content-type": media})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", PLANES, "GET, HEAD"),
        ("PUT", PLANES, "GET, HEAD"),
        ("DELETE", "/meshes", "GET, HEAD"),
        ("PATCH", f"{PLANES}/kv-1", "GET, HEAD, PUT, DELETE"),
        ("PUT", f"{PLANES}/kv-1/_overview", "GET, HEAD"),
        ("PUT", "/dataplanes/kv-1", ""),
        ("PUT", "/zone-ingresses/edge", "GET, HEAD, DELETE"),
        ("PUT", "/meshes/default/meshtimeouts/slow", "GET, HEAD"),
        ("GET", "/tokens/user", "POST"),
        ("POST", "/config", "GET, HEAD"),
        ("DELETE", "/mesh-insights", "GET, HEAD"),
    ],
)
async def test_a_method_that_there_is_not_is_told_which_are(api: Kuma, method: str, path: str, allowed: str) -> None:
    await api.refused(method, path, 405, json=dataplane())
    assert (await api.request(method, path, json=dataplane())).headers["allow"] == allowed


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"content-encoding": "gzip"}, "Content-Encoding gzip"),
        ({"content-type": "application/json; charset=utf-16"}, "charset utf-16"),
        ({"content-type": 'application/yaml;a=b; Charset="latin1"'}, "charset latin1"),
    ],
)
async def test_a_body_in_another_coding_is_refused(api: Kuma, headers: dict[str, str], named: str) -> None:
    sent = {"content": json.dumps(dataplane()), "headers": headers}
    assert named in (await api.refused("PUT", f"{PLANES}/kv-1", 415, **sent))["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "identity"},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": 'application/json;CHARSET="UTF-8"'},
    ],
)
async def test_a_body_that_says_how_all_are_coded_is_taken(api: Kuma, headers: dict[str, str]) -> None:
    answer = await api.put(f"{PLANES}/kv-1", content=json.dumps(dataplane()), headers=headers)
    assert answer.status_code == 201, answer.text


async def test_paths_that_lead_nowhere_are_not_found(api: Kuma) -> None:
    for path in ("/meshes/default/things", "/meshes//dataplanes", f"{PLANES}/kv-1/_nothing", f"{PLANES}/_rules"):
        assert (await api.get(path)).status_code == 404, path
    for path, why in (("/gui/", "there is no GUI"), ("/versions", "gone from Kuma"), ("/_kri/kri_m____a_", "by KRI")):
        assert why in (await api.refused("GET", path, 404))["detail"]
    status = (await api.get("/nothing-at-all")).json()
    assert status["kind"] == "Status", "paths that are not Kuma's stay kubectl's"


async def test_a_store_that_is_away_is_said_to_be_away(api: Kuma, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> Resource:
        raise Unavailable("database", "is not there")

    monkeypatch.setattr(api.store, "get", away)
    answer = await api.get(f"{PLANES}/kv-1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["status"] == 503


async def test_writers_who_are_always_slower_are_told_of_the_conflict(
    api: Kuma, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict() -> Any:
        raise Conflict("kv-1", "changed")

    monkeypatch.setattr(api.store, "transaction", conflict)
    problem = await api.refused("PUT", f"{PLANES}/kv-1", 409, json=dataplane())
    assert problem["title"] == "Conflict"


async def test_a_policy_is_a_resource_like_others(api: Kuma) -> None:
    path = "/meshes/default/meshtrafficpermissions/mine"
    document = permission("mine", **{"from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}]})
    await api.written(path, document)
    found = await api.read(path)
    assert found["spec"] == document["spec"]
    assert found["kri"] == "kri_mtp_default_default__mine_"


async def test_of_many_who_create_one_resource_at_once_one_creates_it(api: Kuma) -> None:
    answers = await asyncio.gather(*(api.put(f"{PLANES}/kv-1", json=dataplane()) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]


async def test_what_another_created_meanwhile_is_replaced(api: Kuma, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.written(f"{PLANES}/kv-1", dataplane())
    really = api.store.transaction
    refused = iter([AlreadyExists("kv-1", "is there already")])

    def transaction() -> Any:
        if error := next(refused, None):
            raise error
        return really()

    monkeypatch.setattr(api.store, "transaction", transaction)
    await api.written(f"{PLANES}/kv-1", dataplane(address="10.0.0.3"), 200)


async def test_an_unexpected_error_is_a_problem_with_a_reference(api: Kuma, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Resource:
        raise RuntimeError("secret details")

    monkeypatch.setattr(api.store, "get", broken)
    with capture_logs() as logged:
        answer = await api.get(f"{PLANES}/kv-1")
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
    assert "secret details" not in answer.text
    (reference,) = (line["reference"] for line in logged if line["event"] == "request failed")
    assert f"the server's log has it under {reference}" in answer.json()["detail"]
