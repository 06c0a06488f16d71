"""Requests about the objects of a kind: each method becomes a read, a write, a deletion or a watch.

In: a request and its target, already allowed. Out: a response. Raises ApiError.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from outrig.api.bodies import media_type, read_body
from outrig.api.kube.access import READ_VERBS
from outrig.api.kube.answers import answer
from outrig.api.kube.bodies import decode, decode_configuration, decode_object
from outrig.api.kube.catalog import NAMESPACE, Catalog, Target
from outrig.api.kube.deletions import Deletion, delete_many, delete_one
from outrig.api.kube.forms import Form, many, negotiate, one
from outrig.api.kube.list_options import ListOptions, Match, list_options, number
from outrig.api.kube.options import WriteOptions, delete_options, write_options
from outrig.api.kube.pages import Page, Pages, too_large
from outrig.api.kube.selectors import Selection, parse_selection
from outrig.api.kube.shown import Shown, refuse_shown
from outrig.api.kube.statuses import expired, forbidden, method_not_allowed, not_found, success
from outrig.api.kube.watches import MAX_SECONDS, Watch, WatchResponse
from outrig.api.kube.writes import APPLY, Configuration, apply, check_patch_type, create, patch, patcher, update
from outrig.api.refusals import bad_request
from outrig.api.writing import Written
from outrig.store.protocol import Store

MADE_BY_US = "it is made by Outrig alone; it can be read and deleted"

TOLD_WHOLE = {("", "Service"), ("", "ServiceAccount")}
"""Kinds whose deletion Kubernetes answers with the object that was; of others it says that they are gone."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Serves the objects of all kinds. `may_create` raises ApiError (403) if the caller may not create the target."""

    store: Store
    shown: Shown
    catalog: Catalog
    pages: Pages
    now: Callable[[], datetime]
    may_create: Callable[[], None] = lambda: None

    async def respond(self, request: Request, target: Target, verb: str) -> Response:
        """Carry out a verb."""
        if verb not in READ_VERBS and not target.kind.system:
            refuse_shown(target.key, target.subject)
        if target.kind.system and verb in ("create", "update", "patch"):
            raise forbidden(target.subject, MADE_BY_US)
        match verb:
            case "get":
                return await self._get(request, target)
            case "list":
                return await self._list(request, target)
            case "watch":
                return await self._watch(request, target)
            case "create" if not target.name:
                return await self._create(request, target)
            case "update" if target.name:
                return await self._update(request, target)
            case "patch" if target.name:
                return await self._patch(request, target)
            case "delete" | "deletecollection" if not target.subresource and _may_go(target):
                return await self._delete(request, target)
        raise method_not_allowed(target.subject)

    async def _get(self, request: Request, target: Target) -> Response:
        form = negotiate(request.headers.get("accept", ""), request.query_params.get("includeObject", ""))
        if (wanted := number(request.query_params, "resourceVersion")) > (current := await self.store.revision()):
            raise too_large(wanted, current)
        found = await self.shown.get(target.key)
        if found is None:
            raise not_found(target.subject)
        return answer(one(found, target, form, self.now()), media=form.media)

    async def _list(self, request: Request, target: Target) -> Response:
        query = request.query_params
        form, selection = self._asked(request, target)
        options = list_options(query, target.subject, watching=False)
        page = await self.pages.read(target.query, selection, limit=options.limit, token=options.token)
        _check_age(options, page.revision)
        return answer(many(page, target, form, self.now()), media=form.media)

    async def _watch(self, request: Request, target: Target) -> Response:
        form, selection = self._asked(request, target)
        options = list_options(request.query_params, target.subject, watching=True)
        watch = Watch(target, selection, form, after=options.revision, bookmarks=options.bookmarks)
        if options.seconds:
            watch = replace(watch, seconds=min(float(options.seconds), MAX_SECONDS))
        if options.initial is not None:
            current = await self.store.revision()
            _check_age(options, current)
            watch = replace(
                watch, after=None if options.initial else options.revision or current, marked=options.initial
            )
        return WatchResponse(self.shown, watch, self.now)

    def _asked(self, request: Request, target: Target) -> tuple[Form, Selection]:
        query = request.query_params
        form = negotiate(request.headers.get("accept", ""), query.get("includeObject", ""))
        return form, _selection(query, target)

    async def _create(self, request: Request, target: Target) -> Response:
        if target.kind.namespaced and not target.namespace:
            raise bad_request("an empty namespace may not be set during creation")
        options, sent = self._options(request, "create"), await _sent_object(request)
        written = await create(self.store, target, sent, catalog=self.catalog, options=options)
        return self._written(request, target, written, status=201)

    async def _update(self, request: Request, target: Target) -> Response:
        options, sent = self._options(request, "update"), await _sent_object(request)
        written = await update(self.store, target, sent, catalog=self.catalog, options=options)
        return self._written(request, target, written)

    async def _patch(self, request: Request, target: Target) -> Response:
        media = media_type(request)
        check_patch_type(media, target)
        if media == APPLY:
            return await self._apply(request, target)
        options = self._options(request, "patch")
        change = patcher(decode(await read_body(request), media), media, target)
        written = await patch(self.store, target, change, catalog=self.catalog, options=options)
        return self._written(request, target, written)

    async def _apply(self, request: Request, target: Target) -> Response:
        options = self._options(request, "apply")
        config = Configuration(decode_configuration(await read_body(request)), self.may_create)
        written = await apply(self.store, target, config, catalog=self.catalog, options=options)
        return self._written(request, target, written, status=201 if written.created else 200)

    def _options(self, request: Request, verb: str) -> WriteOptions:
        agent = request.headers.get("user-agent", "")
        return write_options(request.query_params, verb, agent=agent, at=self.now())

    def _written(self, request: Request, target: Target, written: Written, *, status: int = 200) -> Response:
        form = negotiate(request.headers.get("accept", ""))
        document = one(written.resource, target, form, self.now())
        return answer(document, media=form.media, status=status, warnings=written.warnings)

    async def _delete(self, request: Request, target: Target) -> Response:
        body = await read_body(request)
        sent = decode_object(body, media_type(request)) if body.strip() else {}
        deletion = Deletion(delete_options(request.query_params, sent), self.now)
        form = negotiate(request.headers.get("accept", ""))
        if not target.name:
            limit = list_options(request.query_params, target.subject, watching=False).limit
            selection = _selection(request.query_params, target)
            gone = await delete_many(self.store, target, selection, deletion=deletion, limit=limit)
            return answer(many(Page(gone.items, gone.revision), target, form, self.now()), media=form.media)
        last = await delete_one(self.store, target, deletion)
        is_told = last.deleting or (target.kind.group, target.kind.name) in TOLD_WHOLE
        told = one(last, target, form, self.now()) if is_told else success(target.subject, last.uid)
        return answer(told)


async def _sent_object(request: Request) -> dict[str, Any]:
    return decode_object(await read_body(request), media_type(request))


def _selection(query: Mapping[str, str], target: Target) -> Selection:
    """The selectors of a request; a name in the URL selects as `metadata.name` does."""
    fields = [query.get("fieldSelector", ""), f"metadata.name={target.name}" if target.name else ""]
    return parse_selection(
        labels=query.get("labelSelector", ""), fields=",".join(filter(None, fields)), kind=target.kind
    )


def _may_go(target: Target) -> bool:
    """Whether it can be deleted: a collection only in a namespace; never all namespaces at once. As in Kubernetes."""
    if target.name:
        return True
    if target.kind.namespaced:
        return bool(target.namespace)
    return (target.kind.group, target.kind.name) != NAMESPACE


def _check_age(options: ListOptions, current: int) -> None:
    """Raises ApiError where the state that was asked for is one to come (504), or one that has passed (410)."""
    wanted = options.revision or current
    if wanted > current:
        raise too_large(wanted, current)
    if options.match is Match.EXACT and wanted != current:
        raise expired(f"the state of revision {wanted} is not kept; the present one is {current}")
