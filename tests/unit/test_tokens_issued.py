"""Issuing tokens: who signs, what they say, and what is not made."""

from datetime import UTC, datetime, timedelta

import pytest

from outrig.resources import Key, Resource
from outrig.store.memory import MemoryStore
from outrig.tokens.claims import DataplaneClaims, UserClaims, ZoneClaims
from outrig.tokens.jwt import kid_of, sign, verify
from outrig.tokens.keys import (
    USER,
    ZONE,
    Ring,
    dataplane_ring,
    new_signing_key,
    public_key,
    secret_body,
    secret_text,
    signing_key,
    verifying_key,
)
from outrig.tokens.refusals import ClaimRefused, IssuingOff, SigningKeyRefused, TokenInvalid
from outrig.tokens.settings import TokenSettings
from outrig.tokens.tokens import (
    ADMIN_TOKEN,
    Tokens,
    ensure_admin_token,
    ensure_signing_key,
    rotate_signing_key,
)

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULT = dataplane_ring("default")
PEM = new_signing_key()


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    async with made.transaction() as tx:
        for ring in (DEFAULT, ZONE, USER):
            await ensure_signing_key(tx, ring)
    return made


async def test_each_kind_of_token_says_what_it_was_given(store: MemoryStore) -> None:
    tokens, kv = Tokens(), DataplaneClaims("default", "kv-1", tags={"kuma.io/service": ("kv", "b")}, workload="kv")
    zone, user = ZoneClaims("east", ("ingress",)), UserClaims("jane@example.com", ("team a", "team b"))
    async with store.transaction() as tx:
        first = await tokens.issue_dataplane(tx, kv, now=NOW, lifetime=HOUR)
        second = await tokens.issue_zone(tx, zone, now=NOW, lifetime=HOUR)
        third = await tokens.issue_user(tx, user, now=NOW, lifetime=HOUR)
    verified, claims = await tokens.verify_dataplane(store, first, mesh="default", now=NOW)
    assert (claims, verified.kid, verified.expires) == (kv, "1", NOW + HOUR)
    assert (await tokens.verify_zone(store, second, now=NOW))[1] == zone
    assert await tokens.verify_user(store, third, now=NOW) == user
    with pytest.raises(TokenInvalid):
        await tokens.verify_user(store, second, now=NOW)


async def test_the_highest_serial_signs_and_a_key_without_one_is_the_lowest() -> None:
    store, tokens = MemoryStore(), Tokens()
    kids = []
    async with store.transaction() as tx:
        with pytest.raises(SigningKeyRefused, match="does not exist"):
            await tokens.issue_user(tx, UserClaims("a"), now=NOW, lifetime=HOUR)
        for serial in (0, 9, 10, 2):
            await tx.create(Resource(USER.key_of(serial), body=secret_body(PEM)))
            kids.append(kid_of(await tokens.issue_user(tx, UserClaims("a"), now=NOW, lifetime=HOUR)))
        assert await rotate_signing_key(tx, USER) == USER.key_of(11)
    assert kids == ["0", "9", "10", "10"]


async def test_a_key_that_cannot_be_used_is_passed_over_and_said(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with store.transaction() as tx:
        await tx.create(Resource(ZONE.key_of(9), body=secret_body("junk")))
        token = await Tokens().issue_zone(tx, ZoneClaims("east"), now=NOW, lifetime=HOUR)
        assert kid_of(token) == "1"
        await Tokens().verify_zone(tx, token, now=NOW)
        assert "zone-token-signing-key-9: cannot be used: is no private key in PEM" in caplog.text
        await tx.delete(ZONE.key_of(1))
        with pytest.raises(SigningKeyRefused, match=r"zone-token-signing-key-9: cannot be used.*replace it"):
            await Tokens().issue_zone(tx, ZoneClaims("east"), now=NOW, lifetime=HOUR)


async def test_a_first_key_is_made_once(store: MemoryStore) -> None:
    before = await store.get(ZONE.key_of(1))
    async with store.transaction() as tx:
        await ensure_signing_key(tx, ZONE)
    assert await store.get(ZONE.key_of(1)) == before


@pytest.mark.parametrize(
    ("ring", "name", "serial"),
    [
        (DEFAULT, "dataplane-token-signing-key-default-1", 1),
        (DEFAULT, "dataplane-token-signing-key-default", 0),
        (DEFAULT, "dataplane-token-signing-key-default-01", None),
        (DEFAULT, "dataplane-token-signing-key-default-x", None),
        (DEFAULT, "dataplane-token-signing-key-other-1", None),
        (dataplane_ring("a.b"), "dataplane-token-signing-key-aXb-1", None),
        (ZONE, "zone-token-signing-key-12", 12),
        (ZONE, "zone-token-signing-public-key-1", None),
    ],
)
def test_names_of_signing_keys_are_kumas(ring: Ring, name: str, serial: int | None) -> None:
    key = Key("kuma.io", ring.kind, ring.mesh, "", name)
    assert ring.serial_of(key) == serial
    if serial is not None:
        assert ring.key_of(serial) == key
    assert ring.serial_of(Key("kuma.io", ring.kind, "elsewhere", "", name)) is None


async def test_a_control_plane_that_does_not_issue_says_so_and_has_no_admin_token(store: MemoryStore) -> None:
    tokens = Tokens(TokenSettings(not_issued=frozenset(("dataplane", "zone", "user"))))
    async with store.transaction() as tx:
        with pytest.raises(IssuingOff, match="issuing tokens using the control plane is disabled"):
            await tokens.issue_dataplane(tx, DataplaneClaims("default"), now=NOW, lifetime=HOUR)
        with pytest.raises(IssuingOff):
            await tokens.issue_zone(tx, ZoneClaims(""), now=NOW, lifetime=HOUR)
        with pytest.raises(IssuingOff):
            await tokens.issue_user(tx, UserClaims("a"), now=NOW, lifetime=HOUR)
        await ensure_admin_token(tx, tokens, now=NOW)
    assert await store.get(ADMIN_TOKEN) is None


async def test_the_admins_token_is_made_once(store: MemoryStore) -> None:
    for _ in range(2):
        async with store.transaction() as tx:
            await ensure_admin_token(tx, Tokens(), now=NOW)
    stored = await store.get(ADMIN_TOKEN)
    assert stored
    assert stored.generation == 1
    assert (await Tokens().verify_user(store, secret_text(stored), now=NOW)).groups == ("mesh-system:admin",)


def test_a_token_made_offline_needs_nothing_but_the_key() -> None:
    token = sign(DataplaneClaims("default").as_json(), signing_key(PEM), kid="offline", now=NOW, lifetime=HOUR)
    verified = verify(token, verifying_key(public_key(PEM)), NOW)
    assert (verified.kid, verified.claims["Mesh"]) == ("offline", "default")
    assert verify(token, verifying_key(public_key(PEM)), NOW - timedelta(seconds=34))
    with pytest.raises(TokenInvalid, match="not valid yet"):
        verify(token, verifying_key(public_key(PEM)), NOW - timedelta(seconds=36))


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(seconds=-1), timedelta(days=4000)])
def test_lifetimes_that_mean_nothing_are_refused(lifetime: timedelta) -> None:
    with pytest.raises(ClaimRefused, match="validFor"):
        sign({}, signing_key(PEM), kid="1", now=NOW, lifetime=lifetime)


@pytest.mark.parametrize("kid", ["", "a/b", "../x", "1\n", "x" * 129])
def test_key_ids_that_could_not_be_verified_are_refused(kid: str) -> None:
    with pytest.raises(SigningKeyRefused, match="kid"):
        sign({}, signing_key(PEM), kid=kid, now=NOW, lifetime=HOUR)


@pytest.mark.parametrize(
    "claims",
    [
        lambda: DataplaneClaims(""),
        lambda: DataplaneClaims("a/b"),
        lambda: DataplaneClaims("default", "kv 1"),
        lambda: DataplaneClaims("default", type="ingress"),
        lambda: DataplaneClaims("default", tags={"": ("a",)}),
        lambda: DataplaneClaims("default", tags={"a": ()}),
        lambda: DataplaneClaims("default", tags={"a": ("b c",)}),
        lambda: DataplaneClaims("default", workload="a/b"),
        lambda: ZoneClaims("a b"),
        lambda: ZoneClaims("", ()),
        lambda: ZoneClaims("", ("cp",)),
        lambda: UserClaims(""),
        lambda: UserClaims("a\n"),
        lambda: UserClaims("a", ("",)),
    ],
)
def test_claims_that_name_nothing_are_refused(claims: object) -> None:
    assert callable(claims)
    with pytest.raises(ClaimRefused):
        claims()


@pytest.mark.parametrize("text", ["", "junk", PEM.replace("PRIVATE", "PUBLIC"), PEM[:-200]])
def test_keys_that_cannot_be_used_are_refused(text: str) -> None:
    for read in (signing_key, public_key, verifying_key):
        with pytest.raises(SigningKeyRefused):
            read(text)
