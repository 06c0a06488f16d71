"""What the values of an AuthorizationPolicy mean, as conditions: one reader for each field.

In: a value, and where the policy is at home. Out: a condition, or `Misspelt`. Sources: Istio's AuthorizationPolicy and
its string forms; the identities of WorkloadGroups and of Dataplanes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from outrig.dialects import syntax
from outrig.model.conditions import (
    Condition,
    Form,
    Header,
    Identity,
    Network,
    Path,
    Port,
    ServerName,
    Text,
    all_of,
    any_of,
    exactly,
)

_LOCAL_DOMAIN: Final = "cluster.local"  # in a principal it stands for the mesh's own trust domain
_IDENTITY = re.compile(r"[^/]+/(?:ns/[^/]+/sa/[^/]+|[^/]+)")
_SCHEME: Final = "spiffe://"
_DATAPLANE: Final = "kuma://kuma.io/service/"  # how a URI begins that every Dataplane has, and nobody else
_AUTHORITY: Final = ":authority"
_PORT = re.compile(r":[0-9]+$")
_LONGEST_PATTERN: Final = 80  # characters: a proxy takes no regular expression of more than 100 instructions
_HEADER_KEY = re.compile(r"request\.headers\[([^\[\]]+)\]")


class Misspelt(ValueError):
    """A value that cannot be meant. `problem` completes a sentence that begins with the value; `hint` helps."""

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem, self.hint = problem, hint
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class Home:
    """Where a policy is: its namespace, the mesh of that, and the mesh's trust domain."""

    namespace: str
    mesh: str
    domain: str


Reader = Callable[[str, Home], Condition]


def _text(value: str) -> Text:
    """Istio's forms of a string."""
    middle = value[1:-1] if len(value) > 1 else ""
    if "*" in middle or value == "**":
        raise Misspelt("has a * in its middle, where it would be compared as it is", "a * may begin or end it")
    if value == "*":
        return Text(Form.PRESENT)
    if value.startswith("*") and value.endswith("*"):
        raise Misspelt("has a * at both ends", "only one end can be left open")
    if value.endswith("*"):
        return Text(Form.PREFIX, value[:-1])
    return Text(Form.SUFFIX, value[1:]) if value.startswith("*") else exactly(value)


def _principal(value: str, home: Home) -> Condition:
    if value.startswith(_SCHEME):
        raise Misspelt("begins with spiffe://, which principals leave out", value.removeprefix(_SCHEME))
    text = _text(value)
    if text.form is Form.PRESENT:
        return _beginning(_SCHEME)
    if text.form is Form.SUFFIX:
        return Identity(_short_pattern(value, f"{_SCHEME}.*{re.escape(text.value)}"))
    if text.form is Form.EXACT and not _IDENTITY.fullmatch(value):
        raise Misspelt("is no identity", "write TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, or MESH/SERVICE for a Dataplane")
    domain, slash, rest = text.value.partition("/")
    local = home.domain if slash and domain == _LOCAL_DOMAIN else domain
    return Identity(Text(text.form, f"{_SCHEME}{local}{slash}{rest}"))


def _namespace(value: str, home: Home) -> Condition:
    """Workloads of groups have their namespace in their identity; Dataplanes have tags in theirs."""
    text = _text(value)
    if text.form is Form.EXACT and not syntax.is_dns_label(value):
        raise Misspelt("is no name of a namespace")
    groups = _groups_of(text, f"{_SCHEME}{home.domain}/ns/")
    return any_of([groups, _beginning(_DATAPLANE)]) if text.fits(f"kuma-{home.mesh}") else groups


def _groups_of(namespace: Text, before: str) -> Condition:
    match namespace.form:
        case Form.EXACT:
            return _beginning(f"{before}{namespace.value}/sa/")
        case Form.SUFFIX:
            return all_of([_beginning(before), Identity(Text(Form.CONTAINS, f"{namespace.value}/sa/"))])
    return _beginning(f"{before}{namespace.value}")


def _beginning(uri: str) -> Identity:
    return Identity(Text(Form.PREFIX, uri))


def _account(value: str, home: Home) -> Condition:
    namespace, slash, name = value.rpartition("/")
    if "*" in value or not name or (slash and not syntax.is_dns_label(namespace)):
        raise Misspelt("is no service account", "write NAMESPACE/NAME, or NAME; there is no *")
    return Identity(exactly(f"{_SCHEME}{home.domain}/ns/{namespace or home.namespace}/sa/{name}"))


def _short_pattern(value: str, pattern: str) -> Text:
    if len(value) > _LONGEST_PATTERN:
        raise Misspelt("is too long to leave something open at its beginning or inside", "at most 80 characters")
    return Text(Form.PATTERN, pattern)


def _addresses(value: str, _home: Home) -> Condition:
    if syntax.is_network(value):
        return Network(value)
    address = syntax.ip_of(value)
    if address is None:
        raise Misspelt("is no IP address or CIDR block")
    return Network(f"{address}/{address.max_prefixlen}")


def _host(value: str, _home: Home) -> Condition:
    """Callers write a port behind a host or not, and hosts in any case."""
    text = _text(value)
    if text.form is Form.PRESENT:
        return Header(_AUTHORITY, text)
    host = Header(_AUTHORITY, replace(text, any_case=True))
    if text.form is Form.PREFIX or _PORT.search(value):
        return host
    form = Form.PREFIX if text.form is Form.EXACT else Form.CONTAINS
    return any_of([host, Header(_AUTHORITY, Text(form, f"{text.value}:", any_case=True))])


def _port(value: str, _home: Home) -> Condition:
    number = syntax.port_of(value)
    if number is None:
        raise Misspelt("is no port number from 1 to 65535")
    return Port(number)


def _method(value: str, _home: Home) -> Condition:
    text = _text(value)
    if text.value != text.value.upper():
        raise Misspelt("is in lower case, as no method is", value.upper())
    return Header(":method", text)


def _path(value: str, _home: Home) -> Condition:
    if "{" in value or "}" in value:
        return Path(_short_pattern(value, _template(value)))
    text = _text(value)
    if text.form in (Form.EXACT, Form.PREFIX) and not value.startswith("/"):
        raise Misspelt("does not begin with /, as every path does", f"/{value}")
    return Path(text)


def _template(value: str) -> str:
    """A path with `{*}` for a segment and, at its end, `{**}` for the rest."""
    *first, last = value.split("/")
    if first[:1] != [""] or any("{" in part or "}" in part or "*" in part for part in first if part != "{*}"):
        raise Misspelt("is no template of a path", "write {*} for a whole segment, {**} for all the rest at the end")
    if last not in ("{*}", "{**}") and any(char in last for char in "{}*"):
        raise Misspelt("is no template of a path", "write {*} for a whole segment, {**} for all the rest at the end")
    segments = {"{*}": "[^/]+", "{**}": ".*"}
    return "/".join(segments.get(part, re.escape(part)) for part in (*first, last))


def _sni(value: str, _home: Home) -> Condition:
    return ServerName(_text(value))


# By the names of the fields; one that begins with `not_` is read in the same way.
OF_SOURCE: Final[Mapping[str, Reader]] = {
    "principals": _principal,
    "namespaces": _namespace,
    "service_accounts": _account,
    "ip_blocks": _addresses,
}
OF_OPERATION: Final[Mapping[str, Reader]] = {"hosts": _host, "ports": _port, "methods": _method, "paths": _path}
_OF_CALLER: Final[Mapping[str, Reader]] = {
    "source.ip": _addresses,
    "source.namespace": _namespace,
    "source.serviceAccount": _account,
    "source.principal": _principal,
}
_OF_CALL: Final[Mapping[str, Reader]] = {"destination.port": _port, "connection.sni": _sni}
KEYS: Final = (*_OF_CALLER, *_OF_CALL, "request.headers[NAME]")


def is_about_caller(key: str) -> bool:
    """Whether a key of `when` is about the caller."""
    return key in _OF_CALLER


def reader_of(key: str) -> Reader | None:
    """How the values of a key of `when` are read; None for a key that is not known here."""
    if header := _HEADER_KEY.fullmatch(key):
        return _header(header[1].lower())
    return _OF_CALLER.get(key) or _OF_CALL.get(key)


def _header(name: str) -> Reader:
    def read(value: str, _home: Home) -> Condition:
        return Header(name, _text(value))

    return read
