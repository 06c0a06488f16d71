"""Whoever lists, watches a selection and comes back at any revision knows exactly what is there: no event too many."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from outrig.api.kube.selectors import Selection, parse_selection
from outrig.api.kube.shown import Shown
from outrig.api.kube.watches import selected
from outrig.dialects import core
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.dialects.kind import Kind
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType, Listing, Query, Store, Transaction

SELECTORS: Sequence[tuple[Kind, str, str, str | None]] = (
    (core.NAMESPACE, "team=a", "", None),
    (core.NAMESPACE, "", "status.phase=Active", None),
    (core.NAMESPACE, "team", "status.phase!=Active", None),
    (core.NAMESPACE, "", "metadata.name=n1", None),
    (core.SERVICE, "", "spec.type=ClusterIP", None),
    (core.SERVICE, "team notin (b)", "spec.type!=ClusterIP", "n1"),
    (core.EVENT, "", "type=Warning", None),
    (WORKLOAD_ENTRY, "version=b", "", None),
    (WORKLOAD_ENTRY, "version in (a,c),team=a", "", "kuma-default"),
    (WORKLOAD_ENTRY, "", "metadata.namespace=kuma-default", None),
)
STEPS, NAMES = 40, ("n1", "n2", "n3")
States = dict[int, dict[Key, Resource]]
"""What was selected at each revision."""


async def change_something(tx: Transaction, chance: random.Random) -> None:
    """Make, change or delete an object of one of the kinds, so that it may enter or leave selections."""
    name, value = chance.choice(NAMES), chance.choice("abc")
    labels = {"team": value} if chance.random() < 0.7 else {}
    deleting = datetime(2030, 1, 1, tzinfo=UTC) if value == "c" else None
    inbound = [{"port": 80, "tags": {"kuma.io/service": "web", "version": value}}]
    wanted = chance.choice([
        Resource(Key("", "Namespace", "", "", name), labels=labels, deleting=deleting),
        Resource(Key("", "Service", "", "n1", name), {"spec": {"type": "ClusterIP" if value == "a" else "X"}},
                 labels=labels),
        Resource(Key("", "Event", "", "n1", name), {"type": "Warning" if value == "a" else "Normal"}),
        Resource(Key("networking.istio.io", "WorkloadEntry", "", "n1", name), labels={"version": value}),
        Resource(Key("kuma.io", "Dataplane", "default", "", name),
                 {"networking": {"address": "10.0.0.1", "inbound": inbound}}, labels=labels),
    ])  # fmt: skip
    if await tx.get(wanted.key) is None:
        await tx.create(wanted)
    elif chance.random() < 0.75:
        await tx.update(wanted)
    else:
        await tx.delete(wanted.key)


def chosen(listing: Listing, selection: Selection) -> dict[Key, Resource]:
    return {item.key: item for item in listing.items if selection(item)}


async def events(shown: Shown, query: Query, selection: Selection, *, after: int, until: int) -> AsyncIterator[Change]:
    """What a client that comes back with that revision is told, up to a later one."""
    async with aclosing(shown.watch(query, after, bookmark_every=0.0001)) as batches:
        async for batch in batches:
            for change in batch:
                seen = selected(change, selection)
                if seen is not None and seen.type is not ChangeType.BOOKMARK:
                    yield seen
            if batch[-1].revision >= until:
                return


def following(event: Change, known: dict[Key, Resource]) -> dict[Key, Resource]:
    """What a client knows after an event; it must be one that it can expect."""
    key = event.resource.key
    assert (key in known) == (event.type is not ChangeType.ADDED), event
    if event.type is not ChangeType.DELETED:
        return {**known, key: event.resource}
    assert event.resource == replace(known[key], revision=event.revision), "as it was when it was selected last"
    return {other: found for other, found in known.items() if other != key}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_a_client_that_comes_back_at_any_revision_is_told_what_it_missed_and_nothing_else(
    store: Store, seed: int
) -> None:
    chance, shown = random.Random(seed), Shown(store)  # noqa: S311 - the same each time
    asked = [_asked(*selector) for selector in SELECTORS]
    truths: list[States] = [{} for _ in asked]
    for _ in range(STEPS):
        async with store.transaction() as tx:
            for _ in range(chance.choice([1, 1, 1, 3])):
                await change_something(tx, chance)
        for (query, selection), truth in zip(asked, truths, strict=True):
            truth[await store.revision()] = chosen(await shown.list(query), selection)
    told = 0
    for (query, selection), truth in zip(asked, truths, strict=True):
        for start in range(max(truth) + 1):
            seen = {start: chosen(await shown.list_at(query, start), selection)}
            async for event in events(shown, query, selection, after=start, until=max(truth)):
                seen[event.revision] = following(event, seen[max(seen)])
            told += len(seen) - 1
            for revision in filter(lambda one: one >= start, truth):
                assert seen[max(one for one in seen if one <= revision)] == truth[revision], (selection, start)
    assert told > 1000, "else this has shown nothing"


def _asked(kind: Kind, labels: str, fields: str, namespace: str | None) -> tuple[Query, Selection]:
    query = Query(kinds=((kind.group, kind.name),), namespace=namespace)
    return query, parse_selection(labels=labels, fields=fields, kind=kind)
