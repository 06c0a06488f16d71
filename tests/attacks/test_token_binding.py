"""A token serves one key: row 84 of the attack table."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc.jwk import ECKey

from tests.attacks.scene import Caller
from tests.attacks.token_scene import NOW, Tokens
from tests.fixtures.oidc.issuer import b64

pytestmark = pytest.mark.slow

P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # the order of the curve's group


# 84: replay and binding


async def test_84_a_captured_token_lets_nobody_else_in(tokens: Tokens) -> None:
    token = tokens.sign()
    assert (await tokens.join(token)).status_code == 200
    for registration in await tokens.plane.all("WorkloadAutoRegistration"):
        async with tokens.plane.store.transaction() as tx:
            await tx.delete(registration.key)
    assert (await tokens.join(token, Caller())).json()["code"] == "OUT124"


async def test_84_a_host_that_lost_its_key_comes_back_with_its_next_token_once_its_agent_is_away(
    tokens: Tokens,
) -> None:
    first, token = Caller(), tokens.sign()
    before = (await tokens.join(token, first)).json()
    assert (await tokens.join(tokens.sign(jti="2"))).json()["code"] == "OUT119"
    (registration,) = await tokens.plane.all("WorkloadAutoRegistration")
    await tokens.plane.connect(registration.key, connected=False)
    assert (await tokens.join(token, first)).json()["uid"] == before["uid"], "the same host, after a short absence"
    assert (await tokens.join(token)).json()["code"] == "OUT124", "who has only captured its token"
    assert (await tokens.join(tokens.sign(jti="3"))).status_code == 200


async def test_84_a_used_token_opens_nothing_when_its_holders_certificates_have_ended(tokens: Tokens) -> None:
    tokens.plane.now = datetime.fromtimestamp(NOW, UTC)
    token = tokens.sign(iat=NOW, exp=NOW + 3600)
    assert (await tokens.join(token)).status_code == 200
    tokens.plane.now += timedelta(hours=1, seconds=20)
    assert (await tokens.join(token, Caller())).json()["code"] == "OUT124"


def other_spelling(token: str) -> str:
    """The same signature in another spelling: of its last character base64url leaves some bits open."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


def other_signature(token: str) -> str:
    """Another signature that fits too: ECDSA's (r, n - s)."""
    signed, _, text = token.rpartition(".")
    raw = base64.urlsafe_b64decode(text + "==")
    s = P256 - int.from_bytes(raw[32:], "big")
    return f"{signed}.{b64(raw[:32] + s.to_bytes(32, 'big'))}"


async def test_84_a_used_token_is_known_again_by_what_was_signed(tokens: Tokens) -> None:
    tokens.plane.now = datetime.fromtimestamp(NOW, UTC)
    token = tokens.sign(iat=NOW, exp=NOW + 3600)
    assert (await tokens.join(other_signature(token))).status_code == 200
    tokens.plane.now += timedelta(hours=1, seconds=20)
    assert (await tokens.join(token, Caller())).json()["code"] == "OUT124"


async def test_84_a_signature_has_one_spelling(tokens: Tokens) -> None:
    await tokens.refused(other_spelling(tokens.sign()), says="signature")


async def test_84_of_joins_with_one_token_and_several_keys_at_once_one_wins(tokens: Tokens) -> None:
    token = tokens.sign()
    requests = [await tokens.request(token, Caller()) for _ in range(4)]
    answers = await asyncio.gather(*(tokens.plane.post(request) for request in requests))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_84_a_captured_request_is_good_once(tokens: Tokens) -> None:
    request = await tokens.request(tokens.sign())
    assert (await tokens.plane.post(request)).status_code == 200
    assert (await tokens.plane.post(request)).json()["code"] == "OUT103"


async def test_84_a_refused_join_does_not_use_the_token_up(tokens: Tokens) -> None:
    token, caller = tokens.sign(), Caller()
    answer = await tokens.join(token, caller, workloadGroup="reviews")
    assert answer.json()["code"] == "OUT117"
    assert (await tokens.join(token, caller)).status_code == 200


async def test_84_the_key_that_a_token_let_in_may_renew_with_it_and_with_the_next(tokens: Tokens) -> None:
    token, caller = tokens.sign(), Caller()
    for each in (token, token, tokens.sign(jti="2")):
        assert (await tokens.join(each, caller)).status_code == 200
    assert (await tokens.join(tokens.sign(jti="3"), Caller())).json()["code"] == "OUT119"


async def test_84_another_key_comes_in_by_the_control_identity_only(tokens: Tokens) -> None:
    token = tokens.sign()
    joined = (await tokens.join(token)).json()
    end = "-----END CERTIFICATE-----\n"
    tokens.plane.certificate = joined["controlChain"].partition(end)[0] + end
    assert (await tokens.join(token, Caller())).status_code == 200
    assert (await tokens.join(token, Caller())).json()["code"] == "OUT119"


def thumbprint(caller: Caller) -> str:
    public = caller.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return str(ECKey.import_key(public).thumbprint())


async def test_84_a_token_that_is_bound_to_a_key_serves_that_key(tokens: Tokens) -> None:
    caller = Caller()
    token = tokens.sign(cnf={"jkt": thumbprint(caller)})
    await tokens.refused(token, says="bound to another key")
    assert (await tokens.join(token, caller)).status_code == 200


@pytest.mark.parametrize("cnf", [{}, {"x5t#S256": "a"}, {"jkt": ""}, {"jkt": 7}, "a", {"jkt": "a", "kid": "b"}])
async def test_84_a_binding_that_is_not_understood_is_not_ignored(cnf: Any, tokens: Tokens) -> None:
    await tokens.refused(tokens.sign(cnf=cnf), says="bound to a key in a way not known")
