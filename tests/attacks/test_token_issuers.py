"""Where the keys of tokens come from: row 81 of the attack table."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.attacks.scene import AwsServer, Caller, lay_out, open_plane
from tests.attacks.token_scene import Tokens, allow, trusted
from tests.fixtures.oidc.issuer import IssuerServer, public_jwk, sign

pytestmark = pytest.mark.slow

# 81: issuers

LOOK_ALIKES: Mapping[str, Callable[[str], str]] = {
    "a slash more": lambda url: f"{url}/",
    "upper case": lambda url: url.upper(),
    "another port": lambda url: url.rpartition(":")[0] + ":1",
    "a path": lambda url: f"{url}/evil",
    "user information": lambda url: url.replace("https://", "https://evil.example@"),
    "another host behind": lambda url: f"{url}.evil.example",
    "plain http": lambda url: url.replace("https", "http"),
    "a space": lambda url: f"{url} ",
    "a NUL": lambda url: f"{url}\0",
    "a look-alike letter": lambda url: url.replace("l", "\u04cf"),
    "a fragment": lambda url: f"{url}#host-1",
    "the metadata endpoint": lambda _: "http://169.254.169.254",
}


@pytest.mark.parametrize("how", LOOK_ALIKES)
async def test_81_an_issuer_is_exactly_one_that_is_configured(how: str, tokens: Tokens) -> None:
    await tokens.refused(tokens.sign(iss=LOOK_ALIKES[how](tokens.issuer.url)), "OUT123")
    assert tokens.issuer.asked == []


@pytest.mark.parametrize("iss", [None, 7, ["https://localhost"], {}])
async def test_81_an_issuer_is_a_text(iss: Any, tokens: Tokens) -> None:
    await tokens.refused(tokens.sign(iss=iss))


async def test_81_the_keys_of_one_issuer_do_not_sign_for_another(
    aws: AwsServer, server: IssuerServer, tmp_path: Path
) -> None:
    other = IssuerServer()
    other.start(tmp_path)
    plane = await open_plane(aws.url, issuers=[trusted(server), trusted(other, short_name="other")])
    await lay_out(plane.store)
    await allow(plane, server.url)
    scene = Tokens(plane, server)
    await scene.refused(sign(other.key, server.header(), server.claims(scene.audience)), says="signature")
    assert (await scene.join(other.token(scene.audience))).json()["code"] == "OUT118"
    other.stop()


PLACES: Mapping[str, Mapping[str, Any]] = {
    "a redirect": {"/keys": (302, {"location": "/elsewhere"}, b"")},
    "another's discovery": {"/.well-known/openid-configuration": {"issuer": "https://evil.example", "jwks_uri": "/"}},
    "no jwks_uri": {"/.well-known/openid-configuration": {"issuer": "URL"}},
    "plain http": {"/.well-known/openid-configuration": {"issuer": "URL", "jwks_uri": "http://localhost/keys"}},
    "a file": {"/.well-known/openid-configuration": {"issuer": "URL", "jwks_uri": "file:///etc/passwd"}},
    "a list": {"/keys": []},
    "nothing": {"/keys": {"keys": []}},
    "only a secret": {"/keys": {"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]}},
    "too much": {"/keys": (200, {}, b'{"keys": [' + b" " * 300_000 + b"]}")},
    "keys twice": {"/keys": (200, {}, b'{"keys": [], "keys": []}')},
    "no JSON": {"/keys": (200, {}, b"<html>")},
    "compressed": {"/keys": (200, {"content-encoding": "gzip"}, b"\x1f\x8b")},
    "a failure": {"/keys": (500, {}, b"")},
    "depths": {"/keys": (200, {}, b"[" * 100_000)},
}


@pytest.mark.parametrize("what", PLACES)
async def test_81_an_issuer_that_does_not_serve_keys_lets_nobody_in_and_is_no_denial(
    what: str, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, answer in PLACES[what].items():
        text = json.dumps(answer).replace("URL", tokens.issuer.url).encode() if not isinstance(answer, tuple) else b""
        whole = answer if isinstance(answer, tuple) else (200, {}, text)
        monkeypatch.setitem(tokens.issuer.documents, path, lambda whole=whole: whole)
    monkeypatch.setitem(tokens.issuer.documents, "/elsewhere", tokens.issuer.documents["/keys"])
    answer = await tokens.join(tokens.sign())
    assert (answer.status_code, answer.json()["code"]) == (503, "OUT134"), answer.text
    assert "/elsewhere" not in tokens.issuer.asked


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"private_addresses": False}, "https://localhost:{port}"),
        ({"private_addresses": False}, "https://127.0.0.1:{port}"),
        ({"roots": ""}, "https://localhost:{port}"),
        ({}, "https://127.0.0.2:{port}"),
    ],
)
async def test_81_keys_come_from_public_addresses_and_trusted_certificates(
    changes: dict[str, Any], url: str, aws: AwsServer, server: IssuerServer
) -> None:
    keys = url.format(port=server.port) + "/keys"
    plane = await open_plane(aws.url, issuers=[trusted(server, jwks_uri=keys, **changes)])
    server.asked.clear()
    scene = Tokens(plane, server)
    assert (await scene.join(scene.sign())).json()["code"] == "OUT134"
    assert server.asked == []


async def test_81_known_keys_serve_while_the_issuer_is_away_for_a_day(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.plane.now = datetime.now(UTC)
    tokens.issuer.clock = tokens.plane.clock
    caller = Caller()
    assert (await tokens.join(tokens.sign(), caller)).status_code == 200
    monkeypatch.setitem(tokens.issuer.documents, "/keys", lambda: (500, {}, b""))
    tokens.plane.now += timedelta(hours=23)
    assert (await tokens.join(tokens.sign(), caller)).status_code == 200
    tokens.plane.now += timedelta(hours=2)
    assert (await tokens.join(tokens.sign(), caller)).json()["code"] == "OUT134"
    monkeypatch.undo()
    tokens.plane.now += timedelta(minutes=2)
    assert (await tokens.join(tokens.sign(), caller)).status_code == 200
    tokens.issuer.clock = lambda: datetime.now(UTC)


async def test_81_a_new_key_is_found_and_a_withdrawn_one_serves_no_longer(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.plane.now = datetime.now(UTC)
    assert (await tokens.join(tokens.sign())).status_code == 200
    old = tokens.sign(sub="host-2")
    monkeypatch.setattr(tokens.issuer, "key", rsa.generate_private_key(65537, 2048))
    monkeypatch.setattr(tokens.issuer, "kid", "two")
    tokens.plane.now += timedelta(seconds=61)
    assert (await tokens.join(tokens.sign(sub="host-3"))).status_code == 200
    assert (await tokens.join(old)).json()["code"] == "OUT122"


@pytest.mark.parametrize("bits", [1024])
async def test_81_small_keys_of_issuers_are_passed_over(
    bits: int, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = rsa.generate_private_key(65537, bits)
    listed = {"keys": [public_jwk(weak, "one")]}
    monkeypatch.setitem(tokens.issuer.documents, "/keys", lambda: (200, {}, json.dumps(listed).encode()))
    assert (await tokens.join(sign(weak, {"alg": "RS256", "kid": "one"}, {}))).json()["code"] == "OUT122"
    monkeypatch.setattr(tokens.issuer, "key", weak)
    assert (await tokens.join(tokens.sign())).json()["code"] == "OUT134"
