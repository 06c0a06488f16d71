"""What can be asked: calls, addresses and sources, and what is refused; and which virtual host takes a Host."""

import pytest

from outrig.model import Address, WorkloadId
from outrig.view import VirtualHost
from outrig.why import BadQuestion, Candidate, choose, parse_call, parse_via
from outrig.why.hosts import match_host


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("http://ratings.bookinfo:9080/ratings/0?x=1", ("http", "ratings.bookinfo", 9080, "/ratings/0?x=1")),
        ("HTTP://Ratings", ("http", "ratings", 80, "")),
        ("https://ratings", ("https", "ratings", 443, "")),
        ("ratings:9080", ("", "ratings", 9080, "")),
        ("tcp://127.0.0.2:5432", ("tcp", "127.0.0.2", 5432, "")),
        ("http://[::1]:80/", ("http", "::1", 80, "/")),
    ],
)
def test_a_call_is_read_as_it_is_written(text: str, call: tuple[str, str, int, str]) -> None:
    read = parse_call(text)
    assert (read.scheme, read.host, read.port, read.path) == call
    assert parse_call(str(read)) == read


@pytest.mark.parametrize(
    "text",
    [
        *("", ":80", "http://", "details", "tcp://details", "http://a b", "grpc://a:1", "://a:1", "http://h:99999"),
        *("h:x", "http://u@h:1", "http://h_\u00e9:1", "http://[::1", "http://a*b:1", "\x00:1", "h:0"),
    ],
)
def test_what_is_no_call_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(BadQuestion, match="OUT901 target"):
        parse_call(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.2:9080", Address("127.0.0.2", 9080)),
        ("[::1]:80", Address("::1", 80)),
        ("unix:///run/calls.sock", Address("unix:///run/calls.sock", 0)),
        ("", None),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str, address: Address | None) -> None:
    assert parse_via(text) == address


@pytest.mark.parametrize(
    "text", ["localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "1.2.3.4:1/x", "unix://"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadQuestion, match="OUT901 --via"):
        parse_via(text)


def test_a_host_goes_to_the_most_exact_domain() -> None:
    hosts = [VirtualHost(name, (name,), "") for name in ("*", "*.shop", "app.*", "*.b.shop", "app.shop", "app.b.*")]
    for name, taken in (
        ("APP.shop", "app.shop"),
        ("x.b.shop", "*.b.shop"),
        ("x.shop", "*.shop"),
        ("app.b.c", "app.b.*"),
    ):
        found = match_host(name, hosts)
        assert found is not None
        assert found.domain == taken
    assert match_host(".shop", hosts[1:]) is None
    assert match_host("nobody", hosts[1:]) is None


ONE = Candidate(WorkloadId("a/web-1"), True, frozenset({"web"}), "0123abcd")
TWO = Candidate(WorkloadId("a/web-2"), False, frozenset({"web", "front"}), "0456abcd")
FAR = Candidate(WorkloadId("b/web-1"), True, frozenset({"web"}), "0789abcd")
KV = Candidate(WorkloadId("dataplane/shop/kv-1"), True)


@pytest.mark.parametrize(
    ("source", "candidates", "chosen"),
    [
        ("a/web-1", (ONE, TWO, FAR), "a/web-1"),
        ("web", (TWO, ONE), "a/web-1"),
        ("front", (ONE, TWO), "a/web-2"),
        ("0789abcd", (ONE, TWO, FAR), "b/web-1"),
        ("078", (ONE, TWO, FAR), "b/web-1"),
        ("b/we", (ONE, TWO, FAR), "b/web-1"),
        ("web-2", (ONE, TWO, FAR), "a/web-2"),
        ("shop/kv-1", (ONE, KV), "dataplane/shop/kv-1"),
        ("kuma-shop/kv", (ONE, KV), "dataplane/shop/kv-1"),
        ("dataplane/shop/kv-1", (ONE, KV), "dataplane/shop/kv-1"),
        ("kv", (ONE, KV), "dataplane/shop/kv-1"),
    ],
)
def test_a_source_names_one_workload(source: str, candidates: tuple[Candidate, ...], chosen: str) -> None:
    assert choose(source, candidates).id == chosen


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("web-1", "could be 2 workloads: a/web-1, b/web-1"),
        ("web", "could be 3 workloads"),
        ("0", "could be 3 workloads"),
        ("wob", "names no workload that is here now (did you mean 'web'?)"),
        ("", "names no workload"),
        ("c/web-1", "OUT901 namespace or mesh 'c': has no workload now (known: a, b, shop)"),
        ("shap/kv-1", "OUT901 namespace or mesh 'shap': has no workload now (did you mean 'shop'?)"),
        ("shop/vk", "names no workload that is here now (known: shop/kv-1)"),
    ],
)
def test_a_source_that_names_several_or_none_is_refused(source: str, says: str) -> None:
    with pytest.raises(BadQuestion) as refused:
        choose(source, (ONE, TWO, FAR, KV))
    assert says in str(refused.value)
