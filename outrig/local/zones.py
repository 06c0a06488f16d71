"""Private DNS zones as data: what exists at a name, wildcards (RFC 4592) included.

In: record sets in text, as Route 53 and Cloud Map keep them.  Out: a frozen `Zone`.  It refuses, with dnspython's
`DNSException` or `ValueError`, names, types and values that are not what DNS wants of them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.name import Name
from dns.rdata import Rdata
from dns.rdatatype import RdataType

LONGEST_TTL = 2**31 - 1  # seconds; RFC 2181, section 8
_OCTAL = re.compile(r"\\([0-3][0-7]{2})")


class RecordText(NamedTuple):
    """A record set as its owner wrote it. `alias` names the record that it repeats; then it has no values."""

    name: str
    type: str
    ttl: int = 0
    values: tuple[str, ...] = ()
    weight: int | None = None
    healthy: bool = True
    alias: str = ""


@dataclass(frozen=True, slots=True)
class RecordSet:
    """The same, understood. Several of one name and type are routed: by weight if they have one, else multivalue."""

    type: RdataType
    ttl: int
    values: tuple[Rdata, ...]
    weight: int | None
    healthy: bool
    alias: Name | None


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone: its record sets by owner, and all names that exist: owners, and what lies between them and the zone."""

    name: Name
    records: Mapping[Name, tuple[RecordSet, ...]]
    existing: frozenset[Name]

    def at(self, name: Name) -> tuple[RecordSet, ...] | None:
        """The record sets of a name of this zone: none where it exists without any, `None` where it does not exist.

        A name that does not exist is answered from the wildcard below its closest existing ancestor, and from no
        other (RFC 4592, section 3.3.1).
        """
        if name in self.existing:
            return self.records.get(name, ())
        encloser = name.parent()
        while encloser not in self.existing:
            encloser = encloser.parent()
        try:
            return self.records.get(dns.name.Name((b"*", *encloser.labels)))
        except dns.name.NameTooLong:
            return None


@lru_cache(maxsize=256)
def parse_zone(name: str, texts: tuple[RecordText, ...]) -> Zone:
    """The zone `name` with these records. Equal texts give the same object, so that asking often costs little."""
    apex = parse_name(name)
    records: dict[Name, tuple[RecordSet, ...]] = {}
    for text in texts:
        owner = parse_name(text.name)
        records[owner] = (*records.get(owner, ()), parse_record_set(text))
    return Zone(apex, records, frozenset({apex, *_branches(records, apex)}))


def parse_record_set(text: RecordText) -> RecordSet:
    kind = dns.rdatatype.from_text(text.type)
    if not text.values and not text.alias:
        raise ValueError("a record set has values, or is an alias")
    return RecordSet(
        type=kind,
        ttl=text.ttl,
        values=tuple(_parse_value(kind, value) for value in text.values),
        weight=text.weight,
        healthy=text.healthy,
        alias=parse_name(text.alias) if text.alias else None,
    )


def parse_name(text: str) -> Name:
    r"""An absolute name, with or without its last dot. Route 53's escapes are octal (`\052` is `*`), DNS's decimal."""
    return dns.name.from_text(_OCTAL.sub(lambda digits: f"\\{int(digits[1], 8):03d}", text), origin=dns.name.root)


def _branches(owners: Iterable[Name], apex: Name) -> Iterable[Name]:
    for owner in owners:
        name = owner
        while name != apex and name != dns.name.root:
            yield name
            name = name.parent()


def _parse_value(kind: RdataType, text: str) -> Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=dns.name.root, relativize=False)
