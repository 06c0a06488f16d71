"""What a change costs: who is woken, what is sent, and when everybody has it. Counted, not timed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace

from outrig.control.following import Burst, follow
from outrig.control.hub import Hub
from outrig.control.proxies import entry_key
from outrig.snapshot import CLUSTER, ENDPOINTS, ProxyId
from outrig.store.memory import MemoryStore
from outrig.store.protocol import ChangeType, Query
from outrig.xds.mailbox import Progress
from outrig.xds.subscription import Rejection
from tests.unit.control_making import BOUND, running
from tests.unit.hub_making import Reader, Services, hub_over, put, reader, service


async def test_one_endpoint_change_reaches_its_callers_with_one_resource_and_nobody_else() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"), service("details", 1, "shop/other"))
    async with hub_over(store) as (hub, _):
        with reader(hub, "shop/web", "ratings") as web, reader(hub, "shop/other", "details") as other:
            await put(store, service("ratings", 2, "shop/web"))
            await web.wait_marked()
            web.read()
            assert [(r.type_url, [e.version for e in r.resources]) for r in web.received] == [(ENDPOINTS, ["2"])]
            assert not other.is_marked


async def test_a_thousand_subscribers_are_sent_the_same_bytes_object() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "*"))
    async with hub_over(store) as (hub, _):
        with ExitStack() as stack:
            readers = [stack.enter_context(reader(hub, f"shop/{number}", "ratings")) for number in range(1000)]
            await put(store, service("ratings", 2, "*"))
            await readers[-1].wait_marked()
            for each in readers:
                each.read()
            sent = [response.resources[0].body for each in readers for response in each.received]
            assert len(sent) == 1000
            assert len({id(body) for body in sent}) == 1


async def test_a_burst_is_one_step_and_a_lone_change_waits_for_no_other() -> None:
    store = MemoryStore()
    async with hub_over(store) as (hub, world):
        with hub.subscribed(ProxyId("shop/web")) as mailbox:
            await put(store, *(service(f"s{number}", 1, "shop/web") for number in range(50)))
            async with asyncio.timeout(BOUND):
                await mailbox.wait_awake()
            assert world.applied == 1
            assert len(mailbox.take()[ENDPOINTS]) == 50
            await put(store, service("s1", 2, "shop/web"))
            async with asyncio.timeout(BOUND):
                await mailbox.wait_awake()
            assert world.applied == 2


async def test_a_slow_reader_gets_the_newest_state_in_one_response() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"))
    async with hub_over(store) as (hub, world):
        with reader(hub, "shop/web", "ratings") as web:
            for version in range(2, 7):
                revision = await put(store, service("ratings", version, "shop/web"))
                while hub.stamp < revision:
                    await web.wait_marked()
            web.read()
            assert world.applied == 6
            assert [[e.version for e in r.resources] for r in web.received] == [["6"]]


async def test_withdrawn_means_that_every_caller_has_accepted() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "*"))
    async with hub_over(store) as (hub, _):
        with reader(hub, "shop/1", "ratings") as first, reader(hub, "shop/2", "ratings") as second:
            revision = await put(store, service("ratings", 2, "*"))
            withdrawn = asyncio.create_task(hub.wait_withdrawn(revision, bound=BOUND))
            await first.wait_marked()
            first.read()
            (late,) = second.take()
            await turns()
            assert not withdrawn.done()
            second.accept(late)
            assert await withdrawn


async def test_withdrawn_waits_for_the_change_itself() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "*"))
    async with hub_over(store) as (hub, _):
        with reader(hub, "shop/1", "ratings") as web:
            withdrawn = asyncio.create_task(hub.wait_withdrawn(hub.stamp + 1, bound=BOUND))
            await turns()
            assert not withdrawn.done()
            await put(store, service("ratings", 2, "*"))
            await web.wait_marked()
            web.read()
            assert await withdrawn


async def test_a_caller_that_never_answers_is_waited_for_up_to_the_bound() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "*"))
    async with hub_over(store) as (hub, _):
        with reader(hub, "shop/1", "ratings") as web:
            revision = await put(store, service("ratings", 2, "*"))
            await web.wait_marked()
            web.take()
            assert not await hub.wait_withdrawn(revision, bound=0.01)


async def test_a_caller_that_disconnects_is_waited_for_until_it_is_back_and_has_accepted() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"))
    async with hub_over(store, away=BOUND) as (hub, _):
        with reader(hub, "shop/web", "ratings") as web:
            revision = await put(store, service("ratings", 2, "shop/web"))
            await web.wait_marked()
            withdrawn = asyncio.create_task(hub.wait_withdrawn(revision, bound=BOUND))
            await turns()
        await turns()
        assert not withdrawn.done()
        with hub.subscribed(ProxyId("shop/web")) as mailbox:
            web = Reader(hub, ProxyId("shop/web"), mailbox)
            await turns()
            assert not withdrawn.done()
            web.connect("ratings")
            assert await withdrawn


async def test_a_caller_that_has_been_away_for_long_is_not_waited_for() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"))
    async with hub_over(store, away=0.0) as (hub, _):
        with reader(hub, "shop/web", "ratings"):
            pass
        revision = await put(store, service("ratings", 2, "shop/web"))
        assert await hub.wait_withdrawn(revision, bound=BOUND)


async def test_callers_that_have_not_come_back_since_a_restart_are_waited_for() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"))
    async with hub_over(store, away=BOUND) as (hub, _):
        revision = await put(store, service("ratings", 2, "shop/web"))
        withdrawn = asyncio.create_task(hub.wait_withdrawn(revision, bound=BOUND))
        await turns()
        assert not withdrawn.done()
        with reader(hub, "shop/web", "ratings"):
            assert await withdrawn


async def test_a_caller_that_is_removed_is_waited_for_no_longer() -> None:
    store = MemoryStore()
    registration = replace(service("web", 1, "shop/web"), key=entry_key("shop", "web"))
    await put(store, service("ratings", 1, "shop/web"), registration)
    async with hub_over(store, away=BOUND) as (hub, _):
        revision = await put(store, service("ratings", 2, "shop/web"))
        withdrawn = asyncio.create_task(hub.wait_withdrawn(revision, bound=BOUND))
        await turns()
        assert not withdrawn.done()
        async with store.transaction() as tx:
            await tx.delete(registration.key)
        assert await withdrawn


async def test_an_absent_caller_that_does_not_call_the_workload_is_not_waited_for() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"), service("details", 1, "shop/other"))
    async with hub_over(store, away=BOUND) as (hub, _):
        with reader(hub, "shop/web", "ratings") as web:
            revision = await put(store, service("ratings", 2, "shop/web"))
            await web.wait_marked()
            web.read()
            assert await hub.wait_withdrawn(revision, bound=BOUND)


async def test_a_caller_that_refuses_its_endpoints_has_not_let_go() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"))
    async with hub_over(store) as (hub, _):
        with reader(hub, "shop/web", "ratings") as web:
            revision = await put(store, service("ratings", 2, "shop/web"))
            await web.wait_marked()
            (response,) = web.take()
            web.refuse(response)
            assert not await hub.wait_withdrawn(revision, bound=0.01)
            revision = await put(store, service("ratings", 3, "shop/web"))
            await web.wait_marked()
            web.read()
            assert await hub.wait_withdrawn(revision, bound=BOUND)


async def test_a_dead_stream_beside_the_one_that_accepted_is_not_waited_for() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"))
    async with hub_over(store) as (hub, _):
        with reader(hub, "shop/web", "ratings"), reader(hub, "shop/web", "ratings") as web:
            revision = await put(store, service("ratings", 2, "shop/web"))
            await web.wait_marked()
            web.read()
            assert await hub.wait_withdrawn(revision, bound=BOUND)


async def test_who_does_not_call_the_workload_is_not_waited_for() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"), service("details", 1, "shop/other"))
    async with hub_over(store) as (hub, _):
        with reader(hub, "shop/other", "details") as stuck:
            await put(store, service("details", 2, "shop/other"))
            await stuck.wait_marked()
            stuck.take()  # and never answers
            revision = await put(store, service("ratings", 2, "shop/web"))
            assert await hub.wait_withdrawn(revision, bound=BOUND)


async def test_refusals_are_kept_and_told_once_and_again_when_the_proxy_is_back() -> None:
    told: list[tuple[ProxyId, tuple[Rejection, ...]]] = []
    hub = Hub(Services(), no_bursts(), on_verdict=lambda *verdict: told.append(verdict))
    web, refusal = ProxyId("shop/web"), (Rejection(CLUSTER, "ratings", "1", "no"),)
    with hub.subscribed(web) as mailbox:
        mailbox.report(Progress(1, refusal))
        mailbox.report(Progress(2, refusal, settled=True))
    assert hub.nacks(web) == refusal
    with hub.subscribed(web) as mailbox:
        mailbox.report(Progress(3, ()))  # a new stream that has refused nothing yet says nothing
        assert hub.nacks(web) == refusal
        mailbox.report(Progress(3, (), settled=True))
    assert hub.nacks(web) == ()
    assert told == [(web, refusal), (web, refusal), (web, ())]


async def test_proxies_that_come_and_go_are_told_of() -> None:
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"))
    seen: list[tuple[ProxyId, bool]] = []
    hub = Hub(Services(), follow(store, Query()), on_presence=lambda *presence: seen.append(presence))
    async with running(hub.run()):
        await hub.wait_ready()
        with hub.subscribed(ProxyId("shop/web")), hub.subscribed(ProxyId("shop/web")):
            pass
    assert seen == [("shop/web", False), ("shop/web", True), ("shop/web", True), ("shop/web", False)]


async def test_nothing_is_served_before_everything_is_loaded() -> None:
    """Else a restarted control plane would take from its proxies what it does not know yet."""
    store = MemoryStore()
    await put(store, service("ratings", 1, "shop/web"))
    hub = Hub(Services(), follow(store, Query()))
    assert hub.snapshot(ProxyId("shop/web")) is None
    with hub.subscribed(ProxyId("shop/web")) as mailbox:
        async with running(hub.run()):
            async with asyncio.timeout(BOUND):
                await mailbox.wait_awake()
            assert hub.snapshot(ProxyId("shop/web")) is not None


async def test_when_the_log_does_not_reach_back_the_difference_is_found_by_reading_again() -> None:
    """What was deleted and made anew under its old name counts as both."""
    store = MemoryStore(keep_changes=2)
    await put(
        store, service("kept", 1, "*"), service("changed", 1, "*"), service("gone", 1, "*"), service("anew", 1, "*")
    )
    bursts = follow(store, Query())
    first = await anext(bursts)
    assert {(each.type, each.resource.key.name) for each in first.changes} == {
        (ChangeType.ADDED, name) for name in ("kept", "changed", "gone", "anew")
    }
    async with store.transaction() as tx:
        await tx.delete(service("gone", 1, "*").key)
        await tx.delete(service("anew", 1, "*").key)
    await put(store, service("anew", 1, "*"), service("changed", 2, "*"), service("new", 1, "*"))
    burst = await anext(bursts)
    assert [(each.type, each.resource.key.name) for each in burst.changes] == [
        (ChangeType.DELETED, "anew"),
        (ChangeType.DELETED, "gone"),
        (ChangeType.ADDED, "anew"),
        (ChangeType.MODIFIED, "changed"),
        (ChangeType.ADDED, "new"),
    ]
    assert burst.revision == await store.revision()
    await bursts.aclose()


async def no_bursts() -> AsyncIterator[Burst]:
    return
    yield


async def turns() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)
