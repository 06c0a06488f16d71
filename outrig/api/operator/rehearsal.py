"""`POST /outrig/v1/dry-run`: what would become of some writes, one after the other, each seeing those before it.

In: `writes`, each with the `path` of a resource of either API, the `collection` it is in, and the `document` as JSON
text. Out: for each the `status` that creating or replacing it would have, `warnings`, or the `refusal` in the words of
its API. All of it is done in one transaction, as the caller, and undone. Refuses more than MOST writes at once.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn, cast
from urllib.parse import unquote

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from outrig.api.accounts import account, accounting
from outrig.api.bodies import decode, media_type, read_body
from outrig.api.callers import Caller
from outrig.api.edge import Answering, Refuse, Respond
from outrig.api.kube.answers import refuse
from outrig.api.kube.app import KubeApi
from outrig.api.kube.statuses import Subject, method_not_allowed
from outrig.api.kuma.app import KumaApi, Parts
from outrig.api.kuma.refusals import refuse as refuse_kuma
from outrig.api.refusals import ApiError, bad_request, unauthorized
from outrig.api.turns import aside
from outrig.dialects.causes import check_body
from outrig.dialects.kind import Kind
from outrig.dialects.schema import Form
from outrig.errors import OutrigError
from outrig.resources import Key, Resource
from outrig.store.protocol import Listing, Query, Store, Transaction

PATH: Final = "/outrig/v1/dry-run"
MOST: Final = 500
_FOUND: Final = 200
_NOT_FOUND: Final = 404
_KUBE: Final = ("/api/", "/apis/")


class _Write(Form):
    path: str
    collection: str
    document: str


class _Asked(Form):
    writes: list[_Write] = Field(max_length=MOST)


class _UndoneError(Exception):
    """Ends the transaction, so that it leaves nothing but what was found out."""

    def __init__(self, outcomes: list[dict[str, Any]]) -> None:
        super().__init__()
        self.outcomes = outcomes


class _Within:
    """A store in which every transaction is the one that is open already, and reads see what that has written."""

    def __init__(self, store: Store, tx: Transaction) -> None:
        self._store, self._tx = store, tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        yield self._tx

    async def revision(self) -> int:
        return 0  # what is asked here is asked of now, and the store is taken

    async def get(self, key: Key) -> Resource | None:
        return await self._tx.get(key)

    async def list(self, query: Query) -> Listing:
        return Listing(await self._tx.list(query), 0)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Both APIs on a store whose changes will be undone."""

    kuma: KumaApi
    kube: KubeApi
    caller: Caller

    async def write(self, write: _Write) -> dict[str, Any]:
        """What creating or replacing it would be answered."""
        if not write.path.startswith(_KUBE):
            return _outcome(await self._ask("PUT", write.path, write.document))
        there = await self._ask("GET", write.path, "")
        if there.status_code == _NOT_FOUND and write.collection.startswith(_KUBE):
            return _outcome(await self._ask("POST", write.collection, write.document))
        if there.status_code != _FOUND:
            return _outcome(there)
        return _outcome(await self._ask("PUT", write.path, _as_seen(write.document, bytes(there.body))))

    async def _ask(self, method: str, path: str, body: str) -> Response:
        """As the API answers it. Of Kuma's only PUT is asked: by POST it issues tokens."""
        respond: Respond = self.kuma.respond
        refused: Refuse = refuse_kuma
        if path.startswith(_KUBE):
            respond, refused = self.kube.respond, refuse
        with accounting() as told:
            try:
                response = await respond(_request(method, path, body), self.caller)
            except OutrigError as error:
                if not (refusal := refused(error)):
                    raise
                response = refusal
            response.raw_headers.extend(told.headers)
            return response


def rehearsal_route(parts: Parts, kinds: Sequence[Kind]) -> Route:
    """The route. `kinds`: of kubectl's API."""

    async def respond(request: Request, caller: Caller) -> Response:
        if request.method != "POST":
            raise method_not_allowed(Subject("outrig.dev", "dry-run"), ["POST"])
        if caller.is_anonymous:
            raise unauthorized("only who has signed in may ask what a write would do")
        account().dry_run = True
        asked = _read(await aside(decode, await read_body(request), media_type(request)))
        return JSONResponse({"outcomes": await _rehearsed(parts, kinds, caller, writes=asked.writes)})

    return Route(PATH, Answering(respond, refuse, parts.gate))


async def _rehearsed(
    parts: Parts, kinds: Sequence[Kind], caller: Caller, *, writes: Sequence[_Write]
) -> list[dict[str, Any]]:
    try:
        async with parts.store.transaction() as tx:
            within = cast("Store", _Within(parts.store, tx))
            stage = _Stage(KumaApi(replace(parts, store=within)), KubeApi(within, kinds, parts.gate), caller)
            _undo([await stage.write(write) for write in writes])
    except _UndoneError as undone:
        return undone.outcomes


def _undo(outcomes: list[dict[str, Any]]) -> NoReturn:
    raise _UndoneError(outcomes)


def _read(sent: object) -> _Asked:
    if not isinstance(sent, dict):
        raise bad_request("the body must be one JSON object")
    checked = check_body(sent, _Asked)
    if checked.causes:
        raise bad_request("; ".join(map(str, checked.causes)))
    return _Asked.model_validate(sent)


def _as_seen(document: str, there: bytes) -> str:
    """The document as of whoever has just read what it replaces; as it is, where it is none."""
    try:
        sent = decode(document.encode(), "application/json")
    except ApiError:
        return document
    if not isinstance(sent, dict) or not isinstance(sent.get("metadata"), dict):
        return document
    version = decode(there, "application/json")["metadata"].get("resourceVersion", "")
    return json.dumps({**sent, "metadata": {**sent["metadata"], "resourceVersion": version}})


def _request(method: str, path: str, body: str) -> Request:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "query_string": b"dryRun=All",  # to Kubernetes' form; the other is undone with the transaction all the same
        "headers": [(b"content-type", b"application/json")],
        "client": None,
        "server": None,
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    return Request(scope, receive)


def _outcome(response: Response) -> dict[str, Any]:
    told = json.loads(bytes(response.body))
    if response.status_code >= 400:
        return {"status": response.status_code, "refusal": told}
    headers = [value.decode() for name, value in response.raw_headers if name == b"warning"]
    in_headers = [value.partition('"')[2].removesuffix('"') for value in headers]
    return {"status": response.status_code, "warnings": [*in_headers, *told.get("warnings", ())]}
