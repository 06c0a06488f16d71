"""When certificates are renewed, and what is said of those that this task's clock does not accept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent.joining import check
from outrig.agent.membership import renewal_wait
from outrig.agent.problems import BadAnswer
from outrig.wire.join import JoinResponse
from tests.unit.agent_server import Ca


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


def test_what_the_clock_accepts_is_judged_by_nothing_else_of_it() -> None:
    """Renewal is due in seconds from the answer on, so minutes of difference do not move it."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    for off in (timedelta(minutes=-5), timedelta(minutes=5)):
        check(replace(answer(key), renew_in=1), key, datetime.now(UTC) + off)
