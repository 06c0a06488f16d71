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
from tests.mesh_making import NOON, dataplane, demand, document, group, make, mesh, service, sidecar, task, world_of
from tests.truth_table import permission, policy, source

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


def refused(*permissions: Resource) -> tuple[str, ...]:
    """What is said of permissions that look as if they allowed Dataplane `demo` to call `kv`, and do not."""
    demo = dataplane("demo", "10.0.1.1", inbound={"demo": 8080}, outbound={"kv": 6379})
    kv = dataplane("kv", "10.0.1.2", inbound={"kv": 6379})
    found = world_of(mesh(), demo, kv, *permissions).mesh_of(kv.key)
    question = Question(found.workloads[WorkloadId("dataplane/default/demo")], parse_call("http://127.0.0.1:6379"))
    answer = explain(question, Known(found, found.workloads))
    assert answer.ending is Ending.FORBIDDEN
    return receiver(answer).notes[2:]


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


ALL = {"kind": "Mesh"}
DEMO = {"kind": "MeshService", "name": "demo"}


def test_permissions_that_nearly_allow_a_refused_call_are_named() -> None:
    named = "MeshTrafficPermission default/p"
    would = f"{named} would allow it, but is"
    target = {"kind": "MeshService", "name": "kvv"}
    assert refused(permission("p", "Allow", of=DEMO, to=target)) == (
        f"{would} for kuma.io/service=kvv, which nobody has now; here it is kv",
    )
    target = {"kind": "MeshServiceSubset", "name": "kv", "tags": {"version": "v1"}}
    assert refused(permission("p", "Allow", of=DEMO, to=target)) == (f"{would} for version=v1, which nobody has now",)
    target = {"kind": "Dataplane", "name": "kv", "sectionName": "1"}
    assert refused(permission("p", "Allow", of=ALL, to=target)) == (f"{would} for inbound '1', and this is '6379'",)
    target = {"kind": "Dataplane", "name": "vk", "sectionName": "1"}
    assert refused(permission("p", "Allow", of=ALL, to=target)) == (
        f"{would} for dataplane=vk, which nobody has now; here it is kv",
    )
    shadow = replace(permission("p", "Allow", of=ALL), labels={"kuma.io/effect": "shadow"})
    assert refused(shadow) == (f"{would} a dry run",)
    misspelt = permission("p", "Allow", of={"kind": "MeshService", "name": "dmo"})
    assert refused(misspelt) == (f"{named} allows spiffe://default/dmo, which nobody is now",)
    subset = permission("p", "Allow", of={"kind": "MeshSubset", "tags": {"app": "nonesuch"}})
    assert refused(subset) == (f"{named} allows kuma://app/nonesuch, which nobody is now",)
    identity = [{"default": {"allow": [{"spiffeID": {"type": "Exact", "value": "spiffe://defualt/demo"}}]}}]
    written = {"type": "MeshTrafficPermission", "mesh": "default", "name": "p", "spec": {"rules": identity}}
    assert refused(document(written)) == (f"{named} allows spiffe://defualt/demo, which nobody is now",)


def test_permissions_that_have_nothing_to_do_with_a_refused_call_are_not() -> None:
    others = permission("kv", "Allow", of={"kind": "MeshService", "name": "kv"})
    elsewhere = permission("demo", "Allow", of=DEMO, to={"kind": "MeshService", "name": "demo"})
    denying = permission("no", "Deny", of=ALL, to={"kind": "MeshService", "name": "kvv"})
    another = permission("later", "Allow", of=ALL, to={"kind": "MeshService", "name": "payments"})
    assert refused(others, elsewhere, denying, another) == ()


def test_of_many_near_misses_the_nearest_are_named() -> None:
    far = [permission(f"a{n}", "Allow", of=DEMO, to={"kind": "MeshService", "name": f"k{n}"}) for n in range(5)]
    near = permission("z", "Allow", of=DEMO, to={"kind": "MeshService", "name": "kvv"})
    said = refused(*far, near)
    assert len(said) == 3
    assert said[0].startswith("MeshTrafficPermission default/z ")
