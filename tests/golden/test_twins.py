"""One small mesh written in both dialects: their proxies get the same views, identities, origins and names apart.

Each folder in `twins` holds `istio.yaml` and `kuma.yaml`, whose proxies are listed in `proxies.txt`, and the words that
differ in `words.txt`: each line a word of the one and a word of the other. What callers must bring is as the test says.
"""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from outrig.compile import compile_meshes
from outrig.model import Mesh, TlsMode
from outrig.resources import Key, Resource
from outrig.view import Assignment, HttpOutbound, ProxyView, assignment_of, called, view_of
from tests.golden.test_golden import TRUST
from tests.mesh_making import KINDS, demand, document, mesh

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "twins"
CASES = sorted(path for path in HERE.iterdir() if path.is_dir())
NOBODY = Key("", "", "", "", "")


@pytest.mark.parametrize("mode", [TlsMode.STRICT, TlsMode.PERMISSIVE, TlsMode.DISABLE])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_dialects_give_equal_views_and_load_assignments(case: Path, mode: TlsMode) -> None:
    words = dict(line.split() for line in (case / "words.txt").read_text().splitlines())
    istio = mesh_of(case / "istio.yaml", demand("all", mode, "istio-system"))
    kuma = mesh_of(case / "kuma.yaml", mesh(mode="" if mode is TlsMode.DISABLE else mode))
    for line in (case / "proxies.txt").read_text().splitlines():
        one, other = line.split()
        left, right = seen(one, istio), seen(other, kuma)
        assert left.inward.inbound
        assert without_names(left, words) == without_names(right, words)
        assert without_names(assignments(left, istio), words) == without_names(assignments(right, kuma), words)


def mesh_of(path: Path, demanding: Resource) -> Mesh:
    resources = [document(one) for one in yaml.safe_load_all(path.read_text())]
    return compile_meshes([TRUST, *resources, demanding], KINDS)["default"]


def seen(proxy: str, mesh: Mesh) -> ProxyView:
    """The view, without the shape as its author wrote it and without what only one dialect can say."""
    workload = next(workload for workload in mesh.workloads if workload.id == proxy)
    view = view_of(workload, mesh)
    assert view.findings == ()
    outward = replace(view.outward, imports=frozenset())
    return replace(view, inward=replace(view.inward, outlook=None, shape=None, guards=()), outward=outward)


def assignments(view: ProxyView, mesh: Mesh) -> list[Assignment]:
    found = []
    for upstream in view.outward.upstreams:
        destination = upstream.destination
        service = next(s for s in mesh.services if (s.origin, s.host) == (destination.service, destination.host))
        port = next(port for port in service.ports if port.number == destination.port)
        behind = called(destination, service, mesh)
        found.append(assignment_of(destination.name, port, workloads=behind, mesh=mesh))
    return found


def without_names(value: Any, words: dict[str, str]) -> Any:
    """The same with one dialect's words in place of the other's, no origins, and every name a call may go by as `*`."""
    if isinstance(value, Key):
        return NOBODY
    if isinstance(value, str):
        for word, other in words.items():
            value = value.replace(word, other)
        return value
    if isinstance(value, HttpOutbound):
        value = replace(value, hosts=tuple(replace(host, domains=("*",)) for host in value.hosts))
    if isinstance(value, tuple | list):
        return [without_names(part, words) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: without_names(getattr(value, field.name), words) for field in fields(value)}
    return value
