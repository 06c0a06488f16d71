"""`ChangeResourceRecordSets` as Route 53 means it: all of a batch or nothing, and nothing that DNS cannot answer.

In: a zone's record sets and a batch of changes.  Out: the record sets afterwards.  It refuses what AWS refuses, in
AWS's words (moto takes nearly everything, and half of a batch), and the ways of routing that need the world outside.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dns.exception
from moto.route53.exceptions import DnsNameInvalidForZone, InvalidActionValue, InvalidInput, Route53ClientError
from moto.route53.models import FakeZone, RecordSet

from outrig.local.zones import LONGEST_TTL, RecordText, parse_name, parse_record_set

Change = Mapping[str, Any]  # a parsed `Change` of the API
_TYPES = ("A", "AAAA", "CAA", "CNAME", "DS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV", "TXT")
_OUTSIDE = ("Region", "Failover", "GeoLocation", "GeoProximityLocation", "CidrRoutingConfig", "HealthCheckId")


class RefusedBatch(Route53ClientError):  # type: ignore[misc]
    """A batch that is not applied."""

    def __init__(self, problem: str) -> None:
        super().__init__("InvalidChangeBatch", f"[{problem}]")


def apply_changes(zone: FakeZone, changes: Sequence[Change]) -> list[RecordSet]:
    """The record sets of `zone` after `changes`; the zone stays as it is. Raises moto's `Route53ClientError`."""
    sets = list(zone.rrsets)
    for change in changes:
        wanted = _wanted(zone, change["ResourceRecordSet"])
        present = next((one for one in sets if _key(one) == _key(wanted)), None)
        match change["Action"]:
            case "CREATE" if present is not None:
                raise RefusedBatch(f"Tried to create resource record set {_shown(wanted)} but it already exists")
            case "CREATE" | "UPSERT":
                _check_new(zone, wanted, [one for one in sets if one is not present])
                sets = [one for one in sets if one is not present] + [wanted]
            case "DELETE":
                _check_deletion(zone, wanted, present)
                sets.remove(present)
            case other:
                raise InvalidActionValue(other)
    return sets


def record_text(stored: RecordSet) -> RecordText:
    """A record set of moto's as text."""
    return RecordText(
        name=stored.name,
        type=stored.type,
        ttl=int(stored.ttl or 0),
        values=tuple(stored.records or ()),
        weight=None if stored.weight is None else int(stored.weight),
        alias=(stored.alias_target or {}).get("DNSName", ""),
    )


def _wanted(zone: FakeZone, document: Change) -> RecordSet:
    outside = [name for name in _OUTSIDE if document.get(name)]
    if outside:
        raise InvalidInput(f"outrig local routes by Weight and MultiValueAnswer, not by {outside[0]}")
    values = [entry["Value"] for entry in document.get("ResourceRecords") or []]
    try:
        inside = parse_name(document["Name"]).is_subdomain(parse_name(zone.name))
    except (dns.exception.DNSException, UnicodeError) as error:
        raise RefusedBatch(f"Invalid domain name {document['Name']!r}: {error}") from error
    if not inside:
        raise DnsNameInvalidForZone(name=document["Name"], zone_name=zone.name)
    return RecordSet({**document, "Name": _stored(document["Name"]), "ResourceRecords": values})


def _check_new(zone: FakeZone, wanted: RecordSet, others: Sequence[RecordSet]) -> None:
    _check_form(wanted)
    _check_values(wanted)
    _check_alias(zone, wanted, others)
    beside = [one for one in others if one.name == wanted.name]
    if wanted.type == "CNAME" and wanted.name == zone.name.lower():
        raise RefusedBatch(
            f"RRSet of type CNAME with DNS name {wanted.name} is not permitted at apex in zone {zone.name}"
        )
    if any((one.type == "CNAME") != (wanted.type == "CNAME") for one in beside):
        raise RefusedBatch(
            f"RRSet of type {wanted.type} with DNS name {wanted.name} is not permitted as it conflicts with other "
            f"records with the same DNS name in zone {zone.name}"
        )
    if any(one.type == wanted.type and _routing(one) != _routing(wanted) for one in beside):
        raise RefusedBatch(f"RRSet {_shown(wanted)} conflicts with a record set that is routed in another way")


def _check_form(wanted: RecordSet) -> None:
    if wanted.type not in _TYPES:
        raise InvalidInput(f"Value '{wanted.type}' at 'type' failed to satisfy constraint: one of {', '.join(_TYPES)}")
    if bool(wanted.alias_target) == bool(wanted.records and wanted.ttl is not None):
        raise InvalidInput(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]] in Change with "
            f"[Name={wanted.name}, Type={wanted.type}]"
        )
    if not 0 <= int(wanted.ttl or 0) <= LONGEST_TTL or not 0 <= int(wanted.weight or 0) <= 255:
        raise InvalidInput(f"TTL is 0 to {LONGEST_TTL} and Weight 0 to 255, in {_shown(wanted)}")
    if wanted.type == "CNAME" and len(wanted.records or ()) > 1:
        raise InvalidInput(f"A CNAME record has one value, in {_shown(wanted)}")
    if bool(wanted.set_identifier) != (_routing(wanted) != "simple"):
        raise InvalidInput(f"SetIdentifier goes with Weight or MultiValueAnswer, in {_shown(wanted)}")


def _check_values(wanted: RecordSet) -> None:
    if wanted.type in ("TXT", "SPF") and not all(value[:1] == value[-1:] == '"' for value in wanted.records or ()):
        raise RefusedBatch(f"Invalid Resource Record: values are enclosed in quotation marks, in {_shown(wanted)}")
    try:
        parse_record_set(record_text(wanted))
    except (dns.exception.DNSException, ValueError) as error:
        raise RefusedBatch(f"Invalid Resource Record: {error}, in {_shown(wanted)}") from error


def _check_alias(zone: FakeZone, wanted: RecordSet, others: Sequence[RecordSet]) -> None:
    """An alias may repeat a record of the same zone. Those of load balancers and the like lead to nothing here."""
    if not wanted.alias_target:
        return
    target = _stored(wanted.alias_target["DNSName"])
    if wanted.alias_target.get("HostedZoneId") != zone.resource_id:
        raise RefusedBatch(f"outrig local answers aliases of records in their own zone only, not of {target}")
    if not any(one.name == target and one.type == wanted.type for one in others):
        raise RefusedBatch(
            f"Tried to create an alias that targets {target}, type {wanted.type} in zone {zone.resource_id}, but the "
            "alias target name was not found"
        )


def _check_deletion(zone: FakeZone, wanted: RecordSet, present: RecordSet | None) -> None:
    if present is None:
        raise RefusedBatch(f"Tried to delete resource record set {_shown(wanted)} but it was not found")
    if record_text(present)[2:] != record_text(wanted)[2:]:
        raise RefusedBatch(
            f"Tried to delete resource record set {_shown(wanted)} but the values provided do not match the current "
            "values"
        )
    if wanted.type in ("SOA", "NS") and wanted.name == zone.name.lower():
        raise RefusedBatch(f"A HostedZone must contain at least one {wanted.type} record for the zone itself.")


def _stored(name: str) -> str:
    return name.lower().removesuffix(".").replace("\\052", "*") + "."


def _key(one: RecordSet) -> tuple[str, str, str]:
    return one.name.lower(), one.type, one.set_identifier or ""


def _routing(one: RecordSet) -> str:
    if one.weight is not None:
        return "weighted"
    return "multivalue" if str(one.multi_value_answer).lower() == "true" else "simple"


def _shown(one: RecordSet) -> str:
    identifier = f", set identifier='{one.set_identifier}'" if one.set_identifier else ""
    return f"[name='{one.name}', type='{one.type}'{identifier}]"
