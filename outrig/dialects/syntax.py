"""The spellings that names, labels, hosts, addresses and times may have. Text in, yes or no out; nothing raises.

Sources: Kubernetes' object names and label syntax (RFC 1123, RFC 1035), its times (metav1.Time and metav1.MicroTime, as
Go reads them), Istio's host names.
"""

import re
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

LONGEST_SUBDOMAIN = 253
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST_LABEL = re.compile(r"[a-zA-Z0-9]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_SUBDOMAIN_PART = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_HEADER = re.compile(r"[-_A-Za-z0-9]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d(?P<fraction>\.\d{1,9})?(Z|[-+]\d\d:\d\d)", re.ASCII)
_MICROSECONDS = len(".000000")


def is_dns_label(text: str) -> bool:
    """A name of lower-case letters, digits and `-`, at most 63 long (RFC 1123)."""
    return _LABEL.fullmatch(text) is not None


def is_service_name(text: str) -> bool:
    """A DNS label that starts with a letter (RFC 1035), as Services are named."""
    return _LABEL_1035.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Lower-case words joined by dots, at most 253 long: how most resources are named. Kubernetes bounds no word."""
    return len(text) <= LONGEST_SUBDOMAIN and all(_SUBDOMAIN_PART.fullmatch(part) for part in text.split("."))


def is_fqdn(text: str) -> bool:
    """A host name with at least one dot, whose last label is not a number (else it looks like an address)."""
    labels = text.removesuffix(".").split(".")
    return (
        len(text) <= 255
        and len(labels) > 1
        and not labels[-1].isdigit()
        and all(_HOST_LABEL.fullmatch(label) for label in labels)
    )


def is_host(text: str) -> bool:
    """A host name of one label or more, the last of which is not a number."""
    return is_fqdn(f"any.{text}")


def is_socket(text: str) -> bool:
    """The absolute path of a unix socket, or `@name` for an abstract one; Linux takes at most 107 bytes."""
    named = len(text) > 1 and text[0] in "/@" and text[-1] != "/"
    return named and text.isprintable() and len(text.encode()) <= 107


def is_network(text: str) -> bool:
    """Addresses in CIDR notation, such as 10.0.0.0/16."""
    try:
        return "/" in text and "%" not in text and ip_network(text, strict=False) is not None
    except ValueError:
        return False


def is_label_key(text: str) -> bool:
    """`name` or `prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    return _QUALIFIED.fullmatch(name) is not None and (is_dns_subdomain(prefix) if slash else True)


def is_label_value(text: str) -> bool:
    """Empty, or at most 63 letters, digits, `-`, `_`, `.` between letters or digits."""
    return text == "" or _QUALIFIED.fullmatch(text) is not None


def is_port_name(text: str) -> bool:
    """At most 15 lower-case letters, digits and single inner `-`, with at least one letter (RFC 6335)."""
    return len(text) <= 15 and _PORT_NAME.fullmatch(text) is not None


def is_header_name(text: str) -> bool:
    """An HTTP header name of letters, digits, `-` and `_`."""
    return _HEADER.fullmatch(text) is not None


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address that the text spells, if it spells one. Zones (`fe80::1%eth0`) mean nothing beyond one machine."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def canonical_ip(text: str) -> str:
    """An address in its one spelling; any other text as it is."""
    return str(ip_of(text) or text)


def is_ip(text: str) -> bool:
    """An IPv4 or IPv6 address."""
    return ip_of(text) is not None


def is_time(text: str) -> bool:
    """A moment with its zone (RFC 3339), as every client of Kubernetes reads one."""
    return _time_of(text) is not None


def is_micro_time(text: str) -> bool:
    """The same to the microsecond: Go's clients read no other spelling where Kubernetes has a MicroTime."""
    return len(_time_of(text) or "") == _MICROSECONDS


def _time_of(text: str) -> str | None:
    """The fraction of its second, with its dot; None if the text is no moment of the calendar."""
    written = _TIME.fullmatch(text)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None
    return written and (written["fraction"] or "")


def port_of(text: str) -> int | None:
    """The port number 1..65535 that the text spells in plain digits, if it does."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    return int(text) if text[0] != "0" and int(text) <= 65535 else None
