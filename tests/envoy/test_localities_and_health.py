"""Which endpoints are called: those that are near, those that are well, and when nobody is."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from outrig.dialects.readiness import ReadyReason
from tests.envoy.render_scene import Scene, echo_http, running_scene, until
from tests.mesh_making import service, task

pytestmark = pytest.mark.slow

PLACES = {"a1": "us-east-1/us-east-1a", "a2": "us-east-1/us-east-1b", "a3": "eu-west-1/eu-west-1a"}
WELL, ILL, LEAVING = ReadyReason.READY, ReadyReason.UNHEALTHY, ReadyReason.DRAINING


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """`app` in three zones; `web` in the first of them, `cron` in the second."""
    async with running_scene(tmp_path) as scene, echo_http("app") as port:
        scene.add_app("app", port, silent=True)
        for caller in ("web", "cron"):
            scene.add_app(caller, hosts=["./app.shop.svc.cluster.local"])
        for name, place in PLACES.items():
            await scene.start(name, "app", locality=place)
        await scene.start("web", "web", locality=PLACES["a1"])
        await scene.start("cron", "cron", locality=PLACES["a2"])
        yield scene


def become(scene: Scene, reasons: Mapping[str, ReadyReason]) -> None:
    for name, reason in reasons.items():
        scene.apply(task(name, "app", scene.addresses[name], reason=reason, locality=PLACES[name]))


async def shares(scene: Scene, caller: str, expected: set[str]) -> bool:
    """Whether exactly these tasks answer a caller's requests, all of which succeed."""
    before = len(scene.log(caller).splitlines())
    for _ in range(12):
        assert (await scene.call(caller, "app")).status_code == 200

    async def logged() -> bool:
        return len(scene.log(caller).splitlines()) >= before + 12

    await until(logged)
    lines = scene.log(caller).splitlines()[before:]
    return {name for name in PLACES if any(f'"{scene.addresses[name]}:' in line for line in lines)} == expected


async def test_callers_stay_in_their_zone_then_region_as_long_as_anybody_is_ready_there_and_come_back(
    scene: Scene,
) -> None:
    await until(lambda: shares(scene, "web", set(PLACES)))
    scene.apply(service("app", port=scene.port, near="PreferClose"))
    steps: tuple[tuple[dict[str, ReadyReason], set[str], set[str]], ...] = (
        ({}, {"a1"}, {"a2"}),
        ({"a1": ILL}, {"a2"}, {"a2"}),
        ({"a2": ILL}, {"a3"}, {"a3"}),
        ({"a1": LEAVING}, {"a3"}, {"a3"}),
        ({"a3": LEAVING}, {"a1", "a3"}, {"a1", "a3"}),  # when all leave, near and far are alike
        ({"a1": WELL, "a2": WELL, "a3": WELL}, {"a1"}, {"a2"}),
    )
    for reasons, of_web, of_cron in steps:
        become(scene, reasons)
        await until(lambda of_web=of_web: shares(scene, "web", of_web))
        await until(lambda of_cron=of_cron: shares(scene, "cron", of_cron))
    scene.apply(service("app", port=scene.port))
    await until(lambda: shares(scene, "cron", set(PLACES)))


async def test_a_request_for_a_near_endpoint_that_is_gone_without_a_word_is_tried_farther_away(scene: Scene) -> None:
    scene.apply(service("app", port=scene.port, near="PreferClose"))
    await until(lambda: shares(scene, "web", {"a1"}))
    transport = httpx.AsyncHTTPTransport(uds=str(scene.directory / "a1" / "admin.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://envoy") as client:
        await client.post("/quitquitquit")
    for _ in range(20):
        assert (await scene.call("web", "app")).status_code == 200


async def test_an_endpoint_known_to_be_ill_is_never_called_and_the_last_ones_to_leave_serve_to_the_end(
    scene: Scene,
) -> None:
    """Two of three ill would be panic to Envoy, were they published."""
    steps = (
        ({"a1": ILL, "a2": ILL}, {"a3"}),
        ({"a3": LEAVING}, {"a3"}),
        ({"a2": LEAVING}, {"a2", "a3"}),
        ({"a2": WELL}, {"a2"}),
    )
    for reasons, expected in steps:
        become(scene, reasons)
        await until(lambda expected=expected: shares(scene, "web", expected))
    become(scene, dict.fromkeys(PLACES, ILL))

    async def nobody() -> bool:
        return (await scene.call("web", "app")).status_code == 503

    await until(nobody)
    assert all([await nobody() for _ in range(12)])
    become(scene, {"a2": WELL})
    await until(lambda: answered(scene))
    assert await shares(scene, "web", {"a2"})


async def answered(scene: Scene) -> bool:
    return (await scene.call("web", "app")).status_code == 200
