"""What the VPC's resolver answers is a function of the question and the zones."""

import random
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from dns.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from outrig.local.answers import Zones, reply
from outrig.local.hostnames import implied_zone
from outrig.local.zones import RecordText, Zone, parse_name, parse_zone

SOA = RecordText("bookinfo.", "SOA", 900, ("ns.example.com. host.example.com. 1 7200 900 1209600 60",))
BOOKINFO = parse_zone(
    "bookinfo.",
    (
        SOA,
        RecordText("*.bookinfo", "A", 60, ("127.0.0.2",)),
        RecordText("ratings.bookinfo", "A", 30, ("10.7.1.1", "10.7.1.2")),
        RecordText("text.bookinfo", "TXT", 30, ('"one two" "three"',)),
        RecordText("deep.in.bookinfo", "AAAA", 30, ("fd00::1",)),
        RecordText("*.sub.bookinfo", "A", 30, ("127.0.0.3",)),
        RecordText("_http._tcp.bookinfo", "SRV", 30, ("1 2 80 ratings.bookinfo.",)),
        RecordText("alias.bookinfo", "CNAME", 30, ("ratings.bookinfo",)),
        RecordText("*.wild.bookinfo", "CNAME", 30, ("ratings.bookinfo",)),
        RecordText("other.bookinfo", "CNAME", 30, ("db.shop.internal",)),
        RecordText("outside.bookinfo", "CNAME", 30, ("www.example.com",)),
        RecordText("here.bookinfo", "CNAME", 30, ("there.bookinfo",)),
        RecordText("there.bookinfo", "CNAME", 30, ("here.bookinfo",)),
        RecordText("same.bookinfo", "A", 0, alias="ratings.bookinfo"),
        RecordText("loop.bookinfo", "A", 0, alias="loop.bookinfo"),
    ),
)
SHOP = parse_zone("shop.internal", (RecordText("db.shop.internal", "A", 5, ("10.7.2.2",)),))
INNER = parse_zone("inner.shop.internal", (RecordText("a.inner.shop.internal", "A", 5, ("10.7.2.3",)),))


def knowing(*zones: Zone) -> Zones:
    return lambda _name: zones


ALL = knowing(BOOKINFO, SHOP, INNER)


def dice(seed: int = 0) -> random.Random:
    return random.Random(seed)  # noqa: S311 - chance that can be repeated


def ask(
    name: str, kind: str = "A", *, zones: Zones = ALL, stream: bool = False, seed: int = 0, **settings: Any
) -> Message:
    query = dns.message.make_query(name, kind, **settings)
    answer = reply(query.to_wire(), zones, stream=stream, dice=dice(seed))
    assert answer is not None
    response = dns.message.from_wire(answer)
    assert query.is_response(response)
    return response


def records(response: Message) -> list[str]:
    return sorted(line for rrset in response.answer for line in rrset.to_text().splitlines())


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("ratings.bookinfo.", "A", ["ratings.bookinfo. 30 IN A 10.7.1.1", "ratings.bookinfo. 30 IN A 10.7.1.2"]),
        ("reviews.bookinfo.", "A", ["reviews.bookinfo. 60 IN A 127.0.0.2"]),
        ("v1.reviews.bookinfo.", "A", ["v1.reviews.bookinfo. 60 IN A 127.0.0.2"]),
        ("any.sub.bookinfo.", "A", ["any.sub.bookinfo. 30 IN A 127.0.0.3"]),
        ("*.bookinfo.", "A", ["*.bookinfo. 60 IN A 127.0.0.2"]),
        ("text.bookinfo.", "TXT", ['text.bookinfo. 30 IN TXT "one two" "three"']),
        ("deep.in.bookinfo.", "AAAA", ["deep.in.bookinfo. 30 IN AAAA fd00::1"]),
        ("_http._tcp.bookinfo.", "SRV", ["_http._tcp.bookinfo. 30 IN SRV 1 2 80 ratings.bookinfo."]),
        ("db.shop.internal.", "A", ["db.shop.internal. 5 IN A 10.7.2.2"]),
    ],
)
def test_a_record_is_found_under_its_name_or_the_closest_wildcard(name: str, kind: str, expected: list[str]) -> None:
    response = ask(name, kind)
    assert (records(response), response.rcode()) == (expected, dns.rcode.NOERROR)
    assert response.flags & (dns.flags.QR | dns.flags.RA | dns.flags.RD) == dns.flags.QR | dns.flags.RA | dns.flags.RD


@pytest.mark.parametrize(
    "name",
    ["text.bookinfo.", "in.bookinfo.", "sub.bookinfo.", "_tcp.bookinfo.", "bookinfo.", "loop.bookinfo."],
    ids=["other type", "empty non-terminal", "above a wildcard", "service", "the zone itself", "alias of itself"],
)
def test_a_name_that_exists_without_the_type_is_nodata_even_below_a_wildcard(name: str) -> None:
    response = ask(name)
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
    assert response.authority[0].ttl == 60, "the lesser of the SOA's own life and its minimum"


def test_the_type_asked_for_decides_under_a_wildcard_too() -> None:
    response = ask("reviews.bookinfo.", "AAAA")
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
    assert response.authority[0].rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize("name", ["other.in.bookinfo.", "a.text.bookinfo.", "a.*.bookinfo.", "x.inner.shop.internal."])
def test_below_a_name_that_exists_no_farther_wildcard_answers(name: str) -> None:
    assert ask(name).rcode() == dns.rcode.NXDOMAIN


def test_a_zone_without_its_soa_still_denies() -> None:
    response = ask("nothing.shop.internal.")
    assert (response.rcode(), response.authority) == (dns.rcode.NXDOMAIN, [])


def test_the_zone_with_the_longest_name_decides_alone() -> None:
    wide = parse_zone("internal", (RecordText("*.internal", "A", 5, ("10.7.9.9",)),))
    zones = knowing(wide, SHOP)
    assert records(ask("x.internal.", zones=zones)) == ["x.internal. 5 IN A 10.7.9.9"]
    assert ask("x.shop.internal.", zones=zones).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("name", ["www.example.com.", "com.", ".", "bookinfo.example."])
def test_what_no_zone_knows_does_not_exist(name: str) -> None:
    response = ask(name)
    assert (response.rcode(), response.answer, response.authority) == (dns.rcode.NXDOMAIN, [], [])


def test_aliases_are_followed_through_all_zones() -> None:
    assert records(ask("alias.bookinfo."))[0] == "alias.bookinfo. 30 IN CNAME ratings.bookinfo."
    assert len(records(ask("alias.bookinfo."))) == 3
    assert "x.wild.bookinfo. 30 IN CNAME ratings.bookinfo." in records(ask("x.wild.bookinfo."))
    assert records(ask("other.bookinfo.")) == [
        "db.shop.internal. 5 IN A 10.7.2.2",
        "other.bookinfo. 30 IN CNAME db.shop.internal.",
    ]
    assert records(ask("alias.bookinfo.", "CNAME")) == ["alias.bookinfo. 30 IN CNAME ratings.bookinfo."]


def test_an_alias_that_leads_nowhere_says_so_and_one_in_circles_fails() -> None:
    outside = ask("outside.bookinfo.")
    assert (outside.rcode(), len(outside.answer)) == (dns.rcode.NXDOMAIN, 1)
    circle = ask("here.bookinfo.")
    assert (circle.rcode(), circle.answer) == (dns.rcode.SERVFAIL, [])


def test_an_alias_record_answers_with_what_its_target_has() -> None:
    assert records(ask("same.bookinfo.")) == [
        "same.bookinfo. 30 IN A 10.7.1.1",
        "same.bookinfo. 30 IN A 10.7.1.2",
    ]


def test_case_does_not_matter_and_comes_back_as_asked() -> None:
    response = ask("RaTings.BookInfo.")
    assert response.question[0].name.to_text() == "RaTings.BookInfo."
    assert records(response)[0] == "RaTings.BookInfo. 30 IN A 10.7.1.1"


def routed(*texts: RecordText) -> Zones:
    return knowing(parse_zone("r.", texts))


def seen(zones: Zones, times: int = 100) -> dict[tuple[str, ...], int]:
    """How often each set of values was answered."""
    found: dict[tuple[str, ...], int] = {}
    for seed in range(times):
        values = tuple(line.rpartition(" ")[2] for line in records(ask("x.r.", zones=zones, seed=seed)))
        found[values] = found.get(values, 0) + 1
    return found


def test_weights_share_out_the_answers() -> None:
    heavy = RecordText("x.r", "A", 5, ("10.7.1.1",), weight=90)
    light = RecordText("x.r", "A", 5, ("10.7.1.2",), weight=10)
    never = RecordText("x.r", "A", 5, ("10.7.1.3",), weight=0)
    counts = seen(routed(heavy, light, never))
    assert counts.keys() == {("10.7.1.1",), ("10.7.1.2",)}
    assert counts["10.7.1.1",] > 4 * counts["10.7.1.2",]
    assert seen(routed(never)).keys() == {("10.7.1.3",)}
    assert seen(routed(never, never._replace(values=("10.7.1.4",)))).keys() == {("10.7.1.3",), ("10.7.1.4",)}


def test_multivalue_answers_with_up_to_eight_in_any_order() -> None:
    texts = [RecordText("x.r", "A", 5, (f"10.7.1.{n}",)) for n in range(1, 11)]
    assert {len(values) for values in seen(routed(*texts), 50)} == {8}
    assert len({str(ask("x.r.", zones=routed(*texts[:3]), seed=seed).answer[0]) for seed in range(50)}) > 1


def test_the_unhealthy_are_left_out_unless_all_are() -> None:
    well = RecordText("x.r", "A", 5, ("10.7.1.1",))
    sick = RecordText("x.r", "A", 5, ("10.7.1.2",), healthy=False)
    assert seen(routed(well, sick), 20).keys() == {("10.7.1.1",)}
    assert seen(routed(sick, sick._replace(values=("10.7.1.3",))), 20).keys() == {("10.7.1.2", "10.7.1.3")}


MANY = knowing(parse_zone("m.", tuple(RecordText("x.m", "A", 5, (f"10.7.{n // 250}.{n % 250}",)) for n in range(8))))
LONG = knowing(parse_zone("m.", (RecordText("x.m", "TXT", 5, tuple(f'"{n:0200d}"' for n in range(40))),)))


def test_what_does_not_fit_is_cut_and_marked_and_whole_over_tcp() -> None:
    plain = ask("x.m.", "TXT", zones=LONG)
    assert plain.flags & dns.flags.TC
    assert not ask("x.m.", zones=MANY).flags & dns.flags.TC
    whole = ask("x.m.", "TXT", zones=LONG, stream=True)
    assert (len(whole.answer[0]), bool(whole.flags & dns.flags.TC)) == (40, False)


def test_edns_is_answered_with_edns_and_its_size_counts_within_bounds() -> None:
    wide = ask("x.m.", "TXT", zones=LONG, use_edns=0, payload=4096)
    assert (wide.edns, bool(wide.flags & dns.flags.TC)) == (0, True)
    assert ask("x.m.", zones=MANY).edns == -1
    query = dns.message.make_query("x.m.", "TXT", use_edns=0, payload=65535)
    answer = reply(query.to_wire(), LONG, stream=False, dice=dice())
    assert answer is not None
    assert len(answer) <= 4096
    assert ask("x.m.", zones=MANY, use_edns=0, payload=1).answer


def test_a_later_edns_version_is_refused_with_badvers() -> None:
    assert ask("ratings.bookinfo.", use_edns=1).rcode() == dns.rcode.BADVERS


def changed(**changes: object) -> bytes:
    query = dns.message.make_query("ratings.bookinfo.", "A")
    for name, value in changes.items():
        setattr(query, name, value)
    return query.to_wire()


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (dns.message.make_query("ratings.bookinfo.", "ANY").to_wire(), dns.rcode.NOTIMP),
        (dns.message.make_query("bookinfo.", "AXFR").to_wire(), dns.rcode.NOTIMP),
        (dns.message.make_query("ratings.bookinfo.", "A", "CH").to_wire(), dns.rcode.REFUSED),
        (changed(flags=dns.opcode.to_flags(dns.opcode.NOTIFY)), dns.rcode.NOTIMP),
        (changed(question=[]), dns.rcode.FORMERR),
        (changed(question=dns.message.make_query("a.", "A").question * 2), dns.rcode.FORMERR),
    ],
    ids=["any", "axfr", "chaos", "notify", "no question", "two questions"],
)
def test_what_is_understood_but_not_done_gets_its_code(wire: bytes, code: int) -> None:
    answer = reply(wire, ALL, stream=False, dice=dice())
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == code


GOOD = dns.message.make_query("ratings.bookinfo.", "A", use_edns=0).to_wire()


@pytest.mark.parametrize(
    "wire",
    [b"", GOOD[:11], GOOD[:-20], b"\xff" * 40, GOOD[:12] + b"\xc0\x0c" + GOOD[30:], changed(flags=dns.flags.QR)],
    ids=["empty", "half a header", "cut", "noise", "name that points at itself", "an answer"],
)
def test_what_is_no_query_gets_no_answer(wire: bytes) -> None:
    assert reply(wire, ALL, stream=False, dice=dice()) is None


def never_fails(wire: bytes) -> None:
    answer = reply(wire, ALL, stream=False, dice=dice())
    if answer is not None:
        assert len(answer) <= 4096
        assert answer[:2] == wire[:2]
        assert dns.message.from_wire(answer).flags & dns.flags.QR


@given(st.binary(max_size=600))
@example(b"\0" * 12)
def test_no_bytes_make_it_fail(wire: bytes) -> None:
    never_fails(wire)


@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=6),
    st.binary(max_size=40),
    st.integers(0, len(GOOD)),
)
def test_no_damage_to_a_good_query_makes_it_fail(damage: list[tuple[int, int]], tail: bytes, length: int) -> None:
    wire = bytearray(GOOD)
    for place, value in damage:
        wire[place] = value
    never_fails(bytes(wire[:length]) + tail)


LABELS = st.lists(st.sampled_from(["a", "b", "*", "c"]), min_size=1, max_size=4)


@given(st.lists(LABELS, max_size=6), LABELS)
def test_a_wildcard_answers_exactly_where_rfc_4592_says(owners: list[list[str]], asked: list[str]) -> None:
    """Against the definition, said the other way round: the longest existing ancestor, and the asterisk below it."""
    texts = tuple(RecordText(".".join([*labels, "z"]), "A", 1, (f"10.7.0.{n}",)) for n, labels in enumerate(owners))
    zone = parse_zone("z.", texts)
    existing = {tuple(labels[n:]) for labels in owners for n in range(len(labels) + 1)} | {()}
    name = tuple(asked)
    encloser = next(name[n:] for n in range(len(name) + 1) if name[n:] in existing)
    source = name if name in existing else ("*", *encloser)
    expected = [f"10.7.0.{n}" for n, labels in enumerate(owners) if tuple(labels) == source]
    found = zone.at(parse_name(".".join([*asked, "z"])))
    assert [value.to_text() for one in found or () for value in one.values] == expected
    assert (found is None) == (name not in existing and not expected)


def test_the_deepest_name_below_a_wildcard_is_answered_and_too_deep_a_one_is_not_looked_for() -> None:
    deep = ".".join(["a" * 60] * 4)
    texts = (RecordText(f"x.{deep}.z", "A", 1, ("10.7.1.1",)), RecordText("*.z", "A", 1, ("10.7.1.2",)))
    zones = knowing(parse_zone("z.", texts))
    assert ask(f"x.{deep}.z.", zones=zones).answer
    assert ask(f"yyyyyy.{deep}.z.", zones=zones).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("ip-10-7-1-5.ec2.internal.", "A", "10.7.1.5"),
        ("IP-10-7-1-5.EC2.internal.", "A", "10.7.1.5"),
        ("5.1.7.10.in-addr.arpa.", "PTR", "ip-10-7-1-5.ec2.internal."),
        ("data-10.7.0.1.", "A", "10.7.0.1"),
    ],
)
def test_every_address_of_the_vpc_has_a_name_and_the_way_back(name: str, kind: str, expected: str) -> None:
    response = ask(name, kind, zones=implied("us-east-1"))
    assert [value.to_text() for value in response.answer[0]] == [expected]


@pytest.mark.parametrize(
    "name",
    ["ip-10-8-1-5.ec2.internal.", "ip-10-7-1-555.ec2.internal.", "ip-10-7-1-5.x.ec2.internal.", "ratings.ec2.internal.",
     "1.7.10.in-addr.arpa.", "x.7.10.in-addr.arpa.", "500.1.7.10.in-addr.arpa.", "1.5.1.7.10.in-addr.arpa."],
)  # fmt: skip
def test_other_names_of_those_domains_do_not_exist(name: str) -> None:
    assert ask(name, zones=implied("us-east-1")).rcode() == dns.rcode.NXDOMAIN


def test_regions_have_their_own_domain() -> None:
    assert ask("ip-10-7-1-5.eu-west-1.compute.internal.", zones=implied("eu-west-1")).answer
    assert implied_zone(parse_name("ip-10-7-1-5.ec2.internal"), "eu-west-1") is None


def implied(region: str) -> Zones:
    def zones(name: dns.name.Name) -> list[Zone]:
        zone = implied_zone(name, region)
        return [zone] if zone else []

    return zones


@pytest.mark.parametrize(
    "text",
    [
        RecordText("x.z", "A", 1, ("10.7.1.256",)),
        RecordText("x.z", "A", 1, ("fd00::1",)),
        RecordText("x.z", "BANANA", 1, ("1",)),
        RecordText("x..z", "A", 1, ("10.7.1.1",)),
        RecordText("x.z", "A", 1),
        RecordText("x.z", "SRV", 1, ("1 1 99999 a.z",)),
    ],
)
def test_records_that_dns_cannot_carry_are_refused(text: RecordText) -> None:
    with pytest.raises((dns.exception.DNSException, ValueError)):
        parse_zone("z.", (text,))


def test_route_53_escapes_are_octal() -> None:
    assert parse_name(r"\052.z") == parse_name("*.z")
    assert parse_name(r"a\056b.z").labels[0] == b"a.b"
