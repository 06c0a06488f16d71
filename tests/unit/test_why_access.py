"""`explain` at the receiving port: the permission that stops a call, lets it pass, or may do either."""

from dataclasses import replace

from outrig.model import WorkloadId
from outrig.resources import Resource
from outrig.snapshot import EXTENSION
from outrig.why import (
    Ending,
    Explanation,
    Known,
    Observed,
    Part,
    Question,
    Refusal,
    Step,
    Verdict,
    explain,
    parse_call,
)
from tests.mesh_making import NOON, demand, group, make, service, sidecar, task, world_of
from tests.truth_table import policy, source

MESH = (
    *(made for name in ("web", "app") for made in (group(name), service(name), sidecar(name, app=name))),
    task("web-1", "web", "10.0.0.1"),
    task("app-1", "app", "10.0.0.2"),
)


def told(target: str, *resources: Resource, refused: str = "") -> Explanation:
    """What `shop/web-1` is told; `refused`: what the other side's proxy refuses."""
    mesh = world_of(*MESH, *resources).mesh_of(make("Service", "any", "shop").key)
    workload = next(one for one in mesh.workloads.values() if one.id == "shop/web-1")
    observed = Observed(refused=(Refusal(EXTENSION, refused, "no such field"),)) if refused else Observed()
    known = Known(mesh, mesh.workloads, {WorkloadId("shop/app-1"): observed})
    return explain(Question(workload, parse_call(target)), known)


def receiver(answer: Explanation) -> Step:
    (found,) = (step for step in answer.steps if step.part is Part.RECEIVER)
    return found


def test_a_denial_stops_the_call_and_is_named() -> None:
    answer = told("http://app:9080/", policy("no", "DENY", source(namespaces=["shop"])))
    step = receiver(answer)
    assert answer.ending is Ending.FORBIDDEN
    assert answer.summary == "stops at step 6, receiver: the caller gets 403"
    assert (step.verdict, step.resource) == (Verdict.STOPS, "AuthorizationPolicy shop/no")
    assert step.says == "shop/app-1 at 10.0.0.2_9080 refuses it: ns[shop]-policy[no]-rule[0] denies it"
    assert step.do == "change AuthorizationPolicy shop/no"


def test_where_only_others_are_allowed_they_are_named_and_what_to_do() -> None:
    step = receiver(told("http://app:9080/", policy("only", "ALLOW", source(principals=["default/kv"]))))
    assert step.says.endswith(
        "nothing allows spiffe://cluster.local/ns/shop/sa/web; AuthorizationPolicy shop/only allows others"
    )
    assert step.do == "allow the caller in an AuthorizationPolicy"


def test_an_allowance_is_named() -> None:
    answer = told("http://app:9080/", policy("yes", "ALLOW", source(serviceAccounts=["web"])))
    assert answer.answered
    assert receiver(answer).notes[-1] == "ns[shop]-policy[yes]-rule[0] allows it"


def test_hosts_paths_and_addresses_are_known_and_methods_and_headers_are_not() -> None:
    known = {"hosts": ["app"], "paths": ["/ok*"], "ports": ["9080"]}
    here = {"to": [{"operation": known}], **source(ipBlocks=["10.0.0.0/24"])}
    assert told("http://app:9080/ok?x", policy("one", "ALLOW", here)).answered
    assert told("http://app:9080/other", policy("one", "ALLOW", here)).ending is Ending.FORBIDDEN
    get = {"to": [{"operation": {"methods": ["GET"]}}]}
    for action, does in (("ALLOW", "may allow it"), ("DENY", "may deny it")):
        step = receiver(told("http://app:9080/", policy("one", action, get)))
        assert step.verdict is Verdict.DOUBTFUL
        assert f"{does}: that depends on the request's method or headers" in step.notes[-1]
    assert told("http://app:9080/", policy("one", "DENY", {**get, **source(principals=["default/kv"])})).answered


def test_a_rehearsal_is_told_and_stops_nothing() -> None:
    tried = replace(policy("try", "DENY", {}), annotations={"istio.io/dry-run": "true"}, created=NOON)
    answer = told("http://app:9080/", tried)
    assert answer.answered
    assert receiver(answer).notes[-1] == "a dry run would refuse it: ns[shop]-policy[try]-rule[0] denies it"


def test_past_the_own_proxy_a_caller_has_no_identity() -> None:
    permissive = demand("all", "PERMISSIVE")
    named = policy("one", "ALLOW", source(namespaces=["shop"]))
    answer = told("http://10.0.0.2:9080/", permissive, named)
    assert answer.ending is Ending.FORBIDDEN
    assert "nothing allows a caller without certificate" in "\n".join(answer.steps[-1].notes)
    assert told("http://10.0.0.2:9080/", permissive, policy("one", "ALLOW", {})).answered


def test_a_proxy_that_refused_its_newest_permissions_is_doubted() -> None:
    """It keeps older ones."""
    step = receiver(told("http://app:9080/", policy("no", "DENY", {}), refused="inbound|9080|http|deny"))
    assert step.verdict is Verdict.DOUBTFUL
    assert step.notes[-1] == "its proxy refused its newest permissions and keeps older ones: no such field"
