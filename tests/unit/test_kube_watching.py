"""Watches over a real connection, and how a selection sees the changes of a kind."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.types import Message

from outrig.api.access.gate import Gate
from outrig.api.callers import Authenticator
from outrig.api.kube import lines as kube_lines
from outrig.api.kube import watches
from outrig.api.kube.app import kube_app
from outrig.api.kube.catalog import Target
from outrig.api.kube.forms import Form
from outrig.api.kube.lines import Lines
from outrig.api.kube.selectors import Selection, parse_selection
from outrig.api.kube.shown import Shown
from outrig.api.kube.tables import TableForm
from outrig.api.kube.watches import Watch, WatchResponse, selected
from outrig.api.serving import serve
from outrig.dialects import core
from outrig.resources import Key, Resource
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Change, ChangeType, Gone
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

    async def has_watchers(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.store._feed._mailboxes) != count:
                await asyncio.sleep(0.001)

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


async def test_where_nobody_asked_for_a_watch_list_no_bookmark_marks_the_end_of_what_there_was(
    watching: Watching,
) -> None:
    await watching.put("a")
    async with watching.events("allowWatchBookmarks=true") as events:
        assert await events.next_name() == ("ADDED", "a")
        await watching.put("b")
        assert await events.next_name() == ("ADDED", "b")


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


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(("accept", "kind"), [
    ("application/json", "ServiceAccount"), (TABLE, "Table"), (METADATA, "PartialObjectMetadata")
])  # fmt: skip
async def test_an_idle_watch_is_told_now_and_then_how_far_it_is_in_the_form_it_asked_for(
    watching: Watching, monkeypatch: pytest.MonkeyPatch, accept: str, kind: str
) -> None:
    monkeypatch.setattr(watches, "BOOKMARK_SECONDS", (0.001, 0.002))
    async with watching.events(f"{INITIAL}", accept=accept) as events:
        first = await events.next()
        async with watching.store.transaction() as tx:
            other = await tx.create(Resource(Key("", "Namespace", "", "", "other")))
        told = await events.next()
        while told["object"]["metadata"]["resourceVersion"] != str(other.revision):
            told = await events.next()
    assert (told["type"], told["object"]["kind"]) == ("BOOKMARK", kind)
    row = first["object"]["rows"][0]["object"] if kind == "Table" else first["object"]
    assert row["metadata"] == {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}


@pytest.mark.parametrize("query", [INITIAL.replace("&allowWatchBookmarks=true", ""), "resourceVersion=0"])
async def test_no_bookmark_comes_that_was_not_asked_for(watching: Watching, query: str) -> None:
    await watching.put("a")
    async with watching.events(query) as events:
        assert await events.next_name() == ("ADDED", "a")
        await watching.put("b")
        assert await events.next_name() == ("ADDED", "b")


async def test_a_client_that_reads_nothing_holds_up_little_and_is_let_go(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "STALLED_SECONDS", 0.2)
    idle = len(watching.store._feed._mailboxes)
    with socket.create_connection(("127.0.0.1", watching.client.base_url.port)) as deaf:
        deaf.sendall(f"GET {PATH}?watch=1&resourceVersion=1 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
        await watching.has_watchers(idle + 1)
        for number in range(8):
            await watching.put("big", **{f"k{part}": str(number) * 60 for part in range(9_000)})
        await watching.has_watchers(idle)
        deaf.settimeout(20)
        received = 0
        with suppress(ConnectionError):
            while piece := await asyncio.to_thread(deaf.recv, 1 << 20):
                received += len(piece)
    assert received < 8 * 9_000 * 60, "what it did not read was not kept for it"


async def test_a_watch_that_ends_while_its_client_reads_slowly_ends_after_a_whole_line() -> None:
    store, parts, may_send = MemoryStore(), list[bytes](), asyncio.Event()
    async with store.transaction() as tx:
        await tx.create(Resource(Key("", "ServiceAccount", "", "default", "big"), {"x": "y" * 100_000}))
        await tx.create(Resource(Key("", "ServiceAccount", "", "default", "second")))
    stopping = asyncio.Event()

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: Message) -> None:
        parts.append(message.get("body", b""))
        if len(parts) == 3:
            stopping.set()
            await may_send.wait()

    watch = Watch(Target(core.SERVICE_ACCOUNT, "v1", "default"), Selection(), Form(), after=0, bookmarks=True)
    response = WatchResponse(Shown(store), Lines(lambda: datetime.now(UTC)), watch)
    answering = asyncio.create_task(response({"type": "http", "state": {"stopping": stopping}}, receive, send))
    await stopping.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    may_send.set()
    await answering
    told = [json.loads(line) for line in b"".join(parts).splitlines()]
    last = told[-1]["object"]["metadata"]["resourceVersion"]
    assert ([event["type"] for event in told], last) == (["ADDED", "BOOKMARK"], "1")


async def test_an_event_is_written_once_for_all_who_watch_in_one_form() -> None:
    lines, target = Lines(lambda: datetime.now(UTC)), Target(core.SERVICE_ACCOUNT, "v1", "default")
    change = Change(ChangeType.ADDED, Resource(Key("", "ServiceAccount", "", "default", "a"), revision=5))
    table = Form(table=TableForm("v1"))
    written = [
        lines.change(change, target, form=form, columns=False) for form in (Form(), Form(), table, Form(partial=True))
    ]
    assert written[0] is written[1]
    assert len(set(written)) == 3
    assert lines.change(change, target, form=table, columns=True) not in written
    assert lines.change(replace(change, type=ChangeType.MODIFIED), target, form=Form(), columns=False) not in written
    other = replace(change, resource=replace(change.resource, body={"secrets": []}))
    assert lines.change(other, target, form=Form(), columns=False) not in written


async def test_what_is_kept_of_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_lines, "KEPT_BYTES", 1_000)
    lines, target = Lines(lambda: datetime.now(UTC)), Target(core.SERVICE_ACCOUNT, "v1", "default")
    for revision in range(1, 50):
        change = Change(ChangeType.ADDED, Resource(Key("", "ServiceAccount", "", "default", "a"), revision=revision))
        lines.change(change, target, form=Form(), columns=False)
    assert 0 < sum(len(line) for _, line in lines._kept.values()) <= 1_000


async def test_a_client_that_goes_away_leaves_nothing_behind(watching: Watching) -> None:
    idle = len(watching.store._feed._mailboxes)
    async with watching.events("resourceVersion=1") as events:
        await watching.put("a")
        await events.next()
        assert len(watching.store._feed._mailboxes) == idle + 1
    await watching.has_watchers(idle)


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
        shown, lines = Shown(store), Lines(lambda: datetime.now(UTC))
        watching = [
            watchers.create_task(WatchResponse(shown, lines, watch)({"type": "http"}, receive, send))
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


def test_where_nobody_knows_what_it_was_a_selection_that_it_may_have_left_is_gone() -> None:
    changed = Change(ChangeType.MODIFIED, Resource(Key("", "Namespace", "", "", "shop"), revision=6))
    named = parse_selection(labels="", fields="metadata.name=shop", kind=core.NAMESPACE)
    assert selected(changed, named) == changed
    for labels, fields in (("a=b", ""), ("", "status.phase=Active")):
        with pytest.raises(Gone):
            selected(changed, parse_selection(labels=labels, fields=fields, kind=core.NAMESPACE))


def test_a_namespace_leaves_the_active_ones_when_it_begins_to_go() -> None:
    namespace = Resource(Key("", "Namespace", "", "", "shop"), revision=5)
    active = parse_selection(labels="", fields="status.phase=Active", kind=core.NAMESPACE)
    going = Change(ChangeType.MODIFIED, replace(namespace, revision=6, deleting=datetime.now(UTC)), namespace)
    assert selected(going, active) == Change(ChangeType.DELETED, replace(namespace, revision=6))
