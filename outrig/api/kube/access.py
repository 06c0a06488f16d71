"""What a caller may do.

In: a caller, a verb, what it is about. Out: nothing, or an ApiError (403) in Kubernetes' words.
"""

from outrig.api.callers import Caller, Role
from outrig.api.kube.catalog import Address
from outrig.api.kube.statuses import Subject, forbidden

READ_VERBS = frozenset({"get", "list", "watch"})

METHOD_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
COLLECTION_VERBS = {"DELETE": "deletecollection", "GET": "list", "HEAD": "list"}


def verb_of(method: str, *, named: bool, watching: bool) -> str:
    """Kubernetes' verb for a request; the method itself where there is none."""
    if watching and method == "GET":
        return "watch"
    verbs = METHOD_VERBS if named else METHOD_VERBS | COLLECTION_VERBS
    return verbs.get(method, method.lower())


def may(caller: Caller, verb: str) -> bool:
    """Whether the caller's role allows a verb on resources."""
    return caller.role is Role.ADMIN or (caller.role is Role.VIEWER and verb in READ_VERBS)


def require(caller: Caller, verb: str, address: Address) -> None:
    """Raises ApiError (403) unless the caller may."""
    if may(caller, verb):
        return
    resource = f"{address.plural}/{address.subresource}" if address.subresource else address.plural
    where = f'in the namespace "{address.namespace}"' if address.namespace else "at the cluster scope"
    why = f'User "{caller.name}" cannot {verb} resource "{resource}" in API group "{address.group}" {where}'
    raise forbidden(Subject(address.group, address.plural, "", address.name), why)
