"""Token buckets, by a clock of the test's own."""

from outrig.admission.rate import _MOST, Buckets, network_of


def test_a_burst_is_granted_and_then_the_rate() -> None:
    buckets = Buckets(rate=2, burst=3)
    assert [buckets.take("a", 0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("a", 0.5) > 0


def test_a_long_pause_grants_no_more_than_a_burst() -> None:
    buckets = Buckets(rate=100, burst=2)
    buckets.take("a", 0)
    assert [buckets.take("a", 1000) > 0 for _ in range(3)] == [False, False, True]


def test_callers_do_not_share_a_bucket() -> None:
    buckets = Buckets(rate=1, burst=1)
    assert [buckets.take(name, 0) for name in ("a", "b")] == [0, 0]


def test_memory_is_bounded() -> None:
    buckets = Buckets(rate=1, burst=1)
    for number in range(_MOST + 10):
        buckets.take(str(number), 0)
    assert len(buckets._levels) == _MOST
    assert buckets.take(str(_MOST + 9), 0) > 0


def test_an_ipv6_network_is_one_caller() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("10.0.0.1") != network_of("10.0.0.2")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("testclient") == "testclient"
