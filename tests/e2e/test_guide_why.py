"""`outrig why` on running tasks: after each mistake made by kubectl the real command tells what a real call meets.

The texts are golden files beside this one; `--update-golden` writes them anew.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.e2e.guide import BIN, EXAMPLE, Guide
from tests.fixtures.local.lab import eventually

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "why"
URL = "http://ratings.bookinfo:9080/ratings/0"
OTHER_LABELS = """
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: bookinfo}
spec: {selector: {app: ratings, version: v2}, ports: [{port: 9080, name: http}]}
"""
OTHER_PORT = """
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: bookinfo}
spec: {selector: {app: ratings}, ports: [{port: 9080, name: http, targetPort: 8080}]}
"""
OTHER_PROTOCOL = """
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: bookinfo}
spec: {selector: {app: ratings}, ports: [{port: 9080, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: bookinfo-ratings-no-iptables, namespace: bookinfo}
spec:
  workloadSelector: {labels: {app: ratings, class: ecs}}
  ingress:
  - {defaultEndpoint: "127.0.0.1:9080", port: {name: tcp, number: 9080, protocol: TCP}}
"""
NOT_IMPORTED = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: bookinfo-productpage, namespace: bookinfo}
spec:
  workloadSelector: {labels: {app: productpage, class: ecs}}
  egress:
  - {bind: 127.0.0.2, port: {number: 9080}, hosts: [./details.bookinfo.svc.cluster.local]}
"""


@contextmanager
def mistaken(guide: Guide, text: str) -> Iterator[None]:
    """While the block runs these stand in place of the example's."""
    guide.apply(text)
    try:
        yield
    finally:
        for name in ("mesh.yaml", "sidecar.yaml", "peers.yaml"):
            guide.kubectl("apply", "-f", str(EXAMPLE / name))
        eventually(guide.call)


def why(guide: Guide, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The real command, finding the control plane by the kubeconfig alone."""
    command = [str(BIN / "outrig"), "why", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=guide.environment, timeout=60, check=False)


def status(guide: Guide, host: str) -> str:
    """The status that a call from productpage is answered."""
    done = guide.inside("productpage", "curl", "-i", "--resolve", f"{host}:127.0.0.2", f"{host}/ratings/0")
    return done.stdout.split()[1] if done.stdout.startswith("HTTP/") else ""


def normal(text: str) -> str:
    """Without what differs from run to run: registrations are named after their tasks, tasks have any address."""
    text = re.sub(r"\b(\w+)-aws-[\w-]+-ecs-bookinfo-[0-9a-f]{32}", r"\1-TASK", text)
    text = re.sub(r"\btask\s+[0-9a-f]{8}\b", "task TASK", text)
    return re.sub(r"\b10\.7\.\d+\.\d+", "10.7.x.x", text)


def flat(text: str) -> list[str]:
    """The words: where lines are broken depends on the length of addresses."""
    return text.split()


MISTAKES = {
    "no-mistake": ("", "ratings.bookinfo:9080", "200"),
    "unknown-host": ("", "rating.bookinfo:9080", "502"),
    "other-labels": (OTHER_LABELS, "ratings.bookinfo:9080", "503"),
    "other-port": (OTHER_PORT, "ratings.bookinfo:9080", "503"),
    "other-protocol": (OTHER_PROTOCOL, "ratings.bookinfo:9080", "503"),
    "not-imported": (NOT_IMPORTED, "ratings.bookinfo:9080", "502"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_is_told_is_what_a_call_meets(guide: Guide, case: str, request: pytest.FixtureRequest) -> None:
    mistake, host, expected = MISTAKES[case]
    with mistaken(guide, mistake) if mistake else nullcontext():
        assert eventually(lambda: status(guide, host) == expected)
        said = why(guide, "productpage", f"http://{host}/ratings/0")
    assert said.stderr == ""
    assert said.returncode == (0 if expected == "200" else 1)
    path = GOLDEN / f"{case}.txt"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(normal(said.stdout), encoding="utf-8")
    assert flat(normal(said.stdout)) == flat(path.read_text(encoding="utf-8"))


def test_a_task_id_is_a_source_and_a_stopped_task_is_none(guide: Guide) -> None:
    (task,) = guide.serving("productpage")
    assert why(guide, task, URL).returncode == 0
    assert why(guide, task[:8], URL).returncode == 0
    gone = why(guide, "0" * 32, URL)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert "OUT901" in gone.stderr
