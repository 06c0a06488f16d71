"""Issuers as operators configure them, attributes of tokens, and keys that are kept."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from outrig.attest.issuers import Issuer, attributes_path, read_attributes
from outrig.attest.jwks import KeyRing, fits, read_keys
from outrig.attest.refusals import IssuerUnavailable
from outrig.server.issuers import read_issuers
from outrig.server.settings import BadSetting
from tests.fixtures.oidc.issuer import public_jwk

URL = "https://oidc.example"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER = Issuer(URL, "corp")


def written(tmp_path: Path, *issuers: dict[str, Any]) -> str:
    file = tmp_path / "issuers.yaml"
    file.write_text(yaml.safe_dump({"issuers": list(issuers)}))
    return str(file)


def one(**changes: Any) -> dict[str, Any]:
    return {"issuer": URL, "shortName": "corp", **changes}


def test_a_file_of_issuers_is_read(tmp_path: Path) -> None:
    more = {"tokenFields": {"attributes": {"jsonPath": "$.attributes"}}, "algorithms": ["ES384"]}
    second = one(issuer=f"{URL}/two/", shortName="two", maximumLifetime="10m", privateAddresses=True, **more)
    jwks = {"keys": [public_jwk(KEY, "a")]}
    first, other, third = read_issuers(
        written(tmp_path, one(), second, one(issuer=f"{URL}/3", shortName="3", jwks=jwks))
    )
    assert first == ISSUER
    assert (other.longest, other.algorithms, other.private_addresses) == (timedelta(minutes=10), ("ES384",), True)
    assert other.discovery == "https://oidc.example/two/.well-known/openid-configuration"
    assert json.loads(third.jwks) == jwks
    assert read_issuers("") == ()


@pytest.mark.parametrize(
    ("issuer", "says"),
    [
        (one(issuer="http://oidc.example"), "is not an https URL"),
        (one(issuer="https://u@oidc.example"), "is not an https URL"),
        (one(issuer="https://oidc.example?a"), "is not an https URL"),
        (one(issuer="https://oidc.example#a"), "is not an https URL"),
        (one(issuer="https:///keys"), "is not an https URL"),
        (one(issuer=7), "valid string"),
        (one(jwksUri="http://oidc.example/keys"), "is not an https URL"),
        (one(jwksUri="file:///etc/passwd"), "is not an https URL"),
        (one(shortName="Corp"), "shortName"),
        (one(shortName="a--b"), "shortName"),
        (one(algorithms=["HS256"]), "algorithms"),
        (one(algorithms=[]), "algorithms"),
        (one(maximumLifetime="25h"), "maximumLifetime"),
        (one(maximumLifetime="0s"), "maximumLifetime"),
        (one(maximumLifetime="soon"), "issuers.0"),
        (one(jwks={"keys": []}), "has no key"),
        (one(jwks={"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}), "has no key"),
        (one(jwksUri=f"{URL}/keys", jwks={"keys": []}), "only one of them"),
        (one(caFile="/no/such/file"), "No such file"),
        (one(jwksURI=f"{URL}/keys"), "Extra inputs"),
        (one(tokenFields={"attributes": {"jsonPath": "$.a["}}), "is not a JSON path"),
        (one(tokenFields={"attributes": {"jsonPath": "$..a"}}), "does not lead to one place"),
        (one(tokenFields={"attributes": {"jsonPath": "$[?@.a =~ /(x+x+)+y/]"}}), "does not lead to one place"),
        (one(tokenFields={"attributes": {"jsonPath": "$.a | $.b"}}), "does not lead to one place"),
        (one(tokenFields={"attributes": {"jsonPath": "$.a" * 200}}), ""),
        ({"shortName": "corp"}, "issuers.0.issuer"),
    ],
)
def test_a_mistake_is_named_with_file_and_place(issuer: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as caught:
        read_issuers(written(tmp_path, issuer))
    assert says in str(caught.value)
    assert "issuers.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "issuers: []", "a: [", "issuers: 1", "issuers: [1]", "\x00"])
def test_a_file_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "issuers.yaml"
    file.write_text(text)
    with pytest.raises(BadSetting):
        read_issuers(str(file))
    with pytest.raises(BadSetting, match="cannot be read"):
        read_issuers(str(tmp_path))


@pytest.mark.parametrize(("name", "value"), [("issuer", "https://two.example"), ("shortName", "two")])
def test_an_issuer_is_listed_once(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="is listed twice"):
        read_issuers(written(tmp_path, one(), one(**{name: value})))


@pytest.mark.parametrize(
    ("path", "claims", "found"),
    [
        ("$.attributes", {"attributes": {"a": "b"}}, {"a": "b"}),
        ("$['https://corp/a'].b", {"https://corp/a": {"b": {"c": True, "d": 7, "e": -1}}},
         {"c": "true", "d": "7", "e": "-1"}),
        ("$.groups[0]", {"groups": [{"a": "b"}, {"a": "c"}]}, {"a": "b"}),
        ("$.a", {"a": {"x": ["b"], "y": None, "z": 1.5, "v": {}, "w": "b" * 257, "u" * 257: "b"}}, {}),
        ("$.a", {"a": "text"}, {}),
        ("$.a", {"a": ["text"]}, {}),
        ("$.a", {}, {}),
        ("$", {"sub": "x"}, {"sub": "x"}),
    ],
)  # fmt: skip
def test_attributes_are_texts_at_one_place(path: str, claims: dict[str, Any], found: dict[str, str]) -> None:
    assert read_attributes(attributes_path(path), claims) == found


def test_attributes_are_bounded_in_number() -> None:
    assert len(read_attributes(attributes_path("$"), {str(number): "x" for number in range(1000)})) == 64


class Serving:
    """What an issuer serves; `None`: it is away."""

    def __init__(self, *documents: Mapping[str, Any] | None) -> None:
        self.documents, self.asked = list(documents), 0

    async def fetch(self, _: Issuer, url: str) -> Mapping[str, Any]:
        if url.endswith("openid-configuration"):
            return {"issuer": URL, "jwks_uri": f"{URL}/keys"}
        self.asked += 1
        document = self.documents.pop(0) if len(self.documents) > 1 else self.documents[0]
        if document is None:
            raise IssuerUnavailable("jwt", "away")
        return document


ONE = {"keys": [public_jwk(KEY, "a")]}
OTHER = {"keys": [public_jwk(KEY, "b")]}


async def test_keys_are_fetched_anew_unasked_before_they_are_old() -> None:
    serving = Serving(ONE, OTHER)
    ring = KeyRing(ISSUER, fetch=serving.fetch)
    await ring.refresh(NOW)
    await ring.refresh(NOW + timedelta(minutes=4))
    assert serving.asked == 1
    await ring.refresh(NOW + timedelta(minutes=6))
    assert await ring.find("a", NOW + timedelta(minutes=6)) is None
    assert await ring.find("b", NOW + timedelta(minutes=6)) is not None
    assert serving.asked == 2


async def test_a_failed_look_is_not_repeated_within_the_gap_and_leaves_what_is_known() -> None:
    serving = Serving(ONE, None)
    ring = KeyRing(ISSUER, fetch=serving.fetch)
    assert await ring.find("a", NOW) is not None
    later = NOW + timedelta(minutes=10)
    with pytest.raises(IssuerUnavailable):
        await ring.find("x", later)
    assert await ring.find("x", later + timedelta(seconds=9)) is None
    assert serving.asked == 2
    assert await ring.find("a", later) is not None


async def test_an_issuer_that_was_never_reached_is_asked_again_after_the_gap() -> None:
    serving = Serving(None, ONE)
    ring = KeyRing(ISSUER, fetch=serving.fetch)
    for seconds in (0, 9):
        with pytest.raises(IssuerUnavailable):
            await ring.find("a", NOW + timedelta(seconds=seconds))
    assert serving.asked == 1
    assert await ring.find("a", NOW + timedelta(seconds=10)) is not None


async def test_keys_that_are_written_down_are_never_fetched() -> None:
    serving = Serving(None)
    ring = KeyRing(Issuer(URL, "corp", jwks=json.dumps(ONE)), fetch=serving.fetch)
    await ring.refresh(NOW)
    assert await ring.find("a", NOW + timedelta(days=400)) is not None
    assert await ring.find("b", NOW) is None
    assert serving.asked == 0


def test_of_a_key_set_only_keys_for_signatures_count() -> None:
    good = public_jwk(KEY, "good")
    odd = [{**good, "kid": "use", "use": "enc"}, {**good, "kid": "alg", "alg": "ES512"}, {**good, "kid": 7}, "x", None,
           {**good, "kid": "crv", "crv": "P-384"}, {"kty": "EC", "kid": "bare"}, {**good, "kid": "point", "x": "AAAA"},
           {"kty": "oct", "kid": "secret", "k": "AAAA"}, {**public_jwk(KEY, "good"), "x": "AAAA"}]  # fmt: skip
    assert list(read_keys({"keys": [good, *odd]}, ISSUER)) == ["good"]
    assert read_keys({"keys": {}}, ISSUER) == read_keys([], ISSUER) == {}


def test_a_private_key_that_an_issuer_publishes_is_not_kept() -> None:
    leaked = {**public_jwk(KEY, "a"), "d": public_jwk(KEY, "a")["x"]}
    assert not read_keys({"keys": [leaked]}, ISSUER)["a"].is_private


def test_an_algorithm_fits_its_own_kind_of_key() -> None:
    keys = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": KEY,
            "ES384": ec.generate_private_key(ec.SECP384R1())}  # fmt: skip
    for name, key in keys.items():
        (read,) = read_keys({"keys": [public_jwk(key, "a")]}, ISSUER).values()
        assert [algorithm for algorithm in (*keys, "HS256", "none") if fits(read, algorithm)] == [name]
