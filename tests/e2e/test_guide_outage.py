"""The control plane away for longer than half a certificate's life: calls go on, and certificates are renewed after."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.e2e.guide import Guide, open_guide
from tests.fixtures.local.lab import eventually

pytestmark = pytest.mark.slow

LIFETIME = 60.0  # seconds, the shortest there is; renewal is due at half of it, or a little earlier


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    settings = {"OUTRIG_CERTIFICATE_LIFETIME": f"{LIFETIME:.0f}s"}
    with open_guide(tmp_path_factory.mktemp("guide"), settings) as found:
        for service in ("ratings", "productpage"):
            found.deploy(service)
        for service in ("ratings", "productpage"):
            found.wait_serving(service)
        eventually(found.call)
        yield found


def joined(guide: Guide, service: str) -> int:
    """How often the agent of the service's task has got certificates."""
    (task,) = guide.running(service)
    return guide.log(task).count("joined as")


def renewed(guide: Guide, held: dict[str, int]) -> bool:
    """Whether every task's agent has got certificates since then."""
    return all(joined(guide, service) > times for service, times in held.items())


def test_calls_go_on_while_the_control_plane_hangs_past_a_renewal_and_certificates_are_renewed_after(
    guide: Guide,
) -> None:
    before, load = guide.wait_serving("ratings"), guide.load()
    held = {service: joined(guide, service) for service in ("ratings", "productpage")}
    guide.ecs.kill("control-plane", number=signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        eventually(lambda: time.monotonic() - stopped > LIFETIME * 0.55, seconds=LIFETIME)
        assert guide.call()
        assert not renewed(guide, held)
    finally:
        guide.ecs.kill("control-plane", number=signal.SIGCONT)
    eventually(lambda: renewed(guide, held), seconds=LIFETIME)
    account = load.account()
    assert account["failed"] == 0, account
    assert account["sent"] == account["ok"] > 1000
    assert guide.wait_serving("ratings") == before
    assert guide.call()
