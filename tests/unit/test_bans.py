"""Bans: whom a name shuts out, what is said of names that can mean nobody, and what becomes of those who are there."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from outrig.control.bans import Bans, NamespaceBans
from outrig.control.proxies import dataplane_key, entry_key, registration_key
from outrig.dialects.bans import BANNED, banned_in
from outrig.dialects.kuma.joined import Holder
from outrig.dialects.onboarding.connection import with_agent
from outrig.dialects.onboarding.decision import AwsTask, Caller, TokenHolder
from outrig.dialects.onboarding.names import caller_of, names_of
from outrig.dialects.onboarding.registration import AgentReport, registration
from outrig.kit.tasks import running
from outrig.resources import Key, Owner, Resource
from outrig.store.memory import MemoryStore
from outrig.wire.stream import Ban
from tests.unit.control_making import SOON, wait_resource
from tests.unit.dialect_making import resource, said

TASK = AwsTask(
    "aws", "123456789012", "us-east-1", "us-east-1a", "bookinfo", "ratings-task", "3a151358f03a4e32bf8cd401c1c74653"
)
HOST = TokenHolder("https://a.b", "corp", "host 1", {"team": "books"})
ARN = "arn:aws:ecs:us-east-1:123456789012:task/bookinfo/3a151358f03a4e32bf8cd401c1c74653"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
KV = {"networking": {"address": "10.0.0.5"}}
AGENT = AgentReport("0.1", "1.36.2", addresses=(("10.0.0.5", "VPC"),))
SHOP = Key("", "Namespace", "", "", "shop")


def group(name: str) -> Resource:
    return Resource(Key("networking.istio.io", "WorkloadGroup", "", "shop", name), body={"spec": {}}, uid=name)


@pytest.mark.parametrize(
    ("caller", "names"),
    [
        (TASK, {"123456789012", "123456789012/ratings-task", ARN}),
        (HOST, {"https://a.b", "https://a.b#host 1"}),
    ],
)
def test_a_registration_tells_the_names_of_its_workload(caller: Caller, names: set[str]) -> None:
    assert names_of(caller) == names
    found = caller_of(registration(group("ratings"), caller, AGENT))
    assert found is not None
    assert names_of(found) == names


def test_a_registration_of_something_else_has_no_names() -> None:
    assert caller_of(Resource(registration_key("shop", "odd"), body={"spec": {"identity": {"aws": {}}}})) is None


def namespace(*lines: str) -> Resource:
    return Resource(SHOP, annotations={BANNED: "\n".join(lines)})


def test_names_are_lines() -> None:
    assert banned_in(namespace("", " a ", "b c", "")) == {"a", "b c"}
    assert banned_in(Resource(SHOP)) == set()


@pytest.mark.parametrize("name", [*sorted(names_of(TASK)), *sorted(names_of(HOST)), "https://a.b/c/"])
def test_a_name_that_can_mean_somebody_is_accepted(name: str) -> None:
    made = resource("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    assert said(replace(made, annotations={BANNED: name})) == []


@pytest.mark.parametrize("name", ["ratings-task", "1234", "*", "123456789012/*", "http://a.b", f"{ARN[:-1]}", "a\nb"])
def test_a_name_that_can_mean_nobody_is_refused(name: str) -> None:
    made = resource("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    findings = said(replace(made, annotations={BANNED: name}))
    assert findings
    assert all(one.startswith("error OUT303") and "names nobody" in one for one in findings)


class Agents:
    """Remembers who was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def ban(self, registration: Key, message: Ban) -> bool:
        self.told.append(f"{registration.name}: {message.reason}")
        return True


async def join(store: MemoryStore, name: str, caller: Caller) -> Key:
    """A registration of the caller in a group of that name, with its entry."""
    async with store.transaction() as tx:
        owner = await tx.create(replace(group(name), uid=""))
        made = await tx.create(registration(owner, caller, AGENT))
        owners = (Owner(made.key, made.uid, "v1alpha1"),)
        await tx.create(Resource(entry_key("shop", made.key.name), body={"spec": {}}, owners=owners))
    return made.key


@pytest.mark.parametrize("early", [True, False])
async def test_who_is_banned_is_told_and_goes_with_its_entry_and_others_stay(early: bool) -> None:
    """Also one that was banned while the control plane was away."""
    store, agents = MemoryStore(), Agents()
    task, host = await join(store, "ratings", TASK), await join(store, "archive", HOST)
    other = await join(store, "reviews", replace(TASK, role_name="other", task_id="0" * 32))
    async with store.transaction() as tx:
        await tx.create(Resource(SHOP))
    bans = namespace("123456789012/ratings-task", "https://a.b#host 1", "https://a.b#host 11")
    if early:
        async with store.transaction() as tx:
            await tx.update(bans)
    async with running(Bans(store, agents, NamespaceBans()).run()):
        if not early:
            async with store.transaction() as tx:
                await tx.update(bans)
        for gone in (task, host):
            await wait_resource(store, gone, lambda found: found is None)
            assert await store.get(entry_key("shop", gone.name)) is None
    assert sorted(agents.told) == sorted(
        [
            f"{task.name}: 123456789012/ratings-task is banned from namespace shop",
            f"{host.name}: https://a.b#host 1 is banned from namespace shop",
        ]
    )
    assert await store.get(entry_key("shop", other.name)) is not None


def dataplane(name: str, holder: Holder, *, came: bool = True) -> Resource:
    return Resource(dataplane_key("default", name), body=KV, annotations=holder.annotations(came=came))


async def stored(store: MemoryStore, *resources: Resource) -> list[Resource]:
    async with store.transaction() as tx:
        return [await tx.create(resource) for resource in resources]


async def test_a_ban_on_the_namespace_of_a_mesh_reaches_its_dataplanes() -> None:
    store, agents = MemoryStore(), Agents()
    role = "123456789012/kv-task"
    banned = await stored(store, dataplane("db", Holder(ARN)), dataplane("kv", Holder("x", account=role)))
    (other,) = await stored(store, dataplane("web", Holder(f"{ARN[:-1]}4", account=f"{role}-2")))
    await stored(store, replace(namespace(ARN, role), key=Key("", "Namespace", "", "", "kuma-default")))
    async with running(Bans(store, agents, NamespaceBans()).run()):
        for gone in banned:
            await wait_resource(store, gone.key, lambda found: found is None)
    where = "is banned from namespace kuma-default"
    assert agents.told == [f"db: {ARN} {where}", f"kv: {role} {where}"]
    assert await store.get(other.key) is not None


class Neighbour:
    """Another replica that lives."""

    def is_other(self, name: str) -> bool:
        return name == "b"

    def is_steady(self, _seconds: float) -> bool:
        return True


async def test_an_agent_of_another_replica_is_left_to_it_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told there, before its registration goes; and goes in any case."""
    monkeypatch.setattr("outrig.control.bans.LOOKED_AGAIN", SOON)
    store, agents = MemoryStore(), Absent()
    (theirs,) = await stored(store, with_agent(dataplane("kv", Holder(ARN)), control_plane="b", now=NOW))
    (ours,) = await stored(store, dataplane("web", Holder(ARN)))
    await stored(store, replace(namespace(ARN), key=Key("", "Namespace", "", "", "kuma-default")))
    async with running(Bans(store, agents, NamespaceBans(), others=Neighbour()).run()):
        await wait_resource(store, theirs.key, lambda found: found is None)
    assert await store.get(ours.key) is None
    assert agents.told == ["kv", "web", "kv"]


class Absent(Agents):
    """None of the agents is connected here."""

    def ban(self, registration: Key, message: Ban) -> bool:
        assert message.reason
        self.told.append(registration.name)
        return False
