"""A Namespace is labelled with its name, as in Kubernetes, whoever made it; nobody owns that label, or can take it."""

from contextlib import aclosing
from typing import Any

import pytest

from outrig.api.kube.shown import Shown
from outrig.resources import Key
from outrig.store.protocol import Query
from tests.unit.access_making import Person, Scene

NAMESPACES = "/api/v1/namespaces"
NAME = "kubernetes.io/metadata.name"
MERGE = {"content-type": "application/merge-patch+json"}
OPERATIONS = {"content-type": "application/json-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}


def namespace(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "front", **metadata}}


async def test_a_namespace_has_its_name_as_a_label(api: Scene, admin: Person) -> None:
    made = await admin.makes(NAMESPACES, namespace(labels={"team": "a"}))
    assert made["metadata"]["labels"] == {"team": "a", NAME: "front"}
    stored = await api.store.get(Key("", "Namespace", "", "", "front"))
    assert stored is not None
    assert stored.labels[NAME] == "front"
    named = await admin.makes(NAMESPACES, {**namespace(), "metadata": {"generateName": "x-"}})
    assert named["metadata"]["labels"] == {NAME: named["metadata"]["name"]}


async def test_namespaces_that_the_control_plane_made_have_it_too(admin: Person) -> None:
    assert (await admin.told("GET", f"{NAMESPACES}/default", 200))["metadata"]["labels"] == {NAME: "default"}
    for name in ("default", "kuma-default"):
        listed = await admin.told("GET", f"{NAMESPACES}?labelSelector={NAME}%3D{name}", 200)
        assert [one["metadata"]["name"] for one in listed["items"]] == [name]


@pytest.mark.parametrize("name", ["front", "default"])
async def test_a_write_that_takes_it_off_gets_it_back(admin: Person, name: str) -> None:
    if name == "front":
        await admin.makes(NAMESPACES, namespace())
    path = f"{NAMESPACES}/{name}"
    for method, sent, headers in (
        ("PUT", namespace(name=name), {}),
        ("PATCH", {"metadata": {"labels": None}}, MERGE),
        ("PATCH", {"metadata": {"labels": {NAME: "other"}}}, MERGE),
    ):
        found = await admin.told(method, path, 200, json=sent, headers=headers)
        assert found["metadata"]["labels"] == {NAME: name}
    removal = [{"op": "remove", "path": f"/metadata/labels/{NAME.replace('/', '~1')}"}]
    found = await admin.told("PATCH", path, 200, json=removal, headers=OPERATIONS)
    assert found["metadata"]["labels"] == {NAME: name}


async def test_who_applies_a_namespace_does_not_own_its_name(admin: Person) -> None:
    path = f"{NAMESPACES}/front?fieldManager=kubectl"
    made = await admin.told("PATCH", path, 201, json=namespace(labels={"team": "a"}), headers=APPLY)
    (manager,) = made["metadata"]["managedFields"]
    assert manager["fieldsV1"]["f:metadata"]["f:labels"] == {"f:team": {}}
    again = await admin.told("PATCH", path, 200, json=namespace(labels={"team": "a"}), headers=APPLY)
    assert again == made
    without = await admin.told("PATCH", path, 200, json=namespace(), headers=APPLY)
    assert without["metadata"]["labels"] == {NAME: "front"}
    dry = await admin.told("PATCH", f"{path}&dryRun=All", 200, json=namespace(), headers=APPLY)
    assert dry == without


async def test_who_applies_to_a_namespace_of_the_control_plane_changes_it_once(admin: Person) -> None:
    path = f"{NAMESPACES}/default?fieldManager=kubectl"
    first = await admin.told("PATCH", path, 200, json=namespace(name="default"), headers=APPLY)
    assert await admin.told("PATCH", path, 200, json=namespace(name="default"), headers=APPLY) == first
    assert first["metadata"]["labels"] == {NAME: "default"}


async def test_a_watch_knows_that_a_namespace_had_it_before_it_was_stored_with_it(api: Scene, admin: Person) -> None:
    before = await admin.told("GET", f"{NAMESPACES}/default", 200)
    await admin.told("PATCH", f"{NAMESPACES}/default", 200, json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    revision = int(before["metadata"]["resourceVersion"])
    async with aclosing(Shown(api.store).watch(Query(kinds=(("", "Namespace"),)), revision)) as batches:
        batch = await anext(batches)
    labels = [one.before.labels for one in batch if one.before and one.resource.key.name == "default"]
    assert labels == [{NAME: "default"}]
