"""What could not be configured is told when it becomes so, changes, or ends; and at no other time."""

from outrig.control.doubts import Doubts
from outrig.errors import Finding
from outrig.resources import Key
from outrig.snapshot import ProxyId

WEB, API = ProxyId("shop/web"), ProxyId("shop/api")
SIDECAR = Key("networking.istio.io", "Sidecar", "", "shop", "web")
LOST, TAKEN = Finding("OUT601", SIDECAR, "spec", "lost"), Finding("OUT603", SIDECAR, "spec", "taken")


class World:
    def __init__(self) -> None:
        self.now: dict[ProxyId, tuple[Finding, ...]] = {}
        self.doubtful: set[ProxyId] = set()

    def findings(self, proxy: ProxyId) -> tuple[Finding, ...]:
        return self.now.get(proxy, ())

    def take_doubtful(self) -> set[ProxyId]:
        taken, self.doubtful = self.doubtful, set()
        return taken


def test_only_news_is_told() -> None:
    world, told = World(), []
    doubts = Doubts(world, lambda proxy, findings: told.append((proxy, findings)))
    doubts.look([WEB, API])
    assert told == []
    world.now[WEB] = (LOST,)
    doubts.look([WEB])
    doubts.look([WEB, API])
    world.now[WEB] = (LOST, TAKEN)
    doubts.look([WEB])
    world.now.clear()
    doubts.look([WEB])
    doubts.look([WEB])
    assert told == [(WEB, (LOST,)), (WEB, (LOST, TAKEN)), (WEB, ())]


def test_a_finding_that_changed_no_configuration_is_told_too() -> None:
    world, told = World(), []
    doubts = Doubts(world, lambda proxy, findings: told.append((proxy, findings)))
    world.now[WEB], world.doubtful = (LOST,), {WEB}
    doubts.look([])
    assert told == [(WEB, (LOST,))]
