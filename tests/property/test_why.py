"""`explain` on every golden mesh: whatever is asked, there is an answer, and it fits the configuration."""

from itertools import product
from pathlib import Path

import pytest
import yaml

from outrig.compile import compile_meshes
from outrig.model import Address, Mesh, Workload
from outrig.resources import Key
from outrig.view import HttpOutbound, view_of
from outrig.view.binds import spoken
from outrig.why import Ending, Explanation, Known, Part, Question, explain, parse_call, parse_via
from outrig.why.document import document_of, explanation_of
from outrig.why.question import in_brackets
from outrig.why.text import WIDTH, lines_of
from tests.mesh_making import KINDS, document, trust, world_of

GOLDEN = Path(__file__).parents[1] / "golden"
MOST = 40  # questions for each workload
CASES = sorted(path.parent for path in GOLDEN.glob("*/resources.yaml"))


def questions(mesh: Mesh, workload: Workload) -> list[Question]:
    """Some of: every name of every service and one that nobody has, at every port that is anywhere, in every way."""
    names = {name for one in mesh.services for name in (one.host, *one.names, *one.local_names) if "*" not in name}
    ports = {port.number for one in mesh.services for port in one.ports} | {1}
    listeners = view_of(workload, mesh).outward.listeners
    vias = ["", *(spoken(Address(one.bind, one.port)) for one in listeners)]
    every = list(product(["http://", "tcp://", ""], [*sorted(names), "nobody.anywhere"], sorted(ports), vias))
    return [
        Question(workload, parse_call(f"{scheme}{in_brackets(name)}:{port}"), parse_via(via))
        for scheme, name, port, via in every[:: max(1, len(every) // MOST)]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_question_has_an_answer_that_fits_the_configuration(case: Path) -> None:
    resources = [document(one) for one in yaml.safe_load_all((case / "resources.yaml").read_text())]
    mesh = compile_meshes([trust(), *resources], KINDS)["default"]
    known = Known(mesh, {one.id: one for one in mesh.workloads})
    index = world_of(*resources).mesh_of(Key("", "Namespace", "", "", "shop"))
    told = Known(index, index.workloads)
    for workload in mesh.workloads:
        for question in questions(mesh, workload):
            answer = explain(question, known)
            assert answer == explain(question, told)
            assert explanation_of(document_of(answer)) == answer
            _, *lines = lines_of(answer)
            assert max(map(len, lines)) <= max(WIDTH, 24 + max(map(len, " ".join(lines).split())))
            check(answer, workload, mesh)


def check(answer: Explanation, workload: Workload, mesh: Mesh) -> None:
    """What it names is there."""
    outward = view_of(workload, mesh).outward if workload.proxied else None
    for step in answer.steps:
        if step.part is Part.CLUSTER:
            assert outward is not None
            assert step.envoy in {one.name for one in outward.upstreams}
        if step.part is Part.ROUTE and answer.ending is Ending.NO_HOST:
            assert outward is not None
            assert any(isinstance(one, HttpOutbound) and not one.fallback for one in outward.listeners)
    assert (answer.ending is Ending.ANSWERED) == (answer.summary.startswith("would be answered"))
