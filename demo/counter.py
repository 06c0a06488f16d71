"""The steps of the second scene: Kong Mesh's Dataplanes in the same mesh. A docstring is a title."""

import json
import re

from demo.stage import BIN, COUNTER, ROOT, Stage, StepFailed
from demo.steps import account_for, conditions, control_plane_pid, expect, start_load

LIFELINES = (str(BIN / "python"), str(ROOT / "demo/lifelines.py"), "15050", "16379")
COUNT = ("curl", "-s", "-X", "POST", "http://127.0.0.1:5000/")


def two_replicas_one_database(stage: Stage) -> None:
    """Two replicas of the control plane on one Postgres: what one is told, the other knows"""
    stage.show(stage.shell(f"outrig apply -f {COUNTER}/mesh.yaml"))
    port = stage.ecs.published()["control-plane-2"]["api"]
    other = stage.until(
        lambda: found(
            stage.shell(f"outrig get meshes --kubeconfig {second_kubeconfig(stage, port)}"), r"default +builtin"
        ),
        "the other replica knows of it",
    )
    stage.show(f"asked of the other replica:\n{other}")


def second_kubeconfig(stage: Stage, port: int) -> str:
    """The kubeconfig for the second replica: the same administrator, another port."""
    file = stage.directory / "kubeconfig-2"
    text = (stage.directory / "kubeconfig").read_text(encoding="utf-8")
    file.write_text(re.sub(r"server: \S+", f"server: https://127.0.0.1:{port}", text), encoding="utf-8")
    return str(file)


def found(text: str, pattern: str) -> str | None:
    """The heading and the line that fits, if any does."""
    heading, *lines = text.splitlines() or [""]
    fitting = [line for line in lines if re.search(pattern, line)]
    return f"{heading}\n{fitting[0]}" if fitting else None


def dataplanes_join(stage: Stage) -> None:
    """kv joins by the tags of its role, demo-app by a token, each with its Dataplane and explicit outbounds"""
    stage.shell(f"{COUNTER}/execution-role")
    stage.shell(f'{COUNTER}/deploy kv & {COUNTER}/deploy demo-app "$({COUNTER}/token-secret demo-app)"; wait $!')

    def ready() -> bool | None:
        entries = json.loads(stage.shell("kubectl get workloadentries -n kuma-default -o json"))["items"]
        return sum("True" in conditions(entry, "Ready") for entry in entries) == 2 or None

    stage.until(ready, "both dataplanes are ready")
    stage.show(stage.shell("outrig get dataplanes"))


def one_mesh(stage: Stage) -> None:
    """One mesh: demo-app counts through kv and calls Bookinfo's ratings, productpage calls kv; mutual TLS both ways"""
    counted = stage.until(lambda: answer(stage, *COUNT), "demo-app counts through kv")
    expect(counted["caller"] == "spiffe://default/demo-app", f"kv saw {counted}")
    stage.show(f"demo-app → kv: {json.dumps(counted)}")
    ratings = stage.until(
        lambda: answer(stage, "curl", "-s", "http://127.0.0.1:5000/ratings"), "demo-app calls ratings"
    )
    expect(ratings["ratings"]["Reviewer1"] == 5, f"ratings said {ratings}")
    stage.show(f"demo-app → ratings: {json.dumps(ratings)}")
    stage.show(stage.shell(f"kubectl apply -f {COUNTER}/productpage.yaml"))
    call = ("curl", "-s", "-f", "--resolve", "kv.mesh:15050:127.0.0.2", "http://kv.mesh:15050/counter")
    seen = stage.until(lambda: json.loads(stage.inside("productpage", *call)), "productpage calls kv")
    expect(seen["caller"] == "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage", f"kv saw {seen}")
    stage.show(f"productpage → kv: {json.dumps(seen)}")


def answer(stage: Stage, *command: str) -> dict | None:  # type: ignore[type-arg]
    """What the workload of demo-app is told, once it is told something."""
    said = json.loads(stage.inside("demo-app", *command, container="workload"))
    if "error" in said:
        raise StepFailed(said["error"])
    return dict(said)


def a_permission_taken_away(stage: Stage) -> None:
    """A MeshTrafficPermission taken away bites on an open connection; a TCP connection beside it lives on"""
    kept = stage.start_inside("demo-app", *LIFELINES, container="workload")
    output = kept.process.stdout
    expect(output is not None and output.readline().strip() == "200", "kv does not answer")
    stage.shell("outrig delete meshtrafficpermission kv")
    said = output.readline().strip() if output else ""
    stage.shell(f"outrig apply -f {COUNTER}/mesh.yaml")
    again = output.readline().strip() if output else ""
    account = json.loads(kept.result().splitlines()[-1])
    stage.show(f"kv over one kept connection: 200, then {said}, and {again} when it is permitted again")
    stage.show(f"lines over one TCP connection meanwhile: {account['lines']}, none lost")
    expect((said, again) == ("403", "200"), f"not refused and permitted again: {account}")
    expect(account["httpConnections"] == 1, f"the connection was cut: {account}")


def a_replica_killed(stage: Stage) -> None:
    """One replica killed with SIGKILL under load: nothing is noticed"""
    client = "http://127.0.0.1:15050/counter"
    load = start_load(stage, "demo-app", client, rate=50, connect="127.0.0.1:15050", container="workload")
    killed = control_plane_pid(stage, "control-plane-2")
    stage.ecs.kill("control-plane-2")
    stage.shell("kubectl create namespace written-meanwhile")
    again = f"kubectl get namespace written-meanwhile --kubeconfig {stage.directory}/kubeconfig-2"
    stage.until(
        lambda: control_plane_pid(stage, "control-plane-2") not in (None, killed) or None, "it is started again"
    )
    stage.show(stage.until(lambda: stage.shell(again) or None, "it knows what was written while it was away"))
    account_for(stage, load, least=50)
    stage.show(stage.shell("outrig inspect services"))
