"""The names the VPC has by itself: `ip-10-7-1-5.ec2.internal` for each address, the way back, and Cloud Map's endpoint.

In: the name asked for.  Out: the zone it lies in, with the one record that name may have.
"""

import ipaddress
import re

import dns.exception
import dns.reversename
from dns.name import Name

from outrig.local.network import GATEWAY, PREFIX, internal_domain
from outrig.local.zones import RecordText, Zone, parse_name, parse_zone

VPC = ipaddress.ip_network(f"{GATEWAY}/{PREFIX}", strict=False)
_TTL = 60
_HOST = re.compile(r"ip-(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})")
_DATA = f"data-{GATEWAY}."  # what AWS clients make of the endpoint for Cloud Map's discover-instances
_REVERSE = "7.10.in-addr.arpa."
_SOA = "ns0.amazonaws.com. hostmaster.amazonaws.com. 1 7200 900 1209600 60"


def implied_zone(name: Name, region: str) -> Zone | None:
    """The VPC's own zone around `name`, or `None` where it has none."""
    domain = internal_domain(region)
    if name.is_subdomain(parse_name(domain)):
        address = _address_of_host(str(name.relativize(parse_name(domain))).lower())
        return _zone(domain, RecordText(str(name).lower(), "A", _TTL, (address,)) if address else None)
    if name.is_subdomain(parse_name(_REVERSE)):
        address = _address_of_reverse(name)
        host = f"ip-{address.replace('.', '-')}.{domain}." if address else ""
        return _zone(_REVERSE, RecordText(str(name).lower(), "PTR", _TTL, (host,)) if host else None)
    if name.is_subdomain(parse_name(_DATA)):
        return _zone(_DATA, RecordText(_DATA, "A", _TTL, (GATEWAY,)))
    return None


def _zone(name: str, record: RecordText | None) -> Zone:
    start = RecordText(name, "SOA", _TTL, (_SOA,))
    return parse_zone(name, (start, record) if record else (start,))


def _address_of_host(host: str) -> str | None:
    match = _HOST.fullmatch(host)
    return _in_vpc(".".join(match.groups())) if match else None


def _address_of_reverse(name: Name) -> str | None:
    try:
        return _in_vpc(dns.reversename.to_address(name))
    except (dns.exception.DNSException, ValueError):
        return None


def _in_vpc(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(address) if address in VPC else None
