"""The documents about the API itself: discovery, OpenAPI, version, health. Anybody may read them.

In: a path. Out: a response, or None for a path that is not one of these.
"""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from outrig import __version__
from outrig.api.edge import READS
from outrig.api.kube import discovery
from outrig.api.kube.answers import answer
from outrig.api.kube.catalog import Catalog
from outrig.api.kube.forms import asks_aggregated
from outrig.api.kube.openapi import Specification, specify
from outrig.api.kube.renditions import Rendition, respond_with
from outrig.api.kube.statuses import Subject, method_not_allowed, unknown_path
from outrig.store.protocol import Store

HEALTH = ("healthz", "livez", "readyz")
HEALTHY = "[+]ping ok\n[+]store ok\n{} check passed\n"
DEPTH = {"api": 1, "apis": 2}  # longer paths name resources

VERSION = {
    "major": "1",
    "minor": "36",  # the Kubernetes whose API conventions these are; kubectl compares it with its own
    "gitVersion": f"v1.36.0+outrig-{__version__}",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "outrig",
}


class About:
    """Serves what does not change while the server runs."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog, self._store = catalog, store
        self._described = discovery.entries(catalog)
        self._types = (*self._described, *discovery.entries_elsewhere())
        self._openapi: asyncio.Future[Specification] | None = None

    async def _specification(self) -> Specification:
        """Made when it is first asked for, beside the event loop: schemas take a while, and agents never read them."""
        if self._openapi is None:
            self._openapi = asyncio.ensure_future(asyncio.to_thread(specify, self._catalog, self._described))
        return await asyncio.shield(self._openapi)

    async def respond(self, request: Request) -> Response | None:
        """The document at the request's path."""
        parts = request.scope["path"].strip("/").split("/")
        match parts:
            case [probe, *check] if probe in HEALTH and check in ([], ["ping"], ["store"]):
                await self._store.revision()
                told = HEALTHY.format(probe) if "verbose" in request.query_params else "ok"
                response: Response | None = PlainTextResponse(told)
            case ["version"]:
                response = answer(VERSION)
            case ["openapi", *rest]:
                response = respond_with(request, await self._openapi_document("/".join(rest)))
            case ["api", *rest] | ["apis", *rest] if len(rest) <= DEPTH[parts[0]]:
                response = self._discovery(parts[0], rest, asks_aggregated(request.headers.get("accept", "")))
            case _:
                return None
        if response and request.method not in READS:
            raise method_not_allowed(Subject("", parts[0]), READS)
        return response

    async def _openapi_document(self, path: str) -> tuple[Rendition, ...]:
        forms = (await self._specification()).get(path)
        if forms is None:
            raise unknown_path()
        return forms

    def _discovery(self, prefix: str, rest: list[str], version: str) -> Response:
        core = prefix == "api"
        if version and not rest:
            media = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
            return answer(discovery.aggregated(self._types, core=core, version=version), media=media)
        found = self._plain(core, rest)
        if found is None:
            raise unknown_path()
        return answer(found)

    def _plain(self, core: bool, rest: list[str]) -> dict[str, Any] | None:
        match rest:
            case []:
                return discovery.core_versions() if core else discovery.group_list(self._types)
            case [version] if core:
                return discovery.resource_list(self._types, "", version)
            case [group] if not core:
                return discovery.group_document(self._types, group)
            case [group, version] if not core:
                return discovery.resource_list(self._types, group, version)
        return None
