"""The mesh that docs/why.md asks about: its resources, and the tasks and Dataplanes that have joined."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from outrig.dialects.istio.registered_entry import GROUP_ANNOTATION
from outrig.dialects.onboarding.connection import with_agent, without_agent
from outrig.dialects.onboarding.decision import AwsTask
from outrig.dialects.onboarding.registration import registration_name
from outrig.dialects.readiness import ReadyReason, with_readiness
from outrig.resources import Resource
from tests.mesh_making import NOON, document, group, make, task

FIXTURES = Path(__file__).parents[1] / "fixtures" / "why"


def bookinfo() -> list[Resource]:
    """Every resource."""
    groups = [group(name, "bookinfo", account=f"bookinfo-{name}") for name in GROUPS]
    return [*written("bookinfo.yaml"), *groups, *tasks()]


def counter() -> list[Resource]:
    """The Dataplanes beside it, which have joined, and what else is of their mesh."""
    return [joined(one) if one.key.kind == "Dataplane" else one for one in written("counter.yaml")]


def joined(dataplane: Resource) -> Resource:
    """A Dataplane whose agent is connected, and tells that its proxy is ready."""
    ready = with_readiness(dataplane, ReadyReason.READY, now=NOON)
    return with_agent(ready, control_plane="cp", now=NOON)


def written(name: str) -> list[Resource]:
    """The resources of a file."""
    return [document(one) for one in yaml.safe_load_all((FIXTURES / name).read_text(encoding="utf-8"))]


ACCOUNT = "123456789012"
CLOSED = "nothing accepts connections on 127.0.0.1:9080"
GROUPS = ("productpage", "details", "reviews", "ratings", "audit", "mongodb")


def tasks() -> list[Resource]:
    """The tasks: each is a WorkloadEntry and the registration that owns it."""
    ratings = with_readiness(member("ratings", "10.0.1.5"), ReadyReason.UNHEALTHY, now=NOON, message=CLOSED)
    away = without_agent(member("mongodb", "10.0.1.9"), closed=False, now=NOON, message="the stream ended")
    reviews = member("reviews", "10.0.1.7", labels={"version": "v1"})
    drained = member("details", "10.0.2.6", zone="b", reason=ReadyReason.DRAINING)
    others = (member("productpage", "10.0.1.4"), member("details", "10.0.1.6"), member("audit", "10.0.1.8"))
    entries = [*others, drained, reviews, ratings, away]
    return [one for entry in entries for one in (entry, registration_of(entry))]


def member(of: str, address: str, *, zone: str = "a", **more: Any) -> Resource:
    """The entry of a task of a group whose agent is connected."""
    caller = AwsTask("aws", ACCOUNT, "eu-west-1", f"eu-west-1{zone}", "shop", of, task_id(address))
    locality, account = f"eu-west-1/eu-west-1{zone}", f"bookinfo-{of}"
    name = registration_name(of, caller)
    made = task(name, of, address, space="bookinfo", account=account, locality=locality, **more)
    return with_agent(replace(made, annotations={GROUP_ANNOTATION: of}), control_plane="cp", now=NOON)


def task_id(address: str) -> str:
    """The id of the task that has an address: 32 digits, as those of ECS."""
    return sha256(address.encode()).hexdigest()[:32]


def registration_of(entry: Resource) -> Resource:
    """What its agent registered."""
    zone = entry.spec["locality"].rpartition("/")[2]
    ecs = {"cluster": "shop", "taskId": entry.key.name.rpartition("-")[2]}
    aws = {"partition": "aws", "account": ACCOUNT, "region": "eu-west-1", "zone": zone, "ecs": ecs}
    return make("WorkloadAutoRegistration", entry.key.name, "bookinfo", {"identity": {"aws": aws}, "registration": {}})
