"""`GET /outrig/v1/why`: what would become of a call.

In: `source` and `target`, perhaps `via` and `namespace`. Out: an Explanation document (`outrig.why.document`). Whoever
may read resources may ask. Refuses, as a Status, what is no question: 400.
"""

from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outrig.api.access.gate import Gate
from outrig.api.access.rules import Attributes
from outrig.api.callers import Caller
from outrig.api.edge import READS, Answering
from outrig.api.kube.answers import answer, refuse
from outrig.api.kube.statuses import Subject, method_not_allowed
from outrig.api.refusals import bad_request
from outrig.why import Asked, BadQuestion, Explanation
from outrig.why.document import document_of

PATH: Final = "/outrig/v1/why"
_REQUIRED: Final = ("source", "target")
_KNOWN: Final = (*_REQUIRED, "via", "namespace")
_SUBJECT: Final = Subject("outrig.dev", "why")


class Witness(Protocol):
    """Who answers."""

    async def explain(self, asked: Asked) -> Explanation:
        """Raises BadQuestion, Unavailable."""
        ...


def why_route(witness: Witness, gate: Gate) -> Route:
    """The route."""

    async def respond(request: Request, caller: Caller) -> Response:
        if request.method not in READS:
            raise method_not_allowed(_SUBJECT, READS)
        gate.require(caller, Attributes("get", path=PATH))
        asked = _asked(request)
        try:
            return answer(document_of(await witness.explain(asked)))
        except BadQuestion as error:
            raise bad_request(str(error)) from None

    return Route(PATH, Answering(respond, refuse, gate))


def _asked(request: Request) -> Asked:
    """The question in a query. Raises ApiError (400)."""
    query = request.query_params
    for name, _ in query.multi_items():
        if name not in _KNOWN:
            raise bad_request(f"unknown parameter {name!r}; known: {', '.join(_KNOWN)}")
        if len(query.getlist(name)) > 1:
            raise bad_request(f"parameter {name!r} is there twice")
    for name in _REQUIRED:
        if not query.get(name):
            raise bad_request(f"parameter {name!r} is missing")
    return Asked(**{name: query[name] for name in _KNOWN if name in query})
