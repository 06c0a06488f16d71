"""The join as it should be, so that the attacks beside it fail for the right reason."""

import pytest
from cryptography import x509

from tests.attacks.scene import Caller, Plane, RunningTask

pytestmark = pytest.mark.slow


async def test_a_task_with_a_proof_of_its_role_gets_in(plane: Plane, task: RunningTask) -> None:
    answer = await plane.join(task)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["registration"] == f"ratings-aws-aws-123456789012-us-east-1a-ecs-bookinfo-{task.id}"
    leaf = x509.load_pem_x509_certificate(told["workloadChain"].encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("spiffe://cluster.local/ns/bookinfo/sa/bookinfo-ratings")]
    (entry,) = await plane.all("WorkloadEntry")
    assert entry.spec["address"] == task.ip
    assert entry.owners[0].uid == told["uid"]


async def test_renewal_keeps_the_registration(plane: Plane, task: RunningTask) -> None:
    caller = Caller()
    first, second = [(await plane.join(task, caller)).json() for _ in range(2)]
    assert first["uid"] == second["uid"]
    assert first["workloadChain"] != second["workloadChain"]
