"""How long a data plane's two certificates hold, and when it is told to renew: by its Mesh, and by its token."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from cryptography import x509

from outrig.dialects.kuma.mesh import mesh_key
from tests.attacks.dataplane_scene import HOUR, DataplaneScene, document, open_scene
from tests.attacks.scene import Caller

pytestmark = pytest.mark.slow
DAY = 24 * HOUR


@pytest.fixture
async def scene() -> AsyncIterator[DataplaneScene]:
    opened = await open_scene("")
    yield opened
    await opened.plane.client.aclose()
    await opened.plane.attestor.close()


async def say(scene: DataplaneScene, expiration: str, **conf: Any) -> None:
    """The Mesh wants its certificates to hold that long. `conf`: of its authority."""
    backend = {"name": "ca-1", "type": "builtin", "dpCert": {"rotation": {"expiration": expiration}}, "conf": conf}
    async with scene.plane.store.transaction() as tx:
        stored = await tx.get(mesh_key("default"))
        assert stored
        mesh = await tx.update(replace(stored, body={"mtls": {"enabledBackend": "ca-1", "backends": [backend]}}))
        await scene.meshes(tx, "default", mesh)


def hold(told: dict[str, Any], now: datetime) -> tuple[float, float]:
    """Seconds that control identity and workload certificate hold from now on."""
    chains = (told["controlChain"], told["workloadChain"])
    ends = [x509.load_pem_x509_certificates(chain.encode())[0].not_valid_after_utc for chain in chains]
    return (ends[0] - now).total_seconds(), (ends[1] - now).total_seconds()


@pytest.mark.parametrize(
    ("expiration", "token", "control", "workload"),
    [
        ("1d", DAY * 2, 3600, 86400),
        ("2m", DAY, 3600, 120),
        ("1m", DAY, 3600, 60),
        ("1d", timedelta(minutes=10), 600, 600),
    ],
    ids=["longer than the control identity", "shorter", "the shortest", "the token ends first"],
)
async def test_a_workload_certificate_holds_as_the_mesh_says_and_both_are_renewed_at_half_of_the_shorter_life(
    scene: DataplaneScene, expiration: str, token: timedelta, control: int, workload: int
) -> None:
    scene.plane.now = now = scene.plane.clock().replace(microsecond=0) + timedelta(minutes=1)
    await say(scene, expiration)
    caller, shown = Caller(), await scene.token(lifetime=token)
    told = (await scene.join(shown, document(), caller=caller)).json()
    assert hold(told, now) == (control, workload)
    first = min(control, workload)
    assert (told["expiresIn"], told["renewIn"]) == (first, first // 2)
    scene.plane.now = later = now + timedelta(seconds=told["renewIn"])
    again = (await scene.join(shown, document(), caller=caller)).json()
    assert again["uid"] == told["uid"], "a renewal"
    left = token.total_seconds() - told["renewIn"]
    assert hold(again, later) == (min(control, left), min(workload, left))


async def test_the_end_of_a_meshs_authority_is_named_and_renewals_do_not_come_ever_faster(
    scene: DataplaneScene,
) -> None:
    scene.plane.now = now = scene.plane.clock().replace(microsecond=0) + timedelta(minutes=1)
    await say(scene, "1d", caCert={"expiration": "1m"})
    caller, shown, joins = Caller(), await scene.token(lifetime=DAY), 0
    with structlog.testing.capture_logs() as lines:
        while (told := await scene.join(shown, document(), caller=caller)).status_code == 200:
            joins += 1
            scene.plane.now += timedelta(seconds=told.json()["renewIn"])
        assert (joins, scene.plane.now - now) == (4, timedelta(minutes=1)), "60, 30, 15 and 8 s before its end"
        for _ in range(3):
            refused = await scene.join(shown, document(), caller=caller)
    body = refused.json()
    assert (refused.status_code, body["code"], refused.headers["retry-after"]) == (503, "OUT142", "30")
    assert "the authority of mesh default" in body["reason"]
    assert "another certificate" in body["hint"]
    (line,) = (one for one in lines if one["log_level"] == "error")
    assert "OUT142 the authority of mesh default" in line["reason"]


async def test_another_lifetime_counts_from_the_next_renewal_on(scene: DataplaneScene) -> None:
    scene.plane.now = scene.plane.clock().replace(microsecond=0) + timedelta(minutes=1)
    await say(scene, "1d")
    caller, shown = Caller(), await scene.token(lifetime=DAY)
    assert (await scene.join(shown, document(), caller=caller)).json()["expiresIn"] == 3600
    await say(scene, "2m")
    assert (await scene.join(shown, document(), caller=caller)).json()["expiresIn"] == 120


async def test_a_proxy_whose_workload_certificate_ended_first_holds_its_place_by_its_control_identity(
    scene: DataplaneScene,
) -> None:
    scene.plane.now = scene.plane.clock() + timedelta(minutes=1)
    await say(scene, "1m")
    caller, shown = Caller(), await scene.token(lifetime=DAY)
    told = (await scene.join(shown, document(), caller=caller)).json()
    await scene.connect()
    scene.plane.now += timedelta(minutes=5)
    assert (await scene.join(shown, document())).json().get("code") == "OUT128", "it is connected"
    assert (await scene.join(shown, document(), caller=caller)).json().get("uid") == told["uid"], "a renewal"
