"""What a refusal by token leaves behind for whoever owns the mesh: one Event of each kind, however often it comes."""

from collections.abc import AsyncIterator

import pytest

from outrig.admission.settings import AdmissionSettings
from outrig.resources import Resource
from tests.attacks.dataplane_scene import DataplaneScene, document, open_scene

pytestmark = pytest.mark.slow
A_MINUTE = 5
FEW = AdmissionSettings(
    xds_port=5679, rate=1000, burst=1000, task_rate=1000, task_burst=1000, events_per_minute=A_MINUTE
)


@pytest.fixture
async def scene() -> AsyncIterator[DataplaneScene]:
    opened = await open_scene("", admission=FEW)
    yield opened
    await opened.plane.client.aclose()
    await opened.plane.attestor.close()


async def told(scene: DataplaneScene) -> list[tuple[str, str, int, str]]:
    """Which object, which namespace, how often, in which words."""

    def row(event: Resource) -> tuple[str, str, int, str]:
        about = event.body["involvedObject"]
        words = event.body["message"].rpartition(" [")[0]
        return f"{about['kind']} {about['name']}", event.key.namespace, event.body["count"], words

    return sorted(map(row, await scene.plane.all("Event")))


async def test_a_token_that_is_not_good_is_told_of_the_mesh_in_one_event_whatever_names_it_is_shown_for(
    scene: DataplaneScene,
) -> None:
    token = await scene.token(mesh="other")
    for number in range(A_MINUTE + 3):
        assert (await scene.join(token, document(f"kv-{number}"))).json()["code"] == "OUT122"
    words = "its signature is not that of signing key 1 (is it for this mesh?)"
    last = f"Dataplane kv-{A_MINUTE - 1}: OUT122 token.token: {words}"
    assert await told(scene) == [("Mesh default", "kuma-default", A_MINUTE, last)], "no more writes than are allowed"


async def test_of_a_dataplane_that_is_there_it_is_told_of_that_and_by_a_budget_that_proven_callers_do_not_share(
    scene: DataplaneScene,
) -> None:
    assert (await scene.join(await scene.token(), document())).status_code == 200
    for _ in range(A_MINUTE):
        await scene.join("not.a.token", document())
    await scene.join(await scene.token(name="kv-2"), document())
    counts = {words.partition(" ")[0]: count for _, _, count, words in await told(scene)}
    assert counts == {"OUT122": A_MINUTE, "OUT127": 1}
    assert {where for where, *_ in await told(scene)} == {"Dataplane kv-1"}


async def test_of_a_mesh_that_does_not_exist_nothing_is_written(scene: DataplaneScene) -> None:
    assert (await scene.join("not.a.token", document(mesh="nowhere"))).json()["code"] == "OUT122"
    assert await told(scene) == []
