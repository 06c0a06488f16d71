"""What a renewal cannot be used for: another type of proxy, another name, other claims, a name that was lost.

Against the real HTTP application. Nothing of AWS is asked.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from outrig.dialects.kuma.certified import is_outdated
from outrig.resources import Key
from tests.attacks.dataplane_scene import ADDRESS, DataplaneScene, document, open_scene, service, zone_document
from tests.attacks.scene import Caller

pytestmark = pytest.mark.slow

INGRESS = zone_document("ZoneIngress", "kv-1", "10.7.1.2")


@pytest.fixture
async def scene() -> AsyncIterator[DataplaneScene]:
    opened = await open_scene("")
    yield opened
    await opened.plane.client.aclose()
    await opened.plane.attestor.close()


async def joined(scene: DataplaneScene, caller: Caller, name: str = "kv-1", **claims: Any) -> str:
    """The control identity of a proxy that is there."""
    told = await scene.join(await scene.token(**claims), document(name), caller=caller)
    assert told.status_code == 200, told.text
    await scene.connect(name)
    leaf, *_ = x509.load_pem_x509_certificates(told.json()["controlChain"].encode())
    return leaf.public_bytes(Encoding.PEM).decode()


async def test_a_dataplane_does_not_become_a_zone_proxy(scene: DataplaneScene) -> None:
    caller = Caller()
    scene.plane.certificate = await joined(scene, caller)
    for token, code in ((await scene.token(), "OUT122"), (await scene.zone_token(zone=""), "OUT120")):
        told = await scene.join(token, INGRESS, join={"proxyType": "ingress"}, caller=caller)
        assert told.json().get("code") == code, told.text
    assert not await scene.plane.all("ZoneIngress")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"networking": service("payments")}, "OUT127"),
        ({"networking": {"gateway": {"tags": {"kuma.io/service": "payments"}}, "inbound": []}}, "OUT127"),
        ({"networking": service("*")}, "OUT126"),
        ({"networking": {"address": "127.0.0.1"}}, "OUT115"),
        ({"mesh": "other"}, "OUT122"),
        ({"labels": {"kuma.io/mesh": "other"}}, "OUT126"),
    ],
)
async def test_a_renewals_text_is_bound_as_the_joins_was(
    scene: DataplaneScene, changes: dict[str, Any], code: str
) -> None:
    caller, token = Caller(), await scene.token(tags={"kuma.io/service": ("kv",)})
    assert (await scene.join(token, document(), caller=caller)).status_code == 200
    before = await scene.dataplane()
    told = await scene.join(token, document(**changes), caller=caller)
    assert told.json().get("code") == code, told.text
    assert await scene.dataplane() == before
    assert len(await scene.plane.all("Dataplane")) == 1


async def test_a_renewal_has_the_identities_of_the_tags_as_they_are_now(scene: DataplaneScene) -> None:
    caller, token = Caller(), await scene.token()
    key = Key("kuma.io", "Dataplane", "default", "", "kv-1")
    for name in ("kv", "payments"):
        body = {"networking": {"address": ADDRESS, **service(name)}}
        if held := await scene.dataplane():
            assert not is_outdated(held)
            async with scene.plane.store.transaction() as tx:
                assert is_outdated(await tx.update(replace(held, body=body)))
        else:
            await scene.write(key, body)
        told = await scene.join(token, caller=caller, join={"mesh": "default", "name": "kv-1"})
        assert told.status_code == 200, told.text
        leaf = x509.load_pem_x509_certificates(told.json()["workloadChain"].encode())[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        assert [uri for uri in uris if uri.startswith("spiffe:")] == [f"spiffe://default/{name}"]
        stored = await scene.dataplane()
        assert stored
        assert sorted(uris) == stored.status["certified"]
        assert stored.status["insight"]["mTLS"]["issuedBackend"] == "", "noted, though mutual TLS is off"


async def test_a_renewals_token_is_asked_what_the_joins_was(scene: DataplaneScene) -> None:
    caller = Caller()
    await joined(scene, caller)
    for claims in ({"name": "kv-2"}, {"tags": {"kuma.io/service": ("payments",)}}, {"workload": "payments"}):
        told = await scene.join(await scene.token(**claims), document(), caller=caller)
        assert told.json().get("code") == "OUT127", told.text


async def test_the_control_identity_of_one_opens_no_other_name(scene: DataplaneScene) -> None:
    own = await joined(scene, Caller())
    await joined(scene, Caller(), "kv-2")
    scene.plane.certificate = own
    told = await scene.join(await scene.token(), document("kv-2"))
    assert told.json().get("code") == "OUT128", told.text
    assert (await scene.join(await scene.token(), document())).status_code == 200, (
        "it does open its own, to another key"
    )


async def test_a_control_identity_whose_place_was_taken_opens_nothing(scene: DataplaneScene) -> None:
    lost = await joined(scene, Caller())
    await scene.connect(connected=False)
    await joined(scene, Caller())
    scene.plane.certificate = lost
    told = await scene.join(await scene.token(), document())
    assert told.json().get("code") == "OUT128", told.text


async def test_a_token_that_is_too_long_is_none(scene: DataplaneScene) -> None:
    token = await scene.token()
    for wrong, reason in ((token + "A" * 16384, "is not a signed token"), ("A." * 20000, "is not a signed token")):
        told = (await scene.join(wrong, document())).json()
        assert (told["code"], reason in told["reason"]) == ("OUT122", True)
