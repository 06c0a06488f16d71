"""Joining by token: what a token must say, who may have signed it, and when it ends. Row 78 to 85, for our own tokens.

Against the real HTTP application. Nothing of AWS is asked.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jws
from joserfc.jwk import RSAKey
from structlog.testing import capture_logs

from outrig.admission.settings import AdmissionSettings
from outrig.dialects.kuma.mesh import mesh_key
from outrig.resources import Key
from outrig.tokens.jwt import sign
from outrig.tokens.keys import (
    dataplane_ring,
    new_signing_key,
    public_key,
    secret_body,
    secret_text,
    signing_key,
)
from outrig.tokens.settings import PublicKey, TokenSettings
from outrig.tokens.tokens import rotate_signing_key
from tests.attacks.dataplane_scene import HOUR, DataplaneScene, at, document, open_scene, service, zone_document
from tests.attacks.scene import Caller, Plane

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC).replace(microsecond=0) + HOUR  # the authorities are made now
AGO = NOW - 2 * HOUR
RING = dataplane_ring("default")
REVOKED = (
    ("kuma.io", "Secret", "default", "", "dataplane-token-revocations-default"),
    ("kuma.io", "GlobalSecret", "", "", "dataplane-token-revocations-default"),
)


@pytest.fixture
async def scene() -> AsyncIterator[DataplaneScene]:
    opened = await open_scene("", sts=None)
    at(opened, NOW)
    yield opened
    await opened.plane.client.aclose()
    await opened.plane.attestor.close()


async def private_key(scene: DataplaneScene, mesh: str = "default") -> str:
    """The signing key of a mesh, as only who may read Secrets can see it."""
    stored = await scene.plane.store.get(dataplane_ring(mesh).key_of(1))
    assert stored
    return secret_text(stored)


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], key: str) -> str:
    """A token with any header, signed by that key (PEM)."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    signed = ".".join(parts).encode()
    signature = _private(key).sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return f"{signed.decode()}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@cache
def _private(key: str) -> rsa.RSAPrivateKey:
    private = load_pem_private_key(key.encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return private


def claims(**changes: Any) -> dict[str, Any]:
    moment = int(NOW.timestamp())
    said = {"Name": "", "Mesh": "default", "Tags": {}, "Type": "dataplane", "Workload": ""}
    times = {"iat": moment, "nbf": moment, "exp": moment + 3600, "jti": "token-1"}
    return {name: value for name, value in {**said, **times, **changes}.items() if value is not None}


HEADER = {"alg": "RS256", "kid": "1", "typ": "JWT"}


async def refused(scene: DataplaneScene, token: str, written: Mapping[str, Any] | None = None) -> str:
    """Why a join by that token is refused; nothing of it may be left."""
    told = await scene.join(token, written or document())
    assert told.status_code == 403, told.text
    assert not await scene.plane.all("Dataplane")
    assert token == "" or token not in told.text
    return f"{told.json()['code']} {told.json()['reason']}"


async def test_a_token_of_the_mesh_lets_any_of_its_dataplanes_in(scene: DataplaneScene) -> None:
    told = await scene.join(await scene.token(), document())
    assert told.status_code == 200, told.text
    stored = await scene.dataplane()
    assert stored
    assert stored.annotations["outrig.dev/token-key"] == "1"


async def test_a_token_that_names_everything_lets_that_one_in(scene: DataplaneScene) -> None:
    token = await scene.token(name="kv-1", tags={"kuma.io/service": ("kv", "kv-canary")}, workload="kv")
    told = await scene.join(token, document(labels={"kuma.io/workload": "kv"}))
    assert told.status_code == 200, told.text


@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        ({"mesh": "other"}, "OUT122 token.token: its signature is not that of signing key 1"),
        ({"name": "kv-2"}, "OUT127 the token: it is for Dataplane kv-2, not for kv-1"),
        ({"tags": {"kuma.io/service": ("payments",)}}, "OUT127 the token: it allows kuma.io/service payments, not kv"),
        ({"tags": {"team": ("a",)}}, "OUT127 the token: it demands the tag team"),
        ({"workload": "kv"}, "OUT127 the token: it is for workload kv"),
    ],
)
async def test_a_token_for_something_else_is_refused(scene: DataplaneScene, bound: dict[str, Any], reason: str) -> None:
    assert (await refused(scene, await scene.token(**bound))).startswith(reason)


async def test_an_inbound_claiming_another_service_is_refused(scene: DataplaneScene) -> None:
    token = await scene.token(tags={"kuma.io/service": ("kv",)})
    assert "not payments" in await refused(scene, token, document(networking=service("payments")))
    both = {"inbound": [{"port": 1 + n, "tags": {"kuma.io/service": s}} for n, s in enumerate(("kv", "payments"))]}
    assert "not payments" in await refused(scene, token, document(networking=both))


async def test_a_token_whose_claims_name_another_mesh_is_refused_whoever_signed_it(scene: DataplaneScene) -> None:
    token = forged(HEADER, claims(Mesh="other"), await private_key(scene))
    assert "it is not for mesh default" in await refused(scene, token)


async def test_78_only_rs256_by_our_key_is_a_signature(scene: DataplaneScene) -> None:
    key = await private_key(scene)
    head, body = (base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in (HEADER, claims()))
    none = base64.urlsafe_b64encode(json.dumps({**HEADER, "alg": "none"}).encode()).decode().rstrip("=")
    symmetric = base64.urlsafe_b64encode(json.dumps({**HEADER, "alg": "HS256"}).encode()).decode().rstrip("=")
    mac = hmac.digest(public_key(key).encode(), f"{symmetric}.{body}".encode(), hashlib.sha256)
    with_public = f"{symmetric}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    good = forged(HEADER, claims(), key)
    attempts = {
        f"{none}.{body}.": "is not a signed token",
        f"{none}.{body}.AAAA": "algorithm",
        with_public: "algorithm",
        forged({**HEADER, "alg": "RS512"}, claims(), key): "algorithm",
        forged({**HEADER, "alg": "PS256"}, claims(), key): "algorithm",
        forged({**HEADER, "alg": ["RS256"]}, claims(), key): "algorithm",
        forged(HEADER, claims(), new_signing_key()): "signature",
        f"{head}.{body}.AAAA": "signature",
        good[:-4] + "AAAA": "signature",
    }
    for token, reason in attempts.items():
        assert reason in await refused(scene, token), token
    assert (await scene.join(good, document())).status_code == 200


@pytest.mark.parametrize(
    ("kid", "reason"),
    [
        (None, "no usable kid"),
        (1, "no usable kid"),
        ("", "no usable kid"),
        ("../../etc/passwd", "no usable kid"),
        ("1/../2", "no usable kid"),
        ("1\n", "no usable kid"),
        ("https://evil.example/key", "no usable kid"),
        ("' OR 1=1 --", "no usable kid"),
        ("x" * 129, "no usable kid"),
        ("01", "no dataplane signing key with id 01"),
        ("1.0", "no dataplane signing key with id 1.0"),
        ("-1", "no dataplane signing key with id -1"),
        ("0", "no dataplane signing key with id 0"),
        ("2", "no dataplane signing key with id 2"),
        ("99999999999999999999", "no dataplane signing key"),
    ],
)
async def test_79_a_key_id_is_the_serial_of_a_signing_key_and_nothing_else(
    scene: DataplaneScene, kid: object, reason: str
) -> None:
    header = {name: value for name, value in {**HEADER, "kid": kid}.items() if value is not None}
    assert reason in await refused(scene, forged(header, claims(), await private_key(scene)))


@pytest.mark.parametrize("field", ["jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "enc", "cty"])
async def test_80_a_token_does_not_choose_its_key(scene: DataplaneScene, field: str) -> None:
    token = forged({**HEADER, field: "x"}, claims(), await private_key(scene))
    assert f"its header has '{field}'" in await refused(scene, token)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "exp is missing"),
        ({"iat": None}, "iat is missing"),
        ({"exp": "tomorrow"}, "exp is missing or no time"),
        ({"exp": True}, "exp is missing or no time"),
        ({"exp": 1e300}, "exp is missing or no time"),
        pytest.param({"exp": int(NOW.timestamp())}, f"it expired at {NOW:%Y-%m-%d %H:%M:%S} UTC", id="ends now"),
        pytest.param({"exp": int(AGO.timestamp())}, f"it expired at {AGO:%Y-%m-%d %H:%M:%S} UTC", id="ended long ago"),
        ({"nbf": int(NOW.timestamp()) + 60}, "not valid yet"),
        ({"iat": int(NOW.timestamp()) + 60}, "not valid yet"),
        ({"iat": int(NOW.timestamp()) + 60, "nbf": 0}, "not valid yet"),
        ({"Tags": {"kuma.io/service": ["*"]}}, "claims mean nothing"),
        ({"jti": None}, "no jti"),
        ({"jti": "a,b"}, "no jti"),
        ({"jti": 7}, "no jti"),
        ({"Mesh": ["default"]}, "Mesh is no text"),
        ({"Mesh": ""}, "mesh"),
        ({"Tags": []}, None),
        ({"Tags": {"kuma.io/service": "kv"}}, "no list of texts"),
        ({"Tags": {"kuma.io/service": []}}, "has no value"),
        ({"Type": "ingress"}, "type"),
        ({"Name": "../kv-1"}, "name"),
    ],
)
async def test_83_and_85_claims_are_read_from_what_was_signed_and_must_mean_something(
    scene: DataplaneScene, changes: dict[str, Any], reason: str | None
) -> None:
    token = forged(HEADER, claims(**changes), await private_key(scene))
    if reason is None:
        assert (await scene.join(token, document())).status_code == 200
    else:
        assert reason in await refused(scene, token)


async def test_85_a_repeated_claim_is_refused(scene: DataplaneScene) -> None:
    key = await private_key(scene)
    text = json.dumps(claims())[:-1] + ',"Mesh":"default"}'
    token = jws.serialize_compact(HEADER, text.encode(), RSAKey.import_key(key), algorithms=["RS256"])
    assert "claims cannot be read" in await refused(scene, token)


@pytest.mark.parametrize("around", [" {}", "{}\n", "{}.", "{}.AAAA", "Bearer {}", "{} ", "{}\x00", "\ufeff{}", "{}=="])
async def test_nothing_stands_around_a_token(scene: DataplaneScene, around: str) -> None:
    token = around.format(await scene.token())
    assert "is not a signed token" in await refused(scene, token)


async def test_a_token_of_another_purpose_is_refused(scene: DataplaneScene) -> None:
    zone = await scene.zone_token(zone="default")
    assert "signature" in await refused(scene, zone)
    token = await scene.token()
    written = zone_document("ZoneIngress", "edge", "10.7.1.9")
    told = await scene.join(token, written, join={"proxyType": "ingress"})
    assert (told.status_code, told.json()["code"]) == (403, "OUT122")


async def test_a_zone_token_lets_zone_proxies_of_its_scope_and_zone_in(scene: DataplaneScene) -> None:
    written = zone_document("ZoneIngress", "edge", "10.7.1.9")
    caller = Caller()
    for bound, status in (
        ({"zone": "default", "scopes": ("egress",)}, 403),
        ({"zone": "elsewhere"}, 403),
        ({"zone": "default", "scopes": ("ingress",)}, 200),
        ({"zone": ""}, 200),
    ):
        told = await scene.join(await scene.zone_token(**bound), written, join={"proxyType": "ingress"}, caller=caller)
        assert told.status_code == status, told.text


async def test_no_certificate_outlives_the_token(scene: DataplaneScene) -> None:
    told = await scene.join(await scene.token(lifetime=timedelta(minutes=10)), document())
    for chain in (told.json()["controlChain"], told.json()["workloadChain"]):
        (leaf, *_) = x509.load_pem_x509_certificates(chain.encode())
        assert leaf.not_valid_after_utc == NOW + timedelta(minutes=10)
    assert told.json()["expiresIn"] == 600


async def test_an_expired_token_renews_nothing(scene: DataplaneScene) -> None:
    caller, token = Caller(), await scene.token(lifetime=timedelta(minutes=10))
    assert (await scene.join(token, document(), caller=caller)).status_code == 200
    at(scene, NOW + timedelta(minutes=10))
    told = await scene.join(token, document(), caller=caller)
    assert (told.status_code, told.json()["code"]) == (403, "OUT122")
    assert "expired" in told.json()["reason"]


@pytest.mark.parametrize("listed", REVOKED, ids=["Secret", "GlobalSecret"])
@pytest.mark.parametrize("text", ["{}", "a,{}", "{},a", "a, {} ,b", "a\n{}\n"])
async def test_a_revoked_token_neither_joins_nor_renews(scene: DataplaneScene, listed: Any, text: str) -> None:
    caller, token = Caller(), await scene.token()
    assert (await scene.join(token, document(), caller=caller)).status_code == 200
    stored = await scene.dataplane()
    assert stored
    jti = stored.annotations["outrig.dev/token-id"]
    await scene.write(Key(*listed), secret_body(text.format(jti)))
    for again in (caller, Caller()):
        told = await scene.join(token, document(), caller=again)
        assert (told.status_code, told.json()["code"]) == (403, "OUT122")
        assert "revoked" in told.json()["reason"]
    assert (await scene.join(await scene.token(), document("kv-2"))).status_code == 200


async def test_a_list_of_revoked_tokens_that_cannot_be_read_lets_nobody_in(scene: DataplaneScene) -> None:
    await scene.write(Key(*REVOKED[1]), {"data": "%%%"})
    assert "cannot be told" in await refused(scene, await scene.token())


async def test_the_newest_key_signs_and_a_deleted_one_vouches_for_nobody(scene: DataplaneScene) -> None:
    old = await scene.token()
    async with scene.plane.store.transaction() as tx:
        key = await rotate_signing_key(tx, RING)
    assert key == RING.key_of(2)
    new = await scene.token()
    for number, token in enumerate((old, new)):
        assert (await scene.join(token, document(f"kv-{number}"))).status_code == 200
    await scene.delete(RING.key_of(1))
    told = await scene.join(old, document("kv-3"))
    assert told.json()["reason"].endswith("there is no dataplane signing key with id 1 in mesh default")
    assert "rotated" in told.json()["hint"]
    assert (await scene.join(new, document("kv-3"))).status_code == 200


async def test_a_token_signed_offline_is_verified_with_a_configured_key() -> None:
    pem = new_signing_key()
    keys = (PublicKey(RING, "offline-1", public_key(pem)),)
    scene = await open_scene("", tokens=TokenSettings(public_keys=keys, no_secrets=frozenset(("dataplane",))))
    at(scene, NOW)
    token = sign({"Mesh": "default"}, signing_key(pem), kid="offline-1", now=NOW, lifetime=HOUR)
    assert (await scene.join(token, document())).status_code == 200
    stored = await scene.token()
    told = await scene.join(stored, document("kv-2"))
    assert (told.status_code, told.json()["code"]) == (403, "OUT122"), "keys in the store do not count here"
    await scene.plane.attestor.close()


async def test_a_mesh_that_does_not_exist_has_no_dataplanes(scene: DataplaneScene) -> None:
    told = await scene.join(await scene.token(), document(mesh="nowhere"))
    assert (told.status_code, told.json()["code"]) == (403, "OUT122"), "whether it exists is not told to strangers"
    await scene.delete(mesh_key("other"))
    told = await scene.join(await scene.token(mesh="other"), document(mesh="other"))
    assert (told.status_code, told.json()["code"]) == (403, "OUT117")


async def test_a_name_in_use_is_refused_also_to_the_same_token(scene: DataplaneScene) -> None:
    token, first = await scene.token(), Caller()
    assert (await scene.join(token, document(), caller=first)).status_code == 200
    for connected in (False, True):
        if connected:
            await scene.connect()
        told = await scene.join(token, document(), caller=Caller())
        assert (told.status_code, told.json()["code"]) == (409, "OUT128"), "also before its agent has come"
        assert (await scene.join(token, document(), caller=first)).status_code == 200, "its own renewal"
    before = await scene.dataplane()
    await scene.connect(connected=False)
    with capture_logs() as logs:
        assert (await scene.join(token, document(), caller=Caller())).status_code == 200, "a restart has another key"
    after = await scene.dataplane()
    assert before
    assert after
    assert logs[0]["in_place_of"] == before.uid != after.uid
    told = await scene.join(token, document(), caller=first)
    assert (told.status_code, told.json()["code"]) == (409, "OUT128"), "the name is the other's now"


async def test_a_name_is_free_again_with_its_deregistration(scene: DataplaneScene) -> None:
    token = await scene.token(name="kv-1")
    assert (await scene.join(token, document())).status_code == 200
    await scene.delete(Key("kuma.io", "Dataplane", "default", "", "kv-1"))
    assert (await scene.join(token, document())).status_code == 200


async def test_what_it_offers_stays_known_when_it_is_gone(scene: DataplaneScene) -> None:
    assert (await scene.join(await scene.token(), document())).status_code == 200
    await scene.delete(Key("kuma.io", "Dataplane", "default", "", "kv-1"))
    assert await scene.plane.store.get(Key("outrig.internal", "Offer", "default", "", "kv"))


async def test_one_key_may_take_another_name_once_its_agent_is_away(scene: DataplaneScene) -> None:
    token, caller = await scene.token(), Caller()
    assert (await scene.join(token, document(), caller=caller)).status_code == 200
    told = await scene.join(token, document("kv-2"), caller=caller)
    assert (told.status_code, told.json()["code"]) == (409, "OUT120")
    await scene.connect(connected=False)
    assert (await scene.join(token, document("kv-2"), caller=caller)).status_code == 200


async def test_another_token_of_ones_own_renews(scene: DataplaneScene) -> None:
    caller = Caller()
    assert (await scene.join(await scene.token(), document(), caller=caller)).status_code == 200
    await scene.connect()
    before = await scene.dataplane()
    assert (await scene.join(await scene.token(), document(), caller=caller)).status_code == 200
    after = await scene.dataplane()
    assert before
    assert after
    assert before.uid == after.uid
    assert before.annotations["outrig.dev/token-id"] != after.annotations["outrig.dev/token-id"]


async def test_one_that_was_written_by_somebody_is_joined_by_name_and_keeps_its_text(scene: DataplaneScene) -> None:
    body = {"networking": document()["networking"]}
    await scene.write(Key("kuma.io", "Dataplane", "default", "", "kv-1"), body)
    token, by_name = await scene.token(), {"mesh": "default", "name": "kv-1"}
    told = await scene.join(token, document())
    assert (told.status_code, told.json()["code"]) == (409, "OUT128")
    assert (await scene.join(token, join=by_name)).status_code == 200
    stored = await scene.dataplane()
    assert stored
    assert stored.body == body
    assert "outrig.dev/joined" not in stored.annotations
    told = await scene.join(token, join={"mesh": "default", "name": "kv-2"})
    assert (told.status_code, told.json()["code"]) == (403, "OUT117")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ({"type": "Mesh", "mesh": "default", "name": "kv-1"}, "mesh"),
        ({"type": "ZoneIngress", "name": "kv-1", "networking": {"address": "10.7.1.2", "port": 1}}, "was to join"),
        (document("kv-2"), "was to join"),
        (document(mesh="other"), "was to join"),
        (document(networking={"adress": "10.7.1.2"}), "unknown field"),
        (document(networking={"address": ""}), "address can't be empty"),
        (document(networking={"inbound": []}), "at least one inbound"),
        (document(networking={"inbound": [{"port": 0, "tags": {"kuma.io/service": "kv"}}]}), "range"),
        (document(networking={"inbound": [{"port": 1, "tags": {}}]}), "tag has to exist"),
        (document(networking={"inbound": [{"port": 1, "tags": {"kuma.io/service": "../x y"}}]}), "tag value"),
        (document(networking={"inbound": [{"port": 1, "tags": {"kuma.io/service": "x" * 999}}]}), "certificate"),
        (document(networking={"address": "{{ address }}"}), "address"),
        (document(labels={"kuma.io/mesh": "other"}), "control plane's to set"),
        (document(labels={"a b": "c"}), "label"),
    ],
)
async def test_a_text_that_is_not_this_dataplane_is_refused_with_the_field(
    scene: DataplaneScene, written: dict[str, Any], reason: str
) -> None:
    told = await scene.join(await scene.token(), written, join={"mesh": "default", "name": "kv-1"})
    assert (told.status_code, told.json()["code"]) == (400, "OUT126"), told.text
    assert reason in told.json()["reason"]


@pytest.mark.parametrize(
    "resource", ["", "{", "[]", '"x"', "null", '{"type":"Dataplane","type":"Dataplane"}', "[" * 9999]
)
async def test_garbage_in_place_of_a_text_is_refused(scene: DataplaneScene, resource: str) -> None:
    join = {"mesh": "default", "name": "kv-1", "resource": resource}
    told = await scene.join(await scene.token(), join=join)
    assert (told.status_code, told.json()["code"]) in ((400, "OUT126"), (403, "OUT117"))


async def test_constraints_of_the_mesh_bind_whoever_joins(scene: DataplaneScene) -> None:
    mesh = await scene.plane.store.get(mesh_key("default"))
    assert mesh
    rules = {"dataplaneProxy": {"restrictions": [{"tags": {"kuma.io/service": "kv"}}]}}
    async with scene.plane.store.transaction() as tx:
        await tx.update(replace(mesh, body={"constraints": rules}))
    told = await scene.join(await scene.token(), document())
    assert (told.status_code, told.json()["code"]) == (400, "OUT126")
    assert "restriction" in told.json()["reason"]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.170.2", "240.0.0.1", "::1"])
async def test_an_address_that_leads_nowhere_is_refused(scene: DataplaneScene, address: str) -> None:
    assert (await refused(scene, await scene.token(), document(address=address))).startswith("OUT115")


async def test_proofs_of_a_kind_that_is_not_asked_for_are_refused() -> None:
    for method, token, code in (("aws-iam", None, "OUT129"), ("dpToken", "", "OUT122"), ("none", "", "")):
        settings = AdmissionSettings(xds_port=1, rate=1e3, burst=1000, dataplane_proofs=frozenset((method,)))
        scene = await open_scene("", admission=settings)
        told = await scene.join(await scene.token() if token is None else token, document())
        assert told.json().get("code", "") == code, told.text
        await scene.plane.attestor.close()


@pytest.mark.parametrize(
    ("methods", "way"),
    [
        (("dpToken",), "--dataplane-token-file"),
        (("aws-iam",), "--auth-type=aws"),
        (("aws-iam", "dpToken"), "--auth-type=aws or --dataplane-token-file"),
    ],
)
async def test_who_sends_no_proof_is_told_which_to_give(methods: tuple[str, ...], way: str) -> None:
    settings = AdmissionSettings(xds_port=1, rate=1e3, burst=1000, dataplane_proofs=frozenset(methods))
    scene = await open_scene("", admission=settings)
    told = (await scene.join("", document())).json()
    assert (told["code"], told["reason"]) == ("OUT122", "token.token: no proof was sent, neither a token nor a role's")
    assert way in told["hint"]
    await scene.plane.attestor.close()


async def test_a_request_says_one_thing_with_one_proof(scene: DataplaneScene) -> None:
    async def post(**changes: Any) -> tuple[int, str]:
        nonce = await scene.plane.challenge()
        request = scene.request(await scene.token(), nonce, Caller(), written=document(), join={})
        told = await scene.plane.post({**request, **changes})
        return told.status_code, told.json()["code"]

    jwt = {"jwt": {"token": "a.b.c", "nonce": "n" * 20}}
    for changes in (jwt, {"namespace": "bookinfo"}, {"workloadGroup": "ratings"}, {"labels": {"a": "b"}}):
        assert await post(**changes) == (400, "OUT101")
    asked = {"mesh": "default", "name": "kv-1"}
    for odd in ({"proxyType": "gateway"}, {"name": "../x"}, {"mesh": "a/b"}, {"mesh": ""}, {"name": ""}):
        assert await post(dataplane={**asked, **odd}) == (400, "OUT101")


async def test_a_token_is_no_proof_for_a_group(plane: Plane) -> None:
    nonce = await plane.challenge()
    request = {
        "version": 1,
        "namespace": "bookinfo",
        "workloadGroup": "ratings",
        "agentVersion": "1",
        "envoyVersion": "1",
        "csr": base64.b64encode(Caller().csr).decode(),
        "addresses": [{"ip": "10.7.1.2", "type": "VPC"}],
        "token": {"token": "a.b.c", "nonce": nonce},
    }
    told = await plane.post(request)
    assert (told.status_code, told.json()["code"]) == (400, "OUT101")
