"""What the VPC's resolver answers: a question and the zones in, a message out; no socket, no clock.

The rules are those of the Amazon resolver: the zone with the longest matching name alone decides; aliases (CNAME) are
followed through all zones of the VPC; what no zone knows does not exist, since nothing leads out of the VPC. Malformed
messages get no answer, zone transfers and ANY get NOTIMP.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

from outrig.local.zones import RecordSet, Zone

OUR_PAYLOAD = 4096
_PLAIN_PAYLOAD = 512
_LONGEST_CHAIN = 8
_MOST_VALUES = 8

Zones = Callable[[Name], Sequence[Zone]]
"""The zones that may know a name."""


@dataclass(slots=True)
class Answer:
    """What a question comes to: records on the way, the end of it, and the zone's SOA where there is nothing."""

    code: Rcode = dns.rcode.NOERROR
    records: list[RRset] = field(default_factory=list)
    authority: list[RRset] = field(default_factory=list)


def reply(wire: bytes, zones: Zones, *, stream: bool, dice: random.Random) -> bytes | None:
    """The answer to a message, or `None` for what is no query. Over UDP (`stream` false) it is cut to what fits."""
    query = _parse_query(wire)
    if query is None:
        return None
    response = dns.message.make_response(query, recursion_available=True, our_payload=OUR_PAYLOAD)
    refusal = _refusal(query)
    if refusal is not None:
        response.set_rcode(refusal)
    else:
        question = query.question[0]
        answer = resolve(question.name, question.rdtype, zones, dice=dice)
        response.set_rcode(answer.code)
        response.answer, response.authority = answer.records, answer.authority
    return response.to_wire(max_size=65535 if stream else _payload(query), prefer_truncation=True)


def resolve(name: Name, kind: RdataType, zones: Zones, *, dice: random.Random) -> Answer:
    """Answer one question, following CNAME records as far as `_LONGEST_CHAIN`, then SERVFAIL."""
    answer = Answer()
    for _ in range(_LONGEST_CHAIN):
        zone = _closest(name, zones(name))
        found = zone.at(name) if zone else None
        if zone is None or found is None:
            answer.code = dns.rcode.NXDOMAIN
        if zone is None:
            return answer
        wanted = _choose(zone, found or (), kind, dice=dice)
        if wanted:
            answer.records.append(_rrset(name, wanted, dice=dice))
            return answer
        alias = _choose(zone, found or (), dns.rdatatype.CNAME, dice=dice)
        if not alias:
            answer.authority = _start_of_authority(zone)
            return answer
        answer.records.append(_rrset(name, alias, dice=dice))
        name = alias[0].values[0].target  # type: ignore[attr-defined]  # a CNAME has one
    return Answer(dns.rcode.SERVFAIL)


def _parse_query(wire: bytes) -> Message | None:
    try:
        query = dns.message.from_wire(wire, ignore_trailing=True)
    except dns.exception.DNSException:
        return None
    return None if query.flags & dns.flags.QR else query


def _refusal(query: Message) -> Rcode | None:
    """The code for queries that are understood but not answered."""
    if query.edns > 0:
        return dns.rcode.BADVERS
    if query.opcode() != dns.opcode.QUERY:
        return dns.rcode.NOTIMP
    if len(query.question) != 1:
        return dns.rcode.FORMERR
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN:
        return dns.rcode.REFUSED
    return dns.rcode.NOTIMP if dns.rdatatype.is_metatype(question.rdtype) else None


def _payload(query: Message) -> int:
    return max(_PLAIN_PAYLOAD, min(query.payload, OUR_PAYLOAD)) if query.edns >= 0 else _PLAIN_PAYLOAD


def _closest(name: Name, zones: Sequence[Zone]) -> Zone | None:
    return max((zone for zone in zones if name.is_subdomain(zone.name)), key=lambda zone: len(zone.name), default=None)


def _choose(zone: Zone, sets: Sequence[RecordSet], kind: RdataType, *, dice: random.Random) -> list[RecordSet]:
    """Those record sets of a name that answer for `kind`: one by weight, or up to eight, the healthy if there are."""
    wanted = [real for one in sets if one.type == kind for real in _real(zone, one, hops=_LONGEST_CHAIN)]
    wanted = [one for one in wanted if one.healthy] or wanted
    if len(wanted) > 1 and wanted[0].weight is not None:
        weights = [one.weight or 0 for one in wanted]
        return dice.choices(wanted, weights if any(weights) else None)
    return dice.sample(wanted, min(len(wanted), _MOST_VALUES))


def _real(zone: Zone, one: RecordSet, *, hops: int) -> list[RecordSet]:
    """The record set itself, or those that an alias record stands for: same zone, same type."""
    if one.alias is None:
        return [one]
    if hops == 0 or not one.alias.is_subdomain(zone.name):
        return []
    targets = [other for other in zone.at(one.alias) or () if other.type == one.type]
    return [real for target in targets for real in _real(zone, target, hops=hops - 1)]


def _rrset(name: Name, sets: Sequence[RecordSet], *, dice: random.Random) -> RRset:
    values = [value for one in sets for value in one.values]
    return dns.rrset.from_rdata_list(name, min(one.ttl for one in sets), dice.sample(values, len(values)))


def _start_of_authority(zone: Zone) -> list[RRset]:
    """The zone's SOA, whose time to live says how long "nothing there" may be remembered (RFC 2308, section 3)."""
    for one in zone.at(zone.name) or ():
        for value in one.values:
            if value.rdtype == dns.rdatatype.SOA:
                return [dns.rrset.from_rdata(zone.name, min(one.ttl, value.minimum), value)]  # type: ignore[attr-defined]
    return []
