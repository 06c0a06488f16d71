"""At which address a workload is reached: one of its own, of the kind its agent is connected over.

An ECS task's addresses are what ECS says, its public one what EC2 says. A token says nothing about addresses, so there
its holder's word counts, within reason; who asks for more demands that the connection comes from there
(`require_peer_address`).
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outrig.admission.form import INTERNET, VPC, Wanted
from outrig.admission.ports import Peer
from outrig.admission.proven import Proven, Vouched
from outrig.admission.refusals import AddressRefused

_ADVERTISED: Final = ".advertisedAddress"  # the one that may be a public one


@dataclass(frozen=True, slots=True)
class Reach:
    """`address`: where others reach the workload. `own`: the address its host has. `known`: all, with type."""

    address: str
    own: str
    known: tuple[tuple[str, str], ...]


def choose_address(wanted: Wanted, proven: Proven, peer: Peer, *, from_peer: bool) -> Reach:
    """Where the workload is reached. `from_peer`: the connection must come from it. Raises AddressRefused."""
    reach = _of_task(wanted, proven) if proven.addresses else _of_host(wanted)
    if from_peer and peer.ip not in {*proven.addresses, *(ip for ip, _ in reach.known)}:
        raise AddressRefused("", f"the connection comes from {peer.ip}, not from the workload at {reach.address}")
    return reach


def _of_task(wanted: Wanted, proven: Proven) -> Reach:
    first, public = proven.addresses[0], proven.public_address
    if first not in wanted.ips or not set(wanted.ips) <= set(proven.addresses):
        problem = f"{', '.join(wanted.ips) or 'none of type VPC'}: not the task's, which ECS says is {first}"
        raise AddressRefused("addresses", problem, "advertise the address of the task's network interface")
    if wanted.connected_over == VPC:
        return Reach(first, first, tuple((ip, VPC) for ip in wanted.ips))
    if not public:
        hint = "give the task one (assignPublicIp), or set connectedOver to VPC"
        raise AddressRefused("connectedOver", "is INTERNET, but the task has no public address", hint)
    return Reach(public, first, (*((ip, VPC) for ip in wanted.ips), (public, INTERNET)))


def check_addresses(said: Mapping[str, str], vouched: Vouched, peer: Peer, *, from_peer: bool) -> None:
    """The addresses that a proxy's text gives itself, by field, are its own. Raises AddressRefused.

    `from_peer`: the connection must come from one of them, or from one that the proof vouches for.
    """
    known = vouched.addresses
    for field, text in said.items():
        ip, outside = ipaddress.ip_address(text), field.endswith(_ADVERTISED) and text == vouched.public_address
        if known and str(ip) not in known and not outside:
            problem = f"{ip} is not an address of the task; ECS says it has {', '.join(known)}"
            raise AddressRefused(field, problem, "give the address of its network interface, as `hostname -i` does")
        if not known and _leads_nowhere(ip):
            raise AddressRefused(field, f"{ip} leads nobody to a workload", "give one that others can reach")
    if from_peer and peer.ip not in {*known, *said.values()}:
        raise AddressRefused("", f"the connection comes from {peer.ip}, not from the workload")


def _leads_nowhere(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved


def _of_host(wanted: Wanted) -> Reach:
    for place, address in enumerate(wanted.addresses):
        if _leads_nowhere(ip := ipaddress.ip_address(address.ip)):
            raise AddressRefused(f"addresses[{place}]", f"{ip} leads nobody to a workload", "set OUTRIG_HOST_ADDRESS")
    found = [address.ip for address in wanted.addresses if address.type == wanted.connected_over]
    if not found:
        raise AddressRefused("addresses", f"none is of type {wanted.connected_over}, which connectedOver asks for")
    own = wanted.ips[0] if wanted.ips else found[0]
    return Reach(found[0], own, tuple((address.ip, address.type) for address in wanted.addresses))
