"""What selectors choose and what imports name."""

import pytest

from outrig.model import Import, Selector, Service, labels_of
from outrig.resources import Key

LABELS = labels_of({"b": "2", "a": "1"})


def test_labels_have_one_order() -> None:
    assert LABELS == (("a", "1"), ("b", "2")) == labels_of({"a": "1", "b": "2"})


@pytest.mark.parametrize(
    ("selector", "matches", "could"),
    [
        (Selector("shop"), True, True),
        (Selector(None, (("a", "1"),)), True, True),
        (Selector("shop", LABELS), True, True),
        (Selector("bank", LABELS), False, False),
        (Selector("shop", (("a", "2"),)), False, False),
        (Selector("shop", (("c", "3"),)), False, True),
        (Selector("shop", (("a", "1"), ("c", "3"))), False, True),
    ],
)
def test_a_declared_label_that_differs_rules_out_and_one_that_is_missing_may_still_come(
    selector: Selector, matches: bool, could: bool
) -> None:
    assert selector.matches("shop", LABELS) is matches
    assert selector.could_match("shop", LABELS) is could


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Import("*", "*"), True),
        (Import("shop", "*"), True),
        (Import("bank", "*"), False),
        (Import("shop", "a.shop.local"), True),
        (Import("*", "b.shop.local"), False),
        (Import("*", "*.shop.local"), True),
        (Import("*", "*.local"), True),
        (Import("*", "*.a.shop.local"), False),
        (Import("*", "*.op.local"), False),
    ],
)
def test_an_import_names_by_namespace_and_host(wanted: Import, fits: bool) -> None:
    assert wanted.fits("shop", "a.shop.local") is fits


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Import("shop", "@ext.example.com"), True),
        (Import("bank", "@ext.example.com"), False),
        (Import("shop", "@other"), False),
        (Import("shop", "ext.example.com"), False),
        (Import("*", "*.example.com"), False),
        (Import("shop", "a.shop.local"), True),
        (Import("*", "*"), True),
    ],
)
def test_an_import_names_all_hosts_of_a_resource_by_nothing_but_its_handle(wanted: Import, fits: bool) -> None:
    origin = Key("networking.istio.io", "ServiceEntry", "", "shop", "ext.example.com")
    service = Service(origin, "shop", "a.shop.local", (), None)
    assert service.named_by(wanted) is fits
