"""Requests about the objects of a kind: each method becomes a read, a write, a deletion or a watch.

In: a request and its target, already allowed. Out: a response. Raises ApiError.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from outrig.api.bodies import media_type, read_body
from outrig.api.kube.access import READ_VERBS
from outrig.api.kube.answers import answer
from outrig.api.kube.bodies import decode, decode_object
from outrig.api.kube.catalog import Catalog, Target
from outrig.api.kube.deletions import Deletion, delete_many, delete_one
from outrig.api.kube.forms import many, negotiate, one
from outrig.api.kube.options import delete_options, write_options
from outrig.api.kube.selectors import Selection, parse_selection
from outrig.api.kube.shown import Shown, refuse_shown
from outrig.api.kube.statuses import expired, forbidden, invalid, method_not_allowed, not_found, success
from outrig.api.kube.watches import MAX_SECONDS, Watch, WatchResponse
from outrig.api.kube.writes import check_patch_type, create, patch, patcher, update
from outrig.api.refusals import ApiError, Cause, bad_request
from outrig.api.writing import Written
from outrig.store.protocol import Listing, Query, Store

MADE_BY_US = "it is made by Outrig alone; it can be read and deleted"


@dataclass(frozen=True, slots=True)
class Resources:
    """Serves the objects of all kinds."""

    store: Store
    shown: Shown
    catalog: Catalog
    now: Callable[[], datetime]

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
            case "delete" | "deletecollection" if not target.subresource:
                return await self._delete(request, target)
        raise method_not_allowed(target.subject)

    async def _get(self, request: Request, target: Target) -> Response:
        form = negotiate(request.headers.get("accept", ""), request.query_params.get("includeObject", ""))
        found = await self.shown.get(target.key)
        if found is None:
            raise not_found(target.subject)
        return answer(one(found, target, form, self.now()), media=form.media)

    async def _list(self, request: Request, target: Target) -> Response:
        query = request.query_params
        if query.get("continue"):
            raise expired("lists are not divided here: list again without continue")
        form = negotiate(request.headers.get("accept", ""), query.get("includeObject", ""))
        selection = _selection(query, target)
        kinds = ((target.kind.group, target.kind.name),)
        found = await self.shown.list(Query(kinds=kinds, namespace=target.namespace or None))
        selected = Listing(tuple(filter(selection, found.items)), found.revision)
        return answer(many(selected, target, form, self.now()), media=form.media)

    async def _watch(self, request: Request, target: Target) -> Response:
        query = request.query_params
        if query.get("sendInitialEvents") == "true":
            # Clients then list and watch, as they do with servers older than this option.
            why = "Forbidden: sendInitialEvents is not supported: list, then watch"
            raise invalid(target.subject, [Cause("sendInitialEvents", why, "FieldValueForbidden")])
        watch = Watch(
            target=target,
            selection=_selection(query, target),
            form=negotiate(request.headers.get("accept", ""), query.get("includeObject", "")),
            after=_revision(query.get("resourceVersion", "")),
            seconds=_seconds(query.get("timeoutSeconds", "")),
            bookmarks=query.get("allowWatchBookmarks") == "true",
        )
        return WatchResponse(self.shown, watch, self.now)

    async def _create(self, request: Request, target: Target) -> Response:
        if target.kind.namespaced and not target.namespace:
            raise bad_request("an empty namespace may not be set during creation")
        options, sent = write_options(request.query_params), await _sent_object(request)
        written = await create(self.store, target, sent, catalog=self.catalog, options=options)
        return self._written(request, target, written, status=201)

    async def _update(self, request: Request, target: Target) -> Response:
        options, sent = write_options(request.query_params), await _sent_object(request)
        written = await update(self.store, target, sent, catalog=self.catalog, options=options)
        return self._written(request, target, written)

    async def _patch(self, request: Request, target: Target) -> Response:
        options, media = write_options(request.query_params), media_type(request)
        check_patch_type(media, target)
        change = patcher(decode(await read_body(request), media), media, target)
        written = await patch(self.store, target, change, catalog=self.catalog, options=options)
        return self._written(request, target, written)

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
            gone = await delete_many(self.store, target, _selection(request.query_params, target), deletion=deletion)
            return answer(many(gone, target, form, self.now()), media=form.media)
        last = await delete_one(self.store, target, deletion)
        told = one(last, target, form, self.now()) if last.finalizers else success(target.subject, last.uid)
        return answer(told)


async def _sent_object(request: Request) -> dict[str, Any]:
    return decode_object(await read_body(request), media_type(request))


def _selection(query: Mapping[str, str], target: Target) -> Selection:
    """The selectors of a request; a name in the URL selects as `metadata.name` does."""
    fields = [query.get("fieldSelector", ""), f"metadata.name={target.name}" if target.name else ""]
    return parse_selection(
        labels=query.get("labelSelector", ""), fields=",".join(filter(None, fields)), kind=target.kind
    )


def _revision(text: str) -> int | None:
    """Where a watch goes on; None for "" and "0", which mean: begin with what there is."""
    if not ((text.isascii() and text.isdigit() and len(text) < 19) or not text):
        raise ApiError("BadRequest", f"invalid resource version {text!r}")
    return int(text or 0) or None


def _seconds(text: str) -> float:
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request(f"timeoutSeconds: {text!r} is not a number of seconds")
    return min(float(text or 0) or MAX_SECONDS, MAX_SECONDS)
