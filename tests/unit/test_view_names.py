"""Under which names a service is called, and what happens where two claim one."""

from outrig.model import Protocol, Selector, Service, ServicePort
from outrig.resources import Key
from outrig.view.imports import Imported
from outrig.view.names import claim_names

PORT = ServicePort(80, "http", Protocol.HTTP, 80)


def found(host: str, space: str, *names: str, local: tuple[str, ...] = ()) -> Imported:
    service = Service(Key("", "Service", "", space, host), space, host, (PORT,), Selector(space), names, local)
    return Imported(service, PORT)


def test_short_names_are_for_callers_of_the_same_namespace() -> None:
    services = [
        found("a.shop.local", "shop", "a.shop", local=("a",)),
        found("a.bank.local", "bank", "a.bank", local=("a",)),
    ]
    assert claim_names(services, "shop")[0] == [("a.shop.local", "a.shop", "a"), ("a.bank.local", "a.bank")]
    assert claim_names(services, "bank")[0] == [("a.shop.local", "a.shop"), ("a.bank.local", "a.bank", "a")]


def test_no_service_loses_its_host_to_the_short_name_of_one_that_came_first() -> None:
    services = [found("first.local", "shop", "second.local"), found("second.local", "shop")]
    names, late = claim_names(services, "shop")
    assert names == [("first.local",), ("second.local",)]
    assert [(claim.name, claim.first.host, claim.second.host) for claim in late] == [
        ("second.local", "second.local", "first.local")
    ]


def test_of_two_equal_short_names_the_first_keeps_it() -> None:
    names, late = claim_names([found("a.local", "shop", "10.0.0.1"), found("b.local", "shop", "10.0.0.1")], "shop")
    assert names == [("a.local", "10.0.0.1"), ("b.local",)]
    assert [claim.second.host for claim in late] == ["b.local"]


def test_names_are_compared_as_envoy_compares_them() -> None:
    """In lower case; an IPv6 address stands in brackets."""
    names, late = claim_names([found("Api.Local", "shop", "FD00::1"), found("api.local", "shop")], "shop")
    assert names == [("api.local", "[fd00::1]"), ()]
    assert len(late) == 1
