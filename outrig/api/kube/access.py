"""What a request would do, in Kubernetes' terms.

In: a method, an address, a query. Out: a verb, `Attributes`.
"""

from collections.abc import Mapping

from outrig.api.access.rules import Attributes
from outrig.api.kube.catalog import NAMESPACE, Address

READ_VERBS = frozenset({"get", "list", "watch"})

METHOD_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
COLLECTION_VERBS = {"DELETE": "deletecollection", "GET": "list", "HEAD": "list"}


def verb_of(method: str, *, named: bool, watching: bool) -> str:
    """Kubernetes' verb for a request; the method itself where there is none."""
    if watching and method == "GET":
        return "watch"
    verbs = METHOD_VERBS if named else METHOD_VERBS | COLLECTION_VERBS
    return verbs.get(method, method.lower())


def attributes_of(verb: str, address: Address, query: Mapping[str, str]) -> Attributes:
    """What is to be allowed. A Namespace is within itself; a collection that one name is chosen of has that name."""
    is_namespace = (address.group, address.plural) == (NAMESPACE[0], "namespaces")
    return Attributes(
        verb,
        group=address.group,
        resource=address.plural,
        subresource=address.subresource,
        namespace=address.namespace or (address.name if is_namespace else ""),
        name=address.name or _chosen(verb, query.get("fieldSelector", "")),
    )


def _chosen(verb: str, fields: str) -> str:
    """The one name that a field selector leaves; empty if it leaves more."""
    terms = (term.strip().replace("==", "=").partition("=") for term in fields.split(","))
    names = {value for field, equals, value in terms if equals and field == "metadata.name"}
    return names.pop() if len(names) == 1 and verb in ("list", "watch", "deletecollection") else ""
