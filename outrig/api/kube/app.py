"""The API that kubectl talks to, as an ASGI application.

In: a store, the kinds to serve, what every request passes. Out: `kube_app`. Every error is a
Kubernetes Status (`answers.refuse`).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
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
from outrig.api.access.rules import Attributes
from outrig.api.accounts import Account, account
from outrig.api.bodies import MAX_QUESTION_BYTES, media_type, read_body
from outrig.api.callers import Caller
from outrig.api.edge import Answering
from outrig.api.kube.about import About
from outrig.api.kube.access import attributes_of, verb_of
from outrig.api.kube.answers import YAML, answer, in_yaml, prettied, refuse, warning_headers
from outrig.api.kube.bodies import decode_object
from outrig.api.kube.catalog import Address, Catalog, Target, api_version, parse_path
from outrig.api.kube.foreign import READ_ALONG, ForeignKind, find_foreign, foreign_to, refusal
from outrig.api.kube.forms import negotiate, none_of
from outrig.api.kube.lines import Lines
from outrig.api.kube.list_options import flag, list_options
from outrig.api.kube.options import write_options
from outrig.api.kube.pages import Pages
from outrig.api.kube.resources import Resources
from outrig.api.kube.reviews import is_review, review
from outrig.api.kube.shown import Shown
from outrig.api.kube.spellings import respelled
from outrig.api.kube.statuses import Subject, method_not_allowed, of_store, unknown_path
from outrig.api.refusals import ApiError
from outrig.api.turns import aside
from outrig.dialects.kind import Kind
from outrig.dialects.rbac import GROUP as RBAC
from outrig.errors import OutrigError
from outrig.store.protocol import Store


def _utc_now() -> datetime:
    return datetime.now(UTC)


def kube_app(store: Store, kinds: Sequence[Kind], gate: Gate) -> Starlette:
    """The whole API; paths it does not know are answered with a Status too."""
    api = KubeApi(store, kinds, gate)
    return Starlette(routes=[_EveryPath(Answering(api.respond, refuse, gate, describe=api.describe))])


class _EveryPath(BaseRoute):
    """Takes every request, also one whose path has a line break, which no pattern of a route takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for this route."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it."""
        await self._app(respelled(scope), receive, send)


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
        self._resources = Resources(store, shown, self._catalog, Pages(shown), Lines(now), now)

    def describe(self, request: Request, account: Account) -> None:
        """Note what is asked of which resource, where the path names one."""
        with suppress(ApiError):
            account.asked = _asked(request, parse_path(request.scope["path"]))

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The answer. Raises ApiError, and what a store raises."""
        response = await self._about.respond(request) or await self._respond_about_resource(request, caller)
        response = await aside(in_yaml, response) if response.media_type == YAML else response
        return await aside(prettied, response) if flag(request.query_params, "pretty") else response

    async def _review(self, request: Request, caller: Caller, address: Address) -> Response:
        if request.method != "POST":
            raise method_not_allowed(Subject(address.group, address.plural), ["POST"])
        sent = await aside(decode_object, await read_body(request, MAX_QUESTION_BYTES), media_type(request))
        options = write_options(request.query_params, "create", agent="", at=_utc_now())
        answered = await review(self._gate, caller, address, sent=sent, strictness=options.strictness)
        return answer(answered.document, status=201, warnings=answered.warnings)

    async def _respond_about_resource(self, request: Request, caller: Caller) -> Response:
        address = parse_path(request.scope["path"])
        asked = _asked(request, address)
        verb = asked.verb
        if not caller.is_anonymous and (foreign := find_foreign(self._foreign, address)):
            return _about_foreign(request, foreign, address, verb)
        self._gate.require(caller, asked)
        if is_review(address):
            return await self._review(request, caller, address)
        target = self._target(address)
        account().headers.extend(warning_headers(target.warnings))
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


def _asked(request: Request, address: Address) -> Attributes:
    watching = flag(request.query_params, "watch")
    verb = verb_of(request.method, named=bool(address.name), watching=watching)
    return attributes_of(verb, address, request.query_params)


def _about_foreign(request: Request, foreign: ForeignKind, address: Address, verb: str) -> Response:
    """A list of what there is none of is empty, and says why; everything else is refused. Raises ApiError."""
    if verb != "list" or foreign.elsewhere or request.method == "DELETE":
        raise refusal(foreign, address, request.method)
    list_options(request.query_params, Subject(foreign.group, foreign.plural), watching=False)
    form = negotiate(request.headers.get("accept", ""), request.query_params.get("includeObject", ""))
    version = api_version(address.group, address.version)
    told = [foreign.sentence] if form.table or foreign.plural not in READ_ALONG else []
    return answer(none_of(foreign.name, version, form), media=form.media, warnings=told)
