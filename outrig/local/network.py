"""Links, addresses and routes by raw rtnetlink: what one bridge and a pair of virtual Ethernet links per task need.

A netlink socket belongs to the network namespace it was opened in, for ever: open one before `unshare` and it goes
on speaking to the old namespace. Message layouts: rtnetlink(7), linux/if_link.h.
"""

import os
import socket
import struct
from types import TracebackType
from typing import Self

BRIDGE = "vpc0"
GATEWAY = "10.7.0.1"
RESOLVER = "10.7.0.2"
AGENT_ENDPOINT = "169.254.170.2"
PREFIX = 16

_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_NLMSG_ERROR, _NEWLINK, _NEWADDR, _NEWROUTE = 2, 16, 20, 24
_IFF_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_OIF, _RTA_GATEWAY = 4, 5
_RT_TABLE_MAIN, _RTPROT_BOOT, _RTN_UNICAST = 254, 3, 1


class Rtnetlink:
    """One conversation with the network namespace that was current when this was made. Raises `OSError`."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def create_bridge(self, name: str, mac: bytes) -> None:
        """A bridge with a link address of its own.

        Without one it takes the lowest of its ports', which changes as tasks come and go, and every neighbour goes on
        sending to the old one for as long as it remembers it.
        """
        link = _link(up=True) + _text(_IFLA_IFNAME, name) + _attribute(_IFLA_ADDRESS, mac)
        self._ask(_NEWLINK, link + _kind("bridge"), create=True)

    def create_veth(self, name: str, *, bridge: int, peer_mac: bytes, peer_namespace: int) -> None:
        """A link `name` on the bridge of index `bridge`; its other end is `eth0` in the namespace of that fd."""
        peer = _link() + _text(_IFLA_IFNAME, "eth0") + _attribute(_IFLA_ADDRESS, peer_mac)
        peer += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", peer_namespace))
        link = _link(up=True) + _text(_IFLA_IFNAME, name) + _attribute(_IFLA_MASTER, struct.pack("=I", bridge))
        self._ask(_NEWLINK, link + _kind("veth", _attribute(_VETH_INFO_PEER, peer)), create=True)

    def set_up(self, name: str) -> None:
        self._ask(_NEWLINK, _link(up=True) + _text(_IFLA_IFNAME, name))

    def add_address(self, name: str, address: str, prefix: int = PREFIX) -> None:
        packed = socket.inet_aton(address)
        head = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, 0, socket.if_nametoindex(name))
        self._ask(_NEWADDR, head + _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed), create=True)

    def add_default_route(self, gateway: str) -> None:
        head = struct.pack("=8BI", socket.AF_INET, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, 0, _RTN_UNICAST, 0)
        self._ask(_NEWROUTE, head + _attribute(_RTA_GATEWAY, socket.inet_aton(gateway)), create=True)

    def _ask(self, kind: int, payload: bytes, *, create: bool = False) -> None:
        flags = _REQUEST | _ACK | (_CREATE | _EXCL if create else 0)
        self._socket.send(struct.pack("=IHHII", 16 + len(payload), kind, flags, 1, 0) + payload)
        answer = self._socket.recv(65536)
        (answer_kind,) = struct.unpack_from("=H", answer, 4)
        (error,) = struct.unpack_from("=i", answer, 16)
        if answer_kind == _NLMSG_ERROR and error:
            raise OSError(-error, f"rtnetlink request {kind}: {os.strerror(-error)}")


def internal_domain(region: str) -> str:
    """The domain of a region's private host names, which tasks search."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def mac_of(address: str) -> bytes:
    """The link address for an IPv4 address. Fixed, so neighbours need not learn anew when a host comes back."""
    return b"\x02\x00" + socket.inet_aton(address)


def build_vpc() -> int:
    """Bridge, gateway, resolver and agent endpoint in the current namespace; returns the bridge's index."""
    with Rtnetlink() as link:
        link.set_up("lo")
        link.create_bridge(BRIDGE, mac_of(GATEWAY))
        link.add_address(BRIDGE, GATEWAY)
        link.add_address(BRIDGE, RESOLVER, 32)
        link.add_address(BRIDGE, AGENT_ENDPOINT, 32)
    return socket.if_nametoindex(BRIDGE)


def join_vpc(address: str) -> None:
    """Give the current namespace, whose `eth0` exists, its loopback, address and default route."""
    with Rtnetlink() as link:
        link.set_up("lo")
        link.add_address("eth0", address)
        link.set_up("eth0")
        link.add_default_route(GATEWAY)


def _link(*, up: bool = False) -> bytes:
    flag = _IFF_UP if up else 0
    return struct.pack("=BBHiII", socket.AF_UNSPEC, 0, 0, 0, flag, flag)


def _attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * padding


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _kind(name: str, data: bytes = b"") -> bytes:
    info = _attribute(_INFO_KIND, name.encode())
    return _attribute(_IFLA_LINKINFO, info + (_attribute(_INFO_DATA, data) if data else b""))
