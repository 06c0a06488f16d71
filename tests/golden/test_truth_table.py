"""The truth table of permissions across dialects, decided as proxies are told it, and accepted by the real Envoy."""

from pathlib import Path

import pytest

from outrig.control.world import World
from outrig.model import Workload
from outrig.resources import Resource
from outrig.snapshot import EXTENSION, ProxyId
from outrig.why import Known, Question, explain, parse_call
from tests.golden.static_envoy import validate
from tests.golden.test_golden import TRUST, own_findings
from tests.mesh_making import added, dataplane, deleted, group, make, service, sidecar, task, world_of
from tests.truth_table import Row, policy, rows

FILE = Path(__file__).parent / "truth-table.txt"
TARGETS = {
    ("web", "app"): "http://app:9080/",
    ("web", "kv"): "http://kv.mesh:9080/",
    ("demo", "app"): "http://127.0.0.1:7001/",
    ("demo", "kv"): "http://127.0.0.1:7002/",
}
PROXIES = {"web": "shop/web-1", "app": "shop/app-1", "demo": "dataplane/default/demo", "kv": "dataplane/default/kv"}


def scene() -> list[Resource]:
    """`web` and `app` are groups, `demo` and `kv` Dataplanes."""
    imports = [{"bind": "127.0.0.2", "port": {"number": 9080}, "hosts": ["./app.shop.svc.cluster.local", "*/kv.mesh"]}]
    tags = {"kuma.io/service": "kv", "kuma.io/protocol": "http"}
    calls = [
        {"port": 7001, "tags": {"kuma.io/service": "app_shop_svc_9080"}},
        {"port": 7002, "tags": {"kuma.io/service": "kv"}},
    ]
    return [
        *(made for name in ("web", "app") for made in (group(name), service(name))),
        sidecar("web", app="web", ingress=[], egress=imports),
        sidecar("app", app="app", egress=[]),
        task("web-1", "web", "10.0.0.1"),
        task("app-1", "app", "10.0.0.2"),
        dataplane("demo", "10.0.0.3", inbound=[{"port": 80, "tags": {"kuma.io/service": "demo"}}], outbound=calls),
        dataplane("kv", "10.0.0.4", inbound=[{"port": 9080, "servicePort": 5050, "tags": tags}]),
    ]


def outcome(row: Row, world: World) -> str:
    """What becomes of the call, and why."""
    world.apply(added(*row.resources))
    mesh = world.mesh_of(make("Service", "any", "shop").key)
    workloads: dict[str, Workload] = {str(id_): one for id_, one in mesh.workloads.items()}
    question = Question(workloads[PROXIES[row.caller]], parse_call(TARGETS[row.caller, row.destination]))
    answer = explain(question, Known(mesh, mesh.workloads))
    world.apply(deleted(*row.resources))
    last = next(step for step in reversed(answer.steps) if step.part in ("receiver", "listener"))
    reason = last.notes[-1] if answer.answered else last.says.partition(": ")[2]
    asked = "permission[" in reason or "policy[" in reason or "nothing allows" in reason
    return f"{answer.ending}{f': {reason}' if asked else ''}"


def test_the_destinations_dialect_governs_whoever_calls(request: pytest.FixtureRequest) -> None:
    world = world_of(*scene(), trusts=[TRUST])
    text = "".join(f"{row} {outcome(row, world)}\n" for row in rows())
    if request.config.getoption("--update-golden"):
        FILE.write_text(text)
    assert FILE.read_text() == text


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in rows() if row.mode], ids=str)
def test_envoy_accepts_each(row: Row, tmp_path: Path) -> None:
    snapshot = world_of(*scene(), *row.resources, trusts=[TRUST]).snapshot(ProxyId(PROXIES[row.destination]))
    assert snapshot is not None
    assert len(snapshot[EXTENSION]) == 2
    assert validate(snapshot, tmp_path) == ""


def test_envoy_accepts_the_longest_values_that_are_accepted(tmp_path: Path) -> None:
    """A proxy that refused an extension would keep the permissions it had."""
    host = ".".join(["h" * 60] * 4)
    fields = {"principals": [f"*{'p' * 79}", "t" * 200 + "/ns/*"], "namespaces": ["n" * 63, f"*{'m' * 62}"]}
    paths = [f"/{'x' * 74}/{{*}}", "/{*}" * 20, f"/{'y' * 1023}"]
    operation = {"hosts": [host, f"*.{host}"], "paths": paths}
    rule = {"from": [{"source": fields}], "to": [{"operation": operation}]}
    made = policy("one", "DENY", rule)
    assert own_findings([made]) == []
    snapshot = world_of(*scene(), made, trusts=[TRUST]).snapshot(ProxyId(PROXIES["app"]))
    assert snapshot is not None
    assert validate(snapshot, tmp_path) == ""
