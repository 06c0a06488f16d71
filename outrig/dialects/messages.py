"""What is doubtful about an object, kept in its status: the warnings its author saw when it was applied.

In: a resource and its warnings. Out: the resource with them in `status.validationMessages`, where Istio has such
messages, and beside them the generation that they are about; so people who did not apply it can read them. Whoever
waits for that generation goes on being told when nothing is doubtful any more. The very same object if it says so
already.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from outrig.resources import Resource

_FIELD: Final = "validationMessages"
_OBSERVED: Final = "observedGeneration"


def with_messages(resource: Resource, warnings: Sequence[str], *, generation: int) -> Resource:
    """The resource with these warnings about that generation of it, in place of those it had."""
    status = {field: value for field, value in resource.status.items() if field != _FIELD}
    if warnings:
        status[_FIELD] = [{"level": "WARNING", "message": warning} for warning in warnings]
    if warnings or _OBSERVED in status:
        status[_OBSERVED] = generation
    return resource if status == resource.status else replace(resource, status=status)
