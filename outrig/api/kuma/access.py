"""Who may do what: administrators everything; viewers, which all users with a token are, read all but secrets; anybody
else sees what the server is, and who they are.

In: a caller. Out: nothing, or a Refusal (403) in Kuma's words.
"""

from typing import Any

from outrig.api.callers import AUTHENTICATED, MESH_ADMINS, Caller, Role
from outrig.api.kuma.catalog import SECRETS
from outrig.api.kuma.refusals import denied


def require_reader(caller: Caller, what: str) -> None:
    """Raises Refusal unless the caller may read. `what` ends the sentence: the type it is about, or the path."""
    if caller.role is Role.ANONYMOUS:
        raise denied(f'{_who(caller)} cannot access {what}: send a user token as "Authorization: Bearer TOKEN"')


def require_admin(caller: Caller, what: str) -> None:
    """Raises Refusal unless the caller may do everything."""
    if caller.role is not Role.ADMIN:
        raise denied(f"{_who(caller)} cannot access {what}: only the group {MESH_ADMINS} may")


def require(caller: Caller, kind: tuple[str, str], *, writing: bool) -> None:
    """Raises Refusal unless the caller may read, or write, resources of a kind."""
    check = require_admin if writing or kind in SECRETS else require_reader
    check(caller, f'the resource of type "{kind[1]}"')


def who_am_i(caller: Caller) -> dict[str, Any]:
    """The caller as Kuma describes users."""
    if caller.role is Role.ANONYMOUS:
        return {"name": "mesh-system:anonymous", "groups": ["mesh-system:unauthenticated"]}
    more = (MESH_ADMINS,) if caller.role is Role.ADMIN else ()
    return {"name": caller.name, "groups": list(dict.fromkeys((*caller.groups, *more, AUTHENTICATED)))}


def _who(caller: Caller) -> str:
    known = who_am_i(caller)
    return f'user "{known["name"]}/{",".join(known["groups"])}"'
