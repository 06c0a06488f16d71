"""Kuma's REST API, as routes beside kubectl's.

In: a store, kinds, who tells who is calling, and the parts that answer for tokens, meshes and proxies. Out:
`kuma_routes`. Every error is a problem document (`refusals`). Paths of others are left to others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from outrig.api.access.gate import Gate
from outrig.api.access.rules import Attributes
from outrig.api.accounts import Account
from outrig.api.callers import Caller
from outrig.api.edge import READS, Answering
from outrig.api.kuma import about
from outrig.api.kuma.about import Installation
from outrig.api.kuma.access import attributes_of, require_acting, require_path, who_am_i
from outrig.api.kuma.addresses import first_word, parse_path
from outrig.api.kuma.catalog import Catalog
from outrig.api.kuma.inspection import Inspector
from outrig.api.kuma.kinds import Kinds
from outrig.api.kuma.refusals import RETRIEVE, Refusal, not_allowed, not_found, refuse
from outrig.api.kuma.sending import sent_object
from outrig.api.kuma.tokens import Issuing
from outrig.api.kuma.totals import Totals
from outrig.api.kuma.writes import KeepMesh
from outrig.dialects.kind import Kind
from outrig.dialects.kuma import REFUSED
from outrig.store.protocol import Store
from outrig.tokens.tokens import Tokens

_PAGES: Final = ("/", "/who-am-i", "/policies", "/_resources", "/config")
_TOTALS: Final = ("global-insight", "mesh-insights")
_ABSENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gui": "there is no GUI",
        "versions": "it is gone from Kuma too; / tells the version",
        "_kri": "resources are found by mesh, kind and name: not by KRI yet",
    }
)
"""Paths of Kuma's that are not served, by their first word, each with the reason."""
_TOKENS: Final = "/tokens/"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API is made of. `inspector`: of the proxies of this control plane."""

    store: Store
    kinds: tuple[Kind, ...]
    gate: Gate
    keep_mesh: KeepMesh
    tokens: Tokens
    inspector: Inspector
    installation: Installation = field(default_factory=Installation)
    now: Callable[[], datetime] = _utc_now


def kuma_routes(parts: Parts) -> list[BaseRoute]:
    """The routes of Kuma's API, to be mounted before those that take every path."""
    api = KumaApi(parts)
    return [_Beginning(api.beginnings, Answering(api.respond, refuse, parts.gate, describe=api.describe))]


class _Beginning(BaseRoute):
    """Takes the paths whose first word is one of these: one look-up, however many kinds there are."""

    def __init__(self, words: frozenset[str], app: ASGIApp) -> None:
        self._words, self._app = words, app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_ours = scope["type"] == "http" and first_word(scope["path"]) in self._words
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class KumaApi:
    """Answers every request under the paths of Kuma."""

    def __init__(self, parts: Parts) -> None:
        self._catalog = Catalog(parts.kinds, REFUSED)
        self._gate, self._installation = parts.gate, parts.installation
        self._issuing = Issuing(parts.store, parts.tokens, parts.now)
        self._kinds = Kinds(parts.store, parts.gate, self._catalog, parts.keep_mesh, parts.inspector, parts.now)
        self._totals = Totals(parts.store, self._catalog)

    @property
    def beginnings(self) -> frozenset[str]:
        """The first words of the paths it answers; empty: of `/`."""
        return frozenset((*map(first_word, _PAGES), first_word(_TOKENS), *_TOTALS, *_ABSENT, *self._catalog.plurals))

    def describe(self, request: Request, account: Account) -> None:
        """Note what is asked of which resource, or of which page."""
        address = parse_path(request.scope["path"])
        kind = self._catalog.find(address.plural) if address else None
        if address and kind:
            account.mesh, account.asked = address.mesh, attributes_of(kind, address, request.method)
        else:
            account.asked = Attributes(request.method.lower(), path=request.scope["path"])

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The answer. Raises ApiError, and what a store raises."""
        path = request.scope["path"]
        if path in _PAGES:
            return self._page(request, caller, path)
        if path.startswith(_TOKENS):
            return await self._token(request, caller, path.removeprefix(_TOKENS))
        if reason := _ABSENT.get(first_word(path)):
            raise Refusal("NotFound", RETRIEVE, reason)
        address = parse_path(path)
        if address is None:
            raise not_found()
        if address.plural in _TOTALS:
            _require_read(request)
            require_path(self._gate, caller, path)
            return JSONResponse(await self._totals.respond(request, address))
        return await self._kinds.respond(request, caller, address)

    def _page(self, request: Request, caller: Caller, path: str) -> Response:
        _require_read(request)
        match path:
            case "/":
                shown = about.index(self._installation)
            case "/who-am-i":
                shown = who_am_i(caller)
            case "/policies":
                shown = about.policies(self._catalog)
            case "/_resources":
                shown = about.resources(self._catalog)
            case _:
                require_path(self._gate, caller, path)
                shown = dict(self._installation.config())
        return JSONResponse(shown)

    async def _token(self, request: Request, caller: Caller, what: str) -> Response:
        if request.method != "POST":
            raise not_allowed("tokens are asked for by POST", ("POST",))
        require_path(self._gate, caller, f"{_TOKENS}{what}", verb="post")
        sent = await sent_object(request)
        if what == "user":
            require_acting(self._gate, caller, sent)
        return PlainTextResponse(await self._issuing.issue(what, sent))


def _require_read(request: Request) -> None:
    if request.method not in READS:
        raise not_allowed("Method not allowed", READS)
