"""Requests about the objects of a kind: each method becomes a read, a write, a deletion or a watch.

In: a request and its target, already allowed. Out: a response. Raises ApiError.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from outrig.api.accounts import account
from outrig.api.bodies import MAX_QUESTION_BYTES, Said, media_type, read_body
from outrig.api.kube.access import READ_VERBS
from outrig.api.kube.answers import answer, warning_headers
from outrig.api.kube.bodies import OBJECTS, TEXTS, decode_object, read, read_configuration, read_object
from outrig.api.kube.catalog import Catalog, Target
from outrig.api.kube.deletions import Deletion, delete_many, delete_one
from outrig.api.kube.forms import Form, many, negotiate, one
from outrig.api.kube.lines import Lines
from outrig.api.kube.list_options import ListOptions, Match, list_options, number
from outrig.api.kube.options import WriteOptions, delete_options, write_options
from outrig.api.kube.pages import Page, Pages, too_large
from outrig.api.kube.selectors import Selection, parse_selection
from outrig.api.kube.shown import Shown, refuse_shown
from outrig.api.kube.statuses import forbidden, invalid, method_not_allowed, not_found, success
from outrig.api.kube.validation import UnknownFields, repetitions
from outrig.api.kube.watches import MAX_SECONDS, Watch, WatchResponse
from outrig.api.kube.writes import APPLY, Configuration, apply, check_patch_type, create, patch, patcher, update
from outrig.api.refusals import bad_request
from outrig.api.turns import aside
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
    lines: Lines
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
            case "delete" | "deletecollection" if "DELETE" in target.methods:
                return await self._delete(request, target)
        raise method_not_allowed(target.subject, target.methods)

    async def _get(self, request: Request, target: Target) -> Response:
        form = negotiate(request.headers.get("accept", ""), request.query_params.get("includeObject", ""))
        if (wanted := number(request.query_params, "resourceVersion")) > (current := await self.store.revision()):
            raise too_large(wanted, current)
        found = await self.shown.get(target.key)
        if found is None:
            raise not_found(target.subject)
        return answer(one(found, target, form, self.now()), media=form.media)

    async def _list(self, request: Request, target: Target) -> Response:
        form, selection = self._asked(request, target)
        page = await self._page(request, target, selection)
        return answer(many(page, target, form, self.now()), media=form.media)

    async def _page(self, request: Request, target: Target, selection: Selection) -> Page:
        """What the parameters of a list ask for, whether to read it or to delete it."""
        options = list_options(request.query_params, target.subject, watching=False)
        await self._check_age(options)
        at = options.revision if options.match is Match.EXACT else None
        return await self.pages.read(target.query, selection, at=at, limit=options.limit, token=options.token)

    async def _watch(self, request: Request, target: Target) -> Response:
        form, selection = self._asked(request, target)
        options = list_options(request.query_params, target.subject, watching=True)
        if options.initial:
            await self._check_age(options)
        after = None if options.initial else options.revision or await self.store.revision()
        seconds = min(float(options.seconds or MAX_SECONDS), MAX_SECONDS)
        watch = Watch(
            target, selection, form, after, seconds=seconds, bookmarks=options.bookmarks, marked=options.marked
        )
        return WatchResponse(self.shown, self.lines, watch)

    async def _check_age(self, options: ListOptions) -> None:
        """Raises ApiError (504) where the state that was asked for is one to come."""
        wanted = options.revision or 0
        if wanted and wanted > (current := await self.store.revision()):
            raise too_large(wanted, current)

    def _asked(self, request: Request, target: Target) -> tuple[Form, Selection]:
        query = request.query_params
        form = negotiate(request.headers.get("accept", ""), query.get("includeObject", ""))
        return form, _selection(query, target)

    async def _create(self, request: Request, target: Target) -> Response:
        if target.kind.namespaced and not target.namespace:
            raise bad_request("an empty namespace may not be set during creation")
        options = self._options(request, "create")
        sent = _taken(await _sent_object(request, target), target, options)
        account().name = _name_in(sent)
        written = await create(self.store, target, sent, catalog=self.catalog, options=options)
        return await self._written(request, target, written, status=201)

    async def _update(self, request: Request, target: Target) -> Response:
        options = self._options(request, "update")
        config = Configuration(_taken(await _sent_object(request, target), target, options), self.may_create)
        written = await update(self.store, target, config, catalog=self.catalog, options=options)
        return await self._written(request, target, written, status=201 if written.created else 200)

    async def _patch(self, request: Request, target: Target) -> Response:
        media = media_type(request)
        check_patch_type(media, target)
        if media == APPLY:
            return await self._apply(request, target)
        options = self._options(request, "patch")
        said = await aside(read, await read_body(request), media)
        try:
            change = patcher(_taken(said, target, options), media, target)
        except UnknownFields as error:
            raise invalid(target.subject, [error.of_patch]) from None
        written = await patch(self.store, target, change, catalog=self.catalog, options=options)
        return await self._written(request, target, written)

    async def _apply(self, request: Request, target: Target) -> Response:
        options = self._options(request, "apply")
        said = await aside(read_configuration, await read_body(request))
        config = Configuration(_taken(said, target, options), self.may_create)
        written = await apply(self.store, target, config, catalog=self.catalog, options=options)
        return await self._written(request, target, written, status=201 if written.created else 200)

    def _options(self, request: Request, verb: str) -> WriteOptions:
        negotiate(request.headers.get("accept", ""))  # whoever cannot be answered writes nothing
        agent = request.headers.get("user-agent", "")
        return write_options(request.query_params, verb, agent=agent, at=self.now())

    async def _written(self, request: Request, target: Target, written: Written, *, status: int = 200) -> Response:
        form = negotiate(request.headers.get("accept", ""))
        document = one(await self.shown.whole(written.resource), target, form, self.now())
        return answer(document, media=form.media, status=status, warnings=written.warnings)

    async def _delete(self, request: Request, target: Target) -> Response:
        body = await read_body(request, MAX_QUESTION_BYTES)
        sent = decode_object(body, media_type(request)) if body.strip() else {}
        deletion = Deletion(delete_options(request.query_params, sent, version=target.api_version), self.now)
        form = negotiate(request.headers.get("accept", ""))
        if not target.name:
            page = await self._page(request, target, _selection(request.query_params, target))
            gone = replace(page, items=await delete_many(self.store, target, page.items, deletion))
            return answer(many(gone, target, form, self.now()), media=form.media)
        last = await delete_one(self.store, target, deletion)
        is_told = last.deleting or (target.kind.group, target.kind.name) in TOLD_WHOLE
        told = one(last, target, form, self.now()) if is_told else success(target.subject, last.uid)
        return answer(told)


async def _sent_object(request: Request, target: Target) -> Said:
    forms = OBJECTS if target.kind.strategic_merge else TEXTS
    return await aside(read_object, await read_body(request), media_type(request), forms=forms)


def _taken(said: Said, target: Target, options: WriteOptions) -> Any:
    """What a body says. Its author hears of what it says twice; under Strict that raises UnknownFields."""
    account().headers.extend(warning_headers(repetitions(said.repeated, target, options.strictness)))
    return said.value


def _name_in(sent: dict[str, Any]) -> str:
    """The name that a document gives its object, whatever else is wrong with it."""
    metadata = sent.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else ""
    return name if isinstance(name, str) else ""


def _selection(query: Mapping[str, str], target: Target) -> Selection:
    """The selectors of a request; a name in the URL selects as `metadata.name` does."""
    fields = [query.get("fieldSelector", ""), f"metadata.name={target.name}" if target.name else ""]
    return parse_selection(
        labels=query.get("labelSelector", ""), fields=",".join(filter(None, fields)), kind=target.kind
    )
