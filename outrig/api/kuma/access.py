"""Who may do what on Kuma's API: as on kubectl's, by roles. Kinds are resources of group `kuma.io`, in no namespace;
pages and tokens are paths.

In: what all requests pass, a caller, what it wants. Out: nothing, or a Refusal (403) in Kuma's words.
"""

from collections.abc import Mapping
from typing import Any, Final

from outrig.api.access.acting import Wanted, check_impersonation
from outrig.api.access.gate import Gate
from outrig.api.access.rules import Attributes
from outrig.api.accounts import account
from outrig.api.callers import ADMINS, AUTHENTICATED, MASTERS, MESH_ADMINS, SIGNED_IN, Caller
from outrig.api.kuma.addresses import Address
from outrig.api.kuma.refusals import denied
from outrig.api.refusals import ApiError
from outrig.dialects.kind import Kind
from outrig.dialects.kuma import RefusedKind

_VERBS: Final = {"PUT": "update", "DELETE": "delete"}
_HINT: Final = 'send a user token as "Authorization: Bearer TOKEN"'


def require_path(gate: Gate, caller: Caller, path: str, *, verb: str = "get") -> None:
    """Raises Refusal unless the caller may do that with a page."""
    _require(gate, caller, Attributes(verb, path=path), path)


def require(gate: Gate, caller: Caller, kind: Kind | RefusedKind, *, address: Address, method: str) -> None:
    """Raises Refusal unless the caller may do that with resources of a kind. A PUT is an update, even a first one."""
    account().mesh = address.mesh
    _require(gate, caller, attributes_of(kind, address, method), f'the resource of type "{kind.name}"')


def attributes_of(kind: Kind | RefusedKind, address: Address, method: str) -> Attributes:
    """What a request about resources of a kind would do."""
    verb = _VERBS.get(method, "get" if address.name else "list")
    return Attributes(verb, kind.group, kind.plural, name=address.name)


def require_acting(gate: Gate, caller: Caller, sent: Mapping[str, Any]) -> None:
    """Raises ApiError (403) unless the caller may act as the user that a token is asked for."""
    groups = sent.get("groups")
    listed = tuple(str(group) for group in groups) if isinstance(groups, list) else ()
    check_impersonation(caller, Wanted(str(sent.get("name") or ""), listed), gate.grants)


def who_am_i(caller: Caller) -> dict[str, Any]:
    """The caller as Kuma describes users."""
    if caller.is_anonymous:
        return {"name": "mesh-system:anonymous", "groups": ["mesh-system:unauthenticated"]}
    more = (MESH_ADMINS,) if {ADMINS, MASTERS} & {*caller.groups} else ()
    groups = dict.fromkeys((*caller.groups, *more, AUTHENTICATED))
    return {"name": caller.name, "groups": [group for group in groups if group != SIGNED_IN]}


def _require(gate: Gate, caller: Caller, asked: Attributes, what: str) -> None:
    try:
        gate.require(caller, asked)
    except ApiError:
        known = who_am_i(caller)
        who = f'user "{known["name"]}/{",".join(known["groups"])}"'
        needed = f"no role of theirs allows {asked.verb} of {asked.path or f'{asked.resource}.{asked.group}'}"
        raise denied(f"{who} cannot access {what}: {_HINT if caller.is_anonymous else needed}") from None
