"""The API that kubectl talks to, as an ASGI application.

In: a store, the kinds to serve, what every request passes. Out: `kube_app`. Every error is a
Kubernetes Status (`answers.refuse`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from outrig.api.access.gate import Gate
from outrig.api.access.granting import Granting
from outrig.api.bodies import media_type, read_body
from outrig.api.callers import Caller
from outrig.api.edge import Answering
from outrig.api.kube.about import About
from outrig.api.kube.access import attributes_of, verb_of
from outrig.api.kube.answers import answer, refuse
from outrig.api.kube.bodies import decode_object
from outrig.api.kube.catalog import Address, Catalog, Target, api_version, parse_path
from outrig.api.kube.foreign import ForeignKind, find_foreign, foreign_to, refusal
from outrig.api.kube.forms import negotiate, none_of
from outrig.api.kube.pages import Pages
from outrig.api.kube.resources import Resources
from outrig.api.kube.reviews import is_review, review
from outrig.api.kube.shown import Shown
from outrig.api.kube.statuses import Subject, method_not_allowed, of_store, unknown_path
from outrig.dialects.kind import Kind
from outrig.dialects.rbac import GROUP as RBAC
from outrig.errors import OutrigError
from outrig.store.protocol import Store


def _utc_now() -> datetime:
    return datetime.now(UTC)


def kube_app(store: Store, kinds: Sequence[Kind], gate: Gate) -> Starlette:
    """The whole API; paths it does not know are answered with a Status too."""
    return Starlette(routes=[_EveryPath(Answering(KubeApi(store, kinds, gate).respond, refuse, gate))])


class _EveryPath(BaseRoute):
    """Takes every request, also one whose path has a line break, which no pattern of a route takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for this route."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it."""
        await self._app(scope, receive, send)


class KubeApi:
    """Answers every request under the paths of Kubernetes."""

    def __init__(
        self, store: Store, kinds: Sequence[Kind], gate: Gate, *, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._catalog = Catalog(tuple(kinds))
        self._foreign = foreign_to(self._catalog)
        self._gate = gate
        self._about = About(self._catalog, store)
        shown = Shown(store)
        self._resources = Resources(store, shown, self._catalog, Pages(shown), now)

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The answer. Raises ApiError, and what a store raises."""
        return await self._about.respond(request) or await self._respond_about_resource(request, caller)

    async def _review(self, request: Request, caller: Caller, address: Address) -> Response:
        if request.method != "POST":
            raise method_not_allowed(Subject(address.group, address.plural))
        sent = decode_object(await read_body(request), media_type(request))
        return answer(review(self._gate, caller, address, sent=sent), status=201)

    async def _respond_about_resource(self, request: Request, caller: Caller) -> Response:
        address = parse_path(request.scope["path"])
        watching = request.query_params.get("watch") in ("true", "1")
        verb = verb_of(request.method, named=bool(address.name), watching=watching)
        if not caller.is_anonymous and (foreign := find_foreign(self._foreign, address)):
            return _about_foreign(request, foreign, address, verb)
        self._gate.require(caller, attributes_of(verb, address, request.query_params))
        if is_review(address):
            return await self._review(request, caller, address)
        target = self._target(address)
        try:
            return await self._resources_for(caller, target, address).respond(request, target, verb)
        except OutrigError as error:
            raise of_store(error, target.subject) or error from error

    def _resources_for(self, caller: Caller, target: Target, address: Address) -> Resources:
        """Roles and bindings are written within what their author has. Who applies may have to be allowed to create."""
        may_create = partial(self._gate.require, caller, attributes_of("create", address, {}))
        if target.kind.group != RBAC:
            return replace(self._resources, may_create=may_create)
        store = cast("Store", Granting(self._resources.store, self._gate, caller))
        return replace(self._resources, store=store, may_create=may_create)

    def _target(self, address: Address) -> Target:
        """What the URL names. Raises ApiError: 404 for what is not there."""
        kind = self._catalog.find(address)
        if kind is None:
            raise unknown_path()
        misplaced = (address.namespace and not kind.namespaced) or (
            address.name and kind.namespaced and not address.namespace
        )
        unknown_part = address.subresource and not (address.subresource == "status" and kind.has_status)
        if misplaced or unknown_part:
            raise unknown_path()
        return Target(kind, address.version, address.namespace, address.name, address.subresource)


def _about_foreign(request: Request, foreign: ForeignKind, address: Address, verb: str) -> Response:
    """A list of what there is none of is empty, and says why; everything else is refused. Raises ApiError."""
    if verb != "list" or request.method == "DELETE":
        raise refusal(foreign, address, request.method)
    form = negotiate(request.headers.get("accept", ""), request.query_params.get("includeObject", ""))
    version = api_version(address.group, address.version)
    return answer(none_of(foreign.name, version, form), media=form.media, warnings=[foreign.sentence])
