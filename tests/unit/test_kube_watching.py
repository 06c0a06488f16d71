"""Watches over a real connection, and how a selection sees the changes of a kind."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.types import Message

from outrig.api.access.gate import Gate
from outrig.api.callers import Authenticator
from outrig.api.kube.app import kube_app
from outrig.api.kube.catalog import Target
from outrig.api.kube.forms import Form
from outrig.api.kube.selectors import Selection, parse_selection
from outrig.api.kube.shown import Shown
from outrig.api.kube.watches import Selected, Watch, WatchResponse
from outrig.api.serving import serve
from outrig.dialects import core
from outrig.resources import Key, Resource
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Change, ChangeType
from tests.unit.test_kube_api import NO_AUTHORITIES

PATH = "/api/v1/namespaces/default/serviceaccounts"


class Watching:
    """A running API, and streams of its events."""

    def __init__(self, store: MemoryStore, client: httpx.AsyncClient) -> None:
        self.store, self.client = store, client

    async def put(self, name: str, **labels: str) -> Resource:
        key = Key("", "ServiceAccount", "", "default", name)
        async with self.store.transaction() as tx:
            if found := await tx.get(key):
                return await tx.update(Resource(key, labels=labels, uid=found.uid))
            return await tx.create(Resource(key, labels=labels))

    async def remove(self, name: str) -> Resource:
        async with self.store.transaction() as tx:
            return await tx.delete(Key("", "ServiceAccount", "", "default", name))

    @asynccontextmanager
    async def events(self, query: str, **headers: str) -> AsyncIterator["Events"]:
        async with self.client.stream("GET", f"{PATH}?watch=true&{query}", headers=headers) as answer:
            assert answer.status_code == 200
            yield Events(answer.aiter_lines())


class Events:
    """The events of one stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            found: dict[str, Any] = json.loads(await anext(self._lines))
        return found

    async def next_name(self) -> tuple[str, str]:
        event = await self.next()
        return event["type"], event["object"]["metadata"]["name"]

    async def rest(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(20):
            return [json.loads(line) async for line in self._lines]


@pytest.fixture
async def watching() -> AsyncIterator[Watching]:
    store = MemoryStore(keep_changes=20)
    async with store.transaction() as tx:
        await tx.create(Resource(Key("", "Namespace", "", "", "default")))
    app = kube_app(store, core.KINDS, Gate(Authenticator(now=lambda: datetime.now(UTC), loopback_is_admin=True)))
    async with (
        serve(app, host="127.0.0.1", port=0) as serving,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", timeout=30, verify=NO_AUTHORITIES) as client,
    ):
        yield Watching(store, client)


async def test_a_watch_resumes_after_a_revision_and_misses_nothing(watching: Watching) -> None:
    first = await watching.put("a")
    await watching.put("b")
    await watching.put("a", x="y")
    async with watching.events(f"resourceVersion={first.revision}") as events:
        assert [await events.next_name() for _ in range(2)] == [("ADDED", "b"), ("MODIFIED", "a")]
        await watching.remove("b")
        assert await events.next_name() == ("DELETED", "b")


async def test_a_watch_without_a_revision_begins_with_what_there_is(watching: Watching) -> None:
    await watching.put("a")
    async with watching.events("") as events:
        assert await events.next_name() == ("ADDED", "a")
        await watching.put("b")
        assert await events.next_name() == ("ADDED", "b")


async def test_a_revision_that_the_log_forgot_is_gone(watching: Watching) -> None:
    first = await watching.put("a")
    for number in range(30):
        await watching.put("a", n=str(number))
    for revision in (first.revision, 10_000):
        async with watching.events(f"resourceVersion={revision}") as events:
            told = (await events.rest())[0]
            assert (told["type"], told["object"]["code"], told["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_an_object_enters_and_leaves_a_selection_by_its_labels(watching: Watching) -> None:
    await watching.put("a", app="web")
    listed = await watching.put("b", app="db")
    async with watching.events(f"resourceVersion={listed.revision}&labelSelector=app%20in%20(web)") as events:
        await watching.put("b", app="web")
        assert await events.next_name() == ("ADDED", "b")
        await watching.put("b", app="web", more="x")
        assert await events.next_name() == ("MODIFIED", "b")
        await watching.put("a", app="db")
        assert await events.next_name() == ("DELETED", "a")
        await watching.put("a", app="db", more="x")
        await watching.remove("a")
        await watching.remove("b")
        assert await events.next_name() == ("DELETED", "b")


async def test_a_resumed_watch_tells_of_a_selection_what_an_unbroken_one_was_told(watching: Watching) -> None:
    await watching.put("was", team="mine")
    start = (await watching.put("other", team="theirs")).revision
    query = f"resourceVersion={start}&labelSelector=team=mine"
    async with watching.events(query) as live:
        await watching.put("theirs", team="theirs")
        await watching.put("mine", team="mine")
        await watching.put("theirs", team="theirs", more="x")
        await watching.put("was", team="theirs")
        await watching.put("other", team="mine")
        await watching.remove("theirs")
        told = [await live.next() for _ in range(3)]
    async with watching.events(query) as resumed:
        assert [await resumed.next() for _ in range(3)] == told
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in told] == [
        ("ADDED", "mine"), ("DELETED", "was"), ("ADDED", "other")
    ]  # fmt: skip
    assert told[1]["object"]["metadata"]["labels"] == {"team": "mine"}
    assert int(told[1]["object"]["metadata"]["resourceVersion"]) > start


async def test_one_object_is_watched_by_its_name(watching: Watching) -> None:
    async with watching.events("resourceVersion=1&fieldSelector=metadata.name=b") as events:
        await watching.put("a")
        await watching.put("b")
        assert await events.next_name() == ("ADDED", "b")


async def test_the_columns_come_with_the_first_table_only(watching: Watching) -> None:
    await watching.put("a")
    await watching.put("b")
    async with watching.events("resourceVersion=1", accept="application/json;as=Table;v=v1;g=meta.k8s.io") as events:
        first, second = await events.next(), await events.next()
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "b"


async def test_a_stream_ends_with_its_time_and_marks_where_it_was(watching: Watching) -> None:
    last = await watching.put("a")
    query = f"resourceVersion={last.revision}&timeoutSeconds=1&allowWatchBookmarks=true"
    async with watching.events(query) as events:
        told = await events.rest()
    assert [event["type"] for event in told] == ["BOOKMARK"]
    assert told[0]["object"]["metadata"]["resourceVersion"] == str(last.revision)


INITIAL = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


async def test_a_watch_list_begins_with_what_there_is_and_marks_its_end(watching: Watching) -> None:
    await watching.put("a")
    last = await watching.put("b")
    async with watching.events(INITIAL) as events:
        assert [await events.next_name() for _ in range(2)] == [("ADDED", "a"), ("ADDED", "b")]
        mark = (await events.next())["object"]["metadata"]
        assert mark["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert mark["resourceVersion"] == str(last.revision)
        await watching.remove("a")
        assert await events.next_name() == ("DELETED", "a")


async def test_a_watch_list_of_a_state_to_come_is_refused_so_that_clients_list_anew(watching: Watching) -> None:
    answer = await watching.client.get(f"{PATH}?watch=true&{INITIAL}&resourceVersion=999999")
    assert (answer.status_code, answer.json()["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")


async def test_a_watch_without_initial_events_begins_with_the_next_change(watching: Watching) -> None:
    await watching.put("a")
    async with watching.events(INITIAL.replace("true", "false", 1)) as events:
        await watching.put("b")
        assert await events.next_name() == ("ADDED", "b")


@pytest.mark.parametrize(
    "query", ["resourceVersion=abc", "resourceVersion=-1", "timeoutSeconds=x", "labelSelector=a%20b", "limit=x"]
)
async def test_a_malformed_watch_is_refused(watching: Watching, query: str) -> None:
    answer = await watching.client.get(f"{PATH}?watch=true&{query}")
    assert (answer.status_code, answer.json()["kind"]) == (400, "Status")


async def test_a_client_that_goes_away_leaves_nothing_behind(watching: Watching) -> None:
    idle = len(watching.store._feed._mailboxes)
    async with watching.events("resourceVersion=1") as events:
        await watching.put("a")
        await events.next()
        assert len(watching.store._feed._mailboxes) == idle + 1
    async with asyncio.timeout(20):
        while len(watching.store._feed._mailboxes) > idle:
            await asyncio.sleep(0)


async def test_stopping_the_server_ends_watches_properly() -> None:
    store = MemoryStore()
    app = kube_app(store, core.KINDS, Gate(Authenticator(now=lambda: datetime.now(UTC), loopback_is_admin=True)))
    async with httpx.AsyncClient(timeout=30, verify=NO_AUTHORITIES) as client:
        async with serve(app, host="127.0.0.1", port=0) as serving:
            url = f"http://127.0.0.1:{serving.port}{PATH}?watch=true"
            answer = await client.send(client.build_request("GET", url), stream=True)
        assert [line async for line in answer.aiter_lines()] == []


async def test_a_thousand_idle_watchers_hear_nothing_of_what_is_not_theirs_and_all_of_what_is() -> None:
    store, heard = MemoryStore(), 0
    watch = Watch(Target(core.SERVICE_ACCOUNT, "v1", "default"), Selection(), Form(), after=None)

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: Message) -> None:
        nonlocal heard
        heard += bool(message.get("body"))

    async with asyncio.TaskGroup() as watchers:
        shown = Shown(store)
        watching = [
            watchers.create_task(
                WatchResponse(shown, watch, lambda: datetime.now(UTC))({"type": "http"}, receive, send)
            )
            for _ in range(1000)
        ]
        while len(store._feed._mailboxes) < len(watching):
            await asyncio.sleep(0)
        async with store.transaction() as tx:
            await tx.create(Resource(Key("", "Service", "", "default", "web")))
        await asyncio.sleep(0)
        assert (heard, [box for box in store._feed._mailboxes if box._ready.is_set()]) == (0, [])
        async with store.transaction() as tx:
            await tx.create(Resource(Key("", "ServiceAccount", "", "default", "a")))
        while heard < len(watching):
            await asyncio.sleep(0)
        for each in watching:
            each.cancel()
    assert heard == len(watching)


def test_a_namespace_leaves_the_active_ones_when_it_begins_to_go() -> None:
    namespace = Resource(Key("", "Namespace", "", "", "shop"), revision=5)
    active = parse_selection(labels="", fields="status.phase=Active", kind=core.NAMESPACE)
    going = Change(ChangeType.MODIFIED, replace(namespace, revision=6, deleting=datetime.now(UTC)))
    told = Selected(active, 5, {namespace.key}).translate(going)
    assert told is not None
    assert told.type is ChangeType.DELETED
