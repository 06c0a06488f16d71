"""How Kubernetes says no: the sentence that kubectl prints, for resources and for paths.

In: a caller, what it wanted. Out: an ApiError (403).
"""

from outrig.api.access.rules import Attributes
from outrig.api.callers import Caller
from outrig.api.refusals import ApiError


def refused(caller: Caller, asked: Attributes) -> ApiError:
    """The refusal of what nothing allows."""
    if asked.path:
        return ApiError("Forbidden", f'forbidden: User "{caller.name}" cannot {asked.verb} path "{asked.path}"')
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    why = f'User "{caller.name}" cannot {asked.verb} resource "{asked.whole}" in API group "{asked.group}" {where}'
    return forbidden(asked, why)


def forbidden(asked: Attributes, why: str) -> ApiError:
    """A refusal about a resource, with another reason."""
    type_ = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    name = f' "{asked.name}"' if asked.name else ""
    parts = {"name": asked.name, "group": asked.group, "kind": asked.resource}
    details = {part: value for part, value in parts.items() if value}
    return ApiError("Forbidden", f"{type_}{name} is forbidden: {why}", details=details)
