"""When certificates are renewed, and what is said of those that this task's clock does not accept."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent.configuration import Endpoint, Onboarding
from outrig.agent.control_plane import ControlPlane
from outrig.agent.identity import TokenIdentity, proof_ends
from outrig.agent.joining import Joined, Joiner, check, lives
from outrig.agent.membership import Membership, renewal_wait
from outrig.agent.problems import BadAnswer
from outrig.agent.setup import DataplaneToken
from outrig.agent.status import Status
from outrig.agent.task import Task
from outrig.wire.join import Challenge, JoinRequest, JoinResponse
from tests.unit.agent_server import Ca, control_plane

NOWHERE = Task("", "", "", "", ())


def answer(key: ec.EllipticCurvePublicKey, lifetime: timedelta = timedelta(hours=1)) -> JoinResponse:
    """A good answer to a join; its certificates began a day ago."""
    ca = Ca()
    chain = ca.issue(key, "spiffe://test/x", lifetime=lifetime)
    return JoinResponse(
        namespace="bookinfo", registration="ratings-x", uid="uid-1", node_id="bookinfo/ratings-x",
        control_chain=chain, control_roots=ca.pem, control_plane="spiffe://test/cp", workload_chain=chain,
        xds_port=9, expires_in=3600, renew_in=1800,
    )  # fmt: skip


def test_a_fleet_that_joined_in_the_same_second_renews_spread_over_a_fifth_of_the_wait() -> None:
    due = [renewal_wait(1800) for _ in range(1000)]
    assert min(due) >= 1440
    assert max(due) <= 1800
    in_each_minute = [sum(1440 + 60 * minute <= wait < 1500 + 60 * minute for wait in due) for minute in range(6)]
    assert sum(in_each_minute) == 1000
    assert max(in_each_minute) < 2 * min(in_each_minute)


@pytest.mark.parametrize(
    ("off", "problem"),
    [(timedelta(hours=2), "the certificate has expired"), (timedelta(days=-2), "the certificate is not valid yet")],
)
def test_certificates_that_do_not_fit_this_clock_are_not_installed_and_the_clock_is_named(
    off: timedelta, problem: str
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    now = datetime.now(UTC) + off
    with pytest.raises(BadAnswer, match=problem) as refused:
        check(answer(key), key, now)
    assert f"this task's clock says {now:%Y-%m-%d %H:%M:%S} UTC" in str(refused.value)


@pytest.mark.parametrize(("workload", "told"), [(86400, (3600, 86400)), (120, (3600, 120)), (0, (3600, 3600))])
def test_each_certificates_life_is_known_without_a_clock(workload: int, told: tuple[int, int]) -> None:
    ca, key = Ca(), ec.generate_private_key(ec.SECP256R1()).public_key()
    long_ago = timedelta(days=-300)  # what ends is compared with what else ends, not with this clock
    control, *other = (ca.issue(key, "x:y", lifetime=long_ago + timedelta(seconds=life)) for life in (3600, workload))
    response = replace(answer(key), control_chain=control, workload_chain=other[0] if workload else "")
    assert lives(replace(response, expires_in=min(told))) == pytest.approx(told, abs=1)


def test_what_the_clock_accepts_is_judged_by_nothing_else_of_it() -> None:
    """Renewal is due in seconds from the answer on, so minutes of difference do not move it."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    for off in (timedelta(minutes=-5), timedelta(minutes=5)):
        check(replace(answer(key), renew_in=1), key, datetime.now(UTC) + off)


class Joins:
    """Succeeds always; the certificates live for so many seconds, and end with the proof if `bounded`."""

    def __init__(self, seconds: int, *, bounded: bool) -> None:
        response = replace(answer(ec.generate_private_key(ec.SECP256R1()).public_key()), expires_in=seconds)
        self._joined = Joined(response, NOWHERE, ends_with_proof=bounded)

    async def join(self) -> Joined:
        return self._joined


class Proofs:
    """There is another proof when that has been asked for so many times."""

    def __init__(self, after: int) -> None:
        self.asked, self._after = 0, after

    def has_another(self) -> bool:
        self.asked += 1
        return self.asked > self._after


@pytest.mark.parametrize(
    ("seconds", "bounded", "after", "asked"),
    [(3600, True, 5, 6), (3600, True, 0, 1), (3, True, 99, 2), (3600, False, 99, 0)],
    ids=["another proof came", "another proof is there", "none came, and this is the end", "lasts less than the proof"],
)
async def test_a_renewal_waits_until_it_can_gain_something(
    seconds: int, bounded: bool, after: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def elapse(_: Membership, _within: float) -> bool:
        return False

    monkeypatch.setattr(Membership, "_is_woken", elapse)
    monkeypatch.setattr("outrig.agent.membership.renewal_wait", lambda _: 1.0)
    proofs = Proofs(after)
    joined = Membership(Joins(seconds, bounded=bounded), Status(), proofs.has_another).joins()
    await anext(joined)
    await anext(joined)
    assert proofs.asked == asked


@pytest.mark.parametrize(("shorter", "bounded"), [(timedelta(), True), (timedelta(minutes=-58), False)])
async def test_a_renewal_can_gain_nothing_only_if_no_certificate_ends_before_the_token(
    shorter: timedelta, bounded: bool, tmp_path: Path
) -> None:
    hour, ca, key = timedelta(hours=1), Ca(), ec.generate_private_key(ec.SECP256R1())
    control, workload = (ca.issue(key.public_key(), "x:y", lifetime=life) for life in (hour, hour + shorter))
    end = x509.load_pem_x509_certificate(control.encode()).not_valid_after_utc
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(end.timestamp())}).encode()).decode()
    async with control_plane(ca, tmp_path) as plane:
        plane.template |= {"control_chain": control, "workload_chain": workload if shorter else control}
        at = Endpoint("127.0.0.1", plane.port)
        identity = TokenIdentity(DataplaneToken(text=f"a.{claims}.c"))
        seat = Onboarding(at, "bookinfo", "ratings")
        joiner = Joiner(ControlPlane(at, ca.pem), seat, key=key, identity=identity, envoy_version="1.40.0")
        assert (await joiner.join()).ends_with_proof is bounded


@pytest.mark.parametrize(("claims", "known"), [('{"exp": 1772366400}', True), ('{"exp": "x"}', False), ("[]", False)])
async def test_a_token_tells_its_end_and_a_text_that_is_none_tells_nothing(claims: str, known: bool) -> None:
    end = datetime(2026, 3, 1, 12, tzinfo=UTC)
    identity = TokenIdentity(DataplaneToken(text=f"a.{base64.urlsafe_b64encode(claims.encode()).decode()}.c"))
    assert not proof_ends(identity, end), "nothing was shown yet"
    bare = JoinRequest(1, "", "", "", (), "", "")
    await identity.prove(bare, Challenge("n", "a", 60), task=NOWHERE, now=end)
    assert proof_ends(identity, end) is known
