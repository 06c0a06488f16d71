"""Joining by token: rows 78 to 80, 82, 83 and 85 of the attack table, against a real HTTPS issuer."""

import base64
import hmac
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.attacks.scene import Caller
from tests.attacks.token_scene import NOW, Tokens
from tests.fixtures.oidc.issuer import b64, public_jwk, sign

pytestmark = pytest.mark.slow


async def test_an_honest_token_lets_a_host_in(tokens: Tokens) -> None:
    answer = await tokens.join(tokens.issuer.token(tokens.audience, attributes={"team": "books", "level": 3}))
    assert answer.status_code == 200, answer.text
    (registration,) = await tokens.plane.all("WorkloadAutoRegistration")
    assert registration.key.name == answer.json()["registration"] == "ratings-jwt-corp-host-1"
    said = {"issuer": tokens.issuer.url, "subject": "host-1", "attributes": {"team": "books", "level": "3"}}
    assert registration.spec["identity"] == {"jwt": said}
    (entry,) = await tokens.plane.all("WorkloadEntry")
    assert entry.spec["address"] == "192.168.7.9"


# 78: algorithms


def with_hs256(tokens: Tokens) -> str:
    """Signed by HMAC with the issuer's public key as the secret."""
    pem = tokens.issuer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header, claims = {"alg": "HS256", "kid": "one"}, tokens.issuer.claims(tokens.audience)
    signed = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{b64(hmac.digest(pem, signed.encode(), 'sha256'))}"


async def test_78_hmac_with_the_public_key_is_refused(tokens: Tokens) -> None:
    await tokens.refused(with_hs256(tokens), says="algorithm")


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "HS256", "HS384", "RS384", "PS256", "ES512", "EdDSA", ""]
)
async def test_78_algorithms_that_are_not_listed_are_refused(alg: str, tokens: Tokens) -> None:
    await tokens.refused(tokens.sign({"alg": alg}), says="algorithm")


async def test_78_a_token_without_a_signature_is_none(tokens: Tokens) -> None:
    signed = tokens.sign({"alg": "none"}).rpartition(".")[0]
    await tokens.refused(f"{signed}.", "OUT101")
    await tokens.refused(signed, "OUT101")


@pytest.mark.parametrize("alg", ["RS256", "ES384"])
async def test_78_an_algorithm_that_is_not_the_keys_is_refused(alg: str, tokens: Tokens) -> None:
    await tokens.refused(tokens.sign({"alg": alg}), says="signature")


@pytest.mark.parametrize("alg", [7, None, ["ES256"], {"ES256": 1}, True])
async def test_78_an_algorithm_is_a_text(alg: Any, tokens: Tokens) -> None:
    await tokens.refused(tokens.sign({"alg": alg}))


# 79: kid

KIDS = ["../../../../dev/null", "/etc/passwd", "https://evil.example/key", "one' OR '1'='1", "one;", "one\n", "", " ",
        "\u0661", "a" * 129, 1, None, ["one"], {"one": 1}]  # fmt: skip


@pytest.mark.parametrize("kid", KIDS, ids=repr)
async def test_79_a_kid_is_a_short_name_or_it_is_refused(kid: Any, tokens: Tokens) -> None:
    await tokens.refused(tokens.sign({"kid": kid}), says="kid")
    assert tokens.issuer.asked == []


async def test_79_a_token_without_kid_is_refused(tokens: Tokens) -> None:
    await tokens.refused(sign(tokens.issuer.key, {"alg": "ES256"}, tokens.issuer.claims(tokens.audience)), says="kid")


async def test_79_unknown_kids_make_nobody_fetch_more_than_once_a_minute(tokens: Tokens) -> None:
    tokens.plane.now = datetime.now(UTC)
    for number in range(5):
        await tokens.refused(tokens.sign({"kid": f"other-{number}"}), says="signature")
    assert tokens.issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    tokens.plane.now += timedelta(seconds=61)
    await tokens.refused(tokens.sign({"kid": "other"}), says="signature")
    assert len(tokens.issuer.asked) == 4


# 80: headers that would steer


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "crit", "b64", "zip"])
async def test_80_headers_that_bring_their_own_key_or_rules_are_refused(name: str, tokens: Tokens) -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    values = {"jwk": public_jwk(mine, "one"), "crit": ["exp"], "x5c": ["MIIB"], "b64": False, "zip": "DEF"}
    header = {**tokens.issuer.header(), name: values.get(name, f"{tokens.issuer.url}/keys")}
    for key in (mine, tokens.issuer.key):
        await tokens.refused(sign(key, header, tokens.issuer.claims(tokens.audience)), says=name)
    await tokens.refused(sign(mine, {**header, name: None}, tokens.issuer.claims(tokens.audience)), says=name)
    assert tokens.issuer.asked == []


# 82: audience


@pytest.mark.parametrize("aud", [None, "", "vault", [], ["OURS", "vault"], ["vault"], ["OURS", "OURS"], {"OURS": 1}, 7,
                                 [["OURS"]], "OURS ", "ours"])  # fmt: skip
async def test_82_a_token_is_for_this_control_plane_alone(aud: Any, tokens: Tokens) -> None:
    said = json.loads(json.dumps(aud).replace("OURS", tokens.audience))
    await tokens.refused(tokens.sign(aud=said), says="not for this control plane alone")


async def test_82_an_audience_may_be_a_list_of_one(tokens: Tokens) -> None:
    assert (await tokens.join(tokens.sign(aud=[tokens.audience]))).status_code == 200


# 83: times

TIMES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no exp": ({"exp": None}, "exp"),
    "no iat": ({"iat": None}, "iat"),
    "expired": ({"iat": NOW - 700, "exp": NOW - 31}, "it expired at 2027-01-15 07:59:29 UTC"),
    "not yet": ({"nbf": NOW + 31}, "not valid yet"),
    "made in the future": ({"iat": NOW + 31, "exp": NOW + 600}, "not valid yet"),
    "too long": ({"exp": NOW + 3601}, "it lives for 3601 s"),
    "for ever": ({"exp": 2**39}, "it lives for"),
    "backwards": ({"iat": NOW + 20, "exp": NOW + 20}, "it lives for 0 s"),
    "negative": ({"iat": -1, "exp": NOW + 1}, "iat"),
    "huge": ({"exp": 10**400}, "exp"),
    "a text": ({"exp": str(NOW + 600)}, "exp"),
    "true": ({"exp": True}, "exp"),
    "NaN": ({"exp": math.nan}, "exp"),
    "infinite": ({"exp": math.inf}, "exp"),
    "nbf is no time": ({"nbf": "now"}, "nbf"),
    "nbf is null": ({"nbf": "NULL"}, "nbf"),
}


@pytest.mark.parametrize("what", TIMES)
async def test_83_a_token_lives_now_and_not_for_long(what: str, tokens: Tokens) -> None:
    tokens.plane.now = datetime.fromtimestamp(NOW, UTC)
    claims, says = TIMES[what]
    whole = {**tokens.issuer.claims(tokens.audience), "iat": NOW, "exp": NOW + 600, **claims}
    text = json.dumps({name: value for name, value in whole.items() if value is not None}).replace('"NULL"', "null")
    await tokens.refused(sign(tokens.issuer.key, tokens.issuer.header(), text), says=says)


async def test_83_clocks_may_differ_by_half_a_minute(tokens: Tokens) -> None:
    tokens.plane.now = datetime.fromtimestamp(NOW, UTC)
    caller = Caller()
    assert (await tokens.join(tokens.sign(iat=NOW - 600, exp=NOW - 29), caller)).status_code == 200
    assert (await tokens.join(tokens.sign(iat=NOW + 29, exp=NOW + 629), caller)).status_code == 200


# 85: what is verified is what is used


async def test_85_a_claim_twice_is_refused(tokens: Tokens) -> None:
    claims = json.dumps(tokens.issuer.claims(tokens.audience))
    for twice in ('"sub": "host-1", "sub": "admin"', f'"iss": "https://evil.example", "iss": "{tokens.issuer.url}"'):
        text = claims[:-1] + f", {twice}}}"
        await tokens.refused(sign(tokens.issuer.key, tokens.issuer.header(), text), says="cannot be read")


async def test_85_a_header_field_twice_is_refused(tokens: Tokens) -> None:
    header = '{"alg": "none", "alg": "ES256", "kid": "one"}'
    await tokens.refused(sign(tokens.issuer.key, header, tokens.issuer.claims(tokens.audience)), says="cannot be read")


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_85_a_changed_byte_anywhere_is_refused(part: int, tokens: Tokens) -> None:
    parts = tokens.sign().split(".")
    changed = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
    changed[len(changed) // 2] ^= 1
    parts[part] = b64(bytes(changed))
    answer = await tokens.join(".".join(parts))
    assert answer.status_code in (400, 403)
    assert not await tokens.plane.all("WorkloadAutoRegistration")


async def test_85_the_claims_of_one_token_with_the_signature_of_another_are_refused(tokens: Tokens) -> None:
    mine, theirs = tokens.sign().split("."), tokens.sign(sub="admin").split(".")
    await tokens.refused(".".join([mine[0], theirs[1], mine[2]]), says="signature")


ODD = ["", "a", "a.b", "a.b.c.d", "..", "a.b.c\n", " a.b.c", "é.b.c", "a" * 20_000 + ".b.c", "a.b.c.d.e"]


@pytest.mark.parametrize("token", ODD, ids=lambda text: text[:6])
async def test_85_what_is_no_signed_token_is_refused_by_form(token: str, tokens: Tokens) -> None:
    await tokens.refused(token, "OUT101")


@pytest.mark.parametrize("claims", ["[]", "null", "7", '"x"', "{", "", "[" * 3000], ids=lambda text: text[:3])
async def test_85_claims_are_an_object(claims: str, tokens: Tokens) -> None:
    answer = await tokens.join(sign(tokens.issuer.key, tokens.issuer.header(), claims))
    assert answer.json()["code"] in ("OUT101", "OUT122")


@pytest.mark.parametrize("sub", [None, "", 7, " a", "a ", "a\n", "\u0430", "a" * 256, ["a"]], ids=repr)
async def test_a_subject_is_a_printable_text(sub: Any, tokens: Tokens) -> None:
    await tokens.refused(tokens.sign(sub=sub), says="subject")
