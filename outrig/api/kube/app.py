"""The API that kubectl talks to, as an ASGI application.

In: a store, the kinds to serve, who tells who is calling. Out: `kube_app`. Every error is a
Kubernetes Status (`answers.refuse`).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outrig.api.bodies import media_type, read_body
from outrig.api.callers import Authenticate, Caller
from outrig.api.edge import Answering
from outrig.api.kube.about import About
from outrig.api.kube.access import require, verb_of
from outrig.api.kube.answers import answer, refuse
from outrig.api.kube.bodies import decode_object
from outrig.api.kube.catalog import Address, Catalog, Target, parse_path
from outrig.api.kube.foreign import find_foreign, foreign_to, refusal
from outrig.api.kube.resources import Resources
from outrig.api.kube.reviews import PATHS as REVIEWS
from outrig.api.kube.reviews import review
from outrig.api.kube.shown import Shown
from outrig.api.kube.statuses import Subject, method_not_allowed, of_store, unknown_path
from outrig.dialects.kind import Kind
from outrig.errors import OutrigError
from outrig.store.protocol import Store


def _utc_now() -> datetime:
    return datetime.now(UTC)


def kube_app(store: Store, kinds: Sequence[Kind], authenticate: Authenticate) -> Starlette:
    """The whole API; paths it does not know are answered with a Status too."""
    return Starlette(routes=[Route("/{rest:path}", Answering(KubeApi(store, kinds, authenticate).respond, refuse))])


class KubeApi:
    """Answers every request under the paths of Kubernetes."""

    def __init__(
        self, store: Store, kinds: Sequence[Kind], authenticate: Authenticate, *, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._catalog = Catalog(tuple(kinds))
        self._foreign = foreign_to(self._catalog)
        self._authenticate = authenticate
        self._about = About(self._catalog, store)
        self._resources = Resources(store, Shown(store), self._catalog, now)

    async def respond(self, request: Request) -> Response:
        """The answer. Raises ApiError, and what a store raises."""
        caller = await self._authenticate(request.scope)
        if review_kind := REVIEWS.get(request.scope["path"]):
            return await self._review(request, caller, review_kind)
        return await self._about.respond(request) or await self._respond_about_resource(request, caller)

    async def _review(self, request: Request, caller: Caller, kind: str) -> Response:
        if request.method != "POST":
            raise method_not_allowed(Subject("", kind))
        sent = decode_object(await read_body(request), media_type(request))
        return answer(review(caller, kind, sent), status=201)

    async def _respond_about_resource(self, request: Request, caller: Caller) -> Response:
        address = parse_path(request.scope["path"])
        watching = request.query_params.get("watch") in ("true", "1")
        verb = verb_of(request.method, named=bool(address.name), watching=watching)
        require(caller, verb, address)
        target = self._target(request, address)
        try:
            return await self._resources.respond(request, target, verb)
        except OutrigError as error:
            raise of_store(error, target.subject) or error from error

    def _target(self, request: Request, address: Address) -> Target:
        """What the URL names. Raises ApiError: 404 for what is not there, and for foreign kinds why."""
        kind = self._catalog.find(address)
        if kind is None:
            if foreign := find_foreign(self._foreign, address):
                raise refusal(foreign, address, request.method)
            raise unknown_path()
        misplaced = (address.namespace and not kind.namespaced) or (
            address.name and kind.namespaced and not address.namespace
        )
        unknown_part = address.subresource and not (address.subresource == "status" and kind.has_status)
        if misplaced or unknown_part:
            raise unknown_path()
        return Target(kind, address.version, address.namespace, address.name, address.subresource)
