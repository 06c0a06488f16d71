"""Who may listen where on one machine."""

from outrig.model import Address
from outrig.view.binds import ELSEWHERE, Binds


def test_an_address_is_taken_once() -> None:
    binds = Binds()
    assert binds.take(Address("127.0.0.1", 80), "first") is None
    assert binds.take(Address("127.0.0.1", 80), "second") == "first"
    assert binds.holder(Address("127.0.0.1", 80)) == "first"


def test_other_addresses_and_other_ports_are_free() -> None:
    binds = Binds()
    binds.take(Address("127.0.0.1", 80), "first")
    assert binds.holder(Address("127.0.0.2", 80)) is None
    assert binds.holder(Address("127.0.0.1", 81)) is None


def test_a_wildcard_has_its_port_everywhere_and_is_refused_where_anything_has_it() -> None:
    for wildcard in ("0.0.0.0", "::"):
        binds = Binds()
        binds.take(Address(wildcard, 80), "all")
        assert binds.holder(Address("127.0.0.2", 80)) == "all"
        binds = Binds()
        binds.take(Address("127.0.0.2", 80), "one")
        assert binds.holder(Address(wildcard, 80)) == "one"


def test_seen_from_some_hosts_all_others_look_alike() -> None:
    """So that tasks that differ in their own address alone have the same outlook."""
    seen = []
    for own in ("10.0.0.1", "10.0.0.2"):
        binds = Binds()
        binds.take(Address(own, 80), "ingress[0]")
        binds.take(Address("127.0.0.1", 80), "the application")
        seen.append(binds.seen_from({"127.0.0.1"}))
    assert seen[0] == seen[1]
    assert {one.host for one in seen[0]} == {ELSEWHERE, "127.0.0.1"}
    assert Binds(seen[0]).holder(Address("127.0.0.1", 80)) == "the application"
    assert Binds(seen[0]).holder(Address("0.0.0.0", 80)) is not None
    assert Binds(seen[0]).holder(Address("127.0.0.9", 80)) is None
