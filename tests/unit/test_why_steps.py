"""`explain`, step by step: what each says of a mesh, where it stops, and where it doubts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from outrig.compile import compile_meshes
from outrig.dialects.readiness import ReadyReason
from outrig.model import WorkloadId
from outrig.resources import Key, Resource
from outrig.snapshot import CLUSTER, LISTENER, ROUTES
from outrig.why import (
    Ending,
    Explanation,
    Known,
    Observation,
    Observed,
    Part,
    Question,
    Refusal,
    Step,
    Verdict,
    explain,
    parse_call,
    parse_via,
)
from tests.mesh_making import KINDS, demand, document, group, make, namespace, service, sidecar, task, trust

WEB = WorkloadId("shop/w1")
APP = WorkloadId("shop/a1")
PLAIN = (
    sidecar("all"),
    group("web"),
    group("app"),
    service("app"),
    task("w1", "web", "10.0.0.1"),
    task("a1", "app", "10.0.0.2"),
)
CONNECTED = Observed(ready=Observation(True, "Ready"), agent=Observation(True, "AgentEstablishedConnection"))


def told(
    target: str,
    *resources: Resource,
    via: str = "",
    observed: Mapping[WorkloadId, Observed] | None = None,
    trusts: Iterable[Resource] = (trust(),),
) -> Explanation:
    """What `shop/w1` is told, in a mesh of these."""
    mesh = compile_meshes((*trusts, *(resources or PLAIN)), KINDS)["default"]
    workloads = {one.id: one for one in mesh.workloads}
    known = Known(mesh, workloads, {WEB: CONNECTED, **(observed or {})})
    return explain(Question(workloads[WEB], parse_call(target), parse_via(via)), known)


def without(name: str, *more: Resource) -> tuple[Resource, ...]:
    """The plain mesh without the resources of that name, and with others."""
    return (*(one for one in PLAIN if one.key.name != name), *more)


def step(answer: Explanation, part: Part) -> Step:
    """One step."""
    (found,) = (one for one in answer.steps if one.part is part)
    return found


def text(found: Step) -> str:
    """All it says."""
    return "\n".join((found.says, *found.notes, found.do))


def test_a_call_that_nothing_stops_is_told_from_end_to_end() -> None:
    answer = told("http://app:9080/x")
    assert [one.part for one in answer.steps] == list(Part)
    assert {one.verdict for one in answer.steps} == {Verdict.OK}
    assert (answer.ending, answer.answered) == (Ending.ANSWERED, True)
    assert answer.summary == "would be answered by shop/a1 (10.0.0.2:9080)"
    assert [one.envoy for one in answer.steps] == [
        "shop/w1",
        "127.0.0.2_9080",
        "9080 / app.shop.svc.cluster.local:9080",
        "outbound|9080||app.shop.svc.cluster.local",
        "outbound|9080||app.shop.svc.cluster.local",
        "10.0.0.2_9080",
        "inbound|9080||",
    ]


def test_a_caller_without_a_sidecar_listens_on_nothing() -> None:
    answer = told("http://app:9080", *without("all"))
    assert answer.ending is Ending.REFUSED
    assert "no Sidecar chooses this workload" in text(answer.steps[0])


def test_a_mesh_without_an_authority_serves_nobody() -> None:
    answer = told("http://app:9080", trusts=())
    assert answer.ending is Ending.REFUSED
    assert "no certificate authority" in text(answer.steps[0])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"agent": Observation(False, "AgentLostConnection", "gone")}, "its agent is away (AgentLostConnection: gone)"),
        ({"programmed": Observation(None, "ProxyDisconnected")}, "does not have all it was given (ProxyDisconnected)"),
        ({"refused": (Refusal(CLUSTER, "x", "bad"),)}, "its proxy refuses x: bad"),
    ],
)
def test_a_caller_whose_proxy_may_be_out_of_date_is_doubtful(changed: Mapping[str, Any], says: str) -> None:
    answer = told("http://app:9080", observed={WEB: replace(CONNECTED, **changed)})
    assert (answer.steps[0].verdict, answer.ending) == (Verdict.DOUBTFUL, Ending.ANSWERED)
    assert says in text(answer.steps[0])
    assert answer.summary.endswith(", but see step 1")


def test_a_caller_that_is_not_ready_can_call() -> None:
    unready = replace(CONNECTED, ready=Observation(False, "Unhealthy", "no answer"))
    answer = told("http://app:9080", observed={WEB: unready})
    assert answer.steps[0].verdict is Verdict.OK
    assert "not ready itself (Unhealthy: no answer)" in text(answer.steps[0])


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"app": "web"}, "Sidecar shop/own shapes its proxy: it chooses app=web"),
        ({}, "Sidecar shop/own shapes its proxy: the default of namespace shop"),
    ],
)
def test_the_caller_step_says_why_this_sidecar(spec: Mapping[str, str], says: str) -> None:
    assert says in told("http://app:9080", *without("all", sidecar("own", **spec))).steps[0].notes


def test_the_default_of_the_whole_mesh_is_told_as_such() -> None:
    answer = told("http://app:9080", *without("all", sidecar("own", "istio-system")))
    assert "the default of the whole mesh, as shop has none" in text(answer.steps[0])


@pytest.mark.parametrize(
    ("type_url", "name", "part", "ending"),
    [
        (ROUTES, "9080", Part.ROUTE, Ending.ANSWERED),
        (CLUSTER, "outbound|9080||app.shop.svc.cluster.local", Part.CLUSTER, Ending.ANSWERED),
        (LISTENER, "127.0.0.2_9080", Part.LISTENER, Ending.ANSWERED),
    ],
)
def test_what_the_proxy_refused_is_doubtful_where_it_matters(
    type_url: Any, name: str, part: Part, ending: Ending
) -> None:
    observed = {WEB: replace(CONNECTED, refused=(Refusal(type_url, name, "because of that"),))}
    answer = told("http://app:9080", observed=observed)
    assert (step(answer, part).verdict, answer.ending) == (Verdict.DOUBTFUL, ending)
    assert "because of that" in text(step(answer, part))


def two_binds(*more: Resource) -> tuple[Resource, ...]:
    """The caller has two listeners with one port: the second leads to another service."""
    first = {"bind": "127.0.0.2", "port": {"number": 9080}, "hosts": ["./app.shop.svc.cluster.local"]}
    second = {"bind": "127.0.0.3", "port": {"number": 9080}, "hosts": ["./other.shop.svc.cluster.local"]}
    own = sidecar("own", app="web", egress=[first, second])
    return (*PLAIN, own, group("other"), service("other"), task("o1", "other", "10.0.0.3"), *more)


def test_of_several_listeners_the_one_that_leads_there_is_taken_and_said() -> None:
    answer = told("http://other:9080", *two_binds())
    assert step(answer, Part.LISTENER).envoy == "127.0.0.3_9080"
    assert "2 listeners have port 9080: 127.0.0.2_9080, 127.0.0.3_9080" in text(step(answer, Part.LISTENER))
    assert answer.answered


def test_via_says_which_listener_and_the_route_step_where_it_would_be() -> None:
    answer = told("http://other:9080", *two_binds(), via="127.0.0.2:9080")
    assert answer.ending is Ending.NO_HOST
    assert "Service shop/other is imported by egress[1] of Sidecar shop/own only" in text(step(answer, Part.ROUTE))


def test_a_listener_of_bytes_leads_to_one_service_whatever_was_called() -> None:
    out = {"bind": "127.0.0.2", "port": {"number": 9080, "protocol": "TCP"}, "hosts": ["./app.shop.svc.cluster.local"]}
    answer = told("tcp://other:9080", *PLAIN, sidecar("own", app="web", egress=[out]), service("other"))
    assert (step(answer, Part.ROUTE).verdict, answer.ending) == (Verdict.DOUBTFUL, Ending.ANSWERED)
    assert "every connection goes to app.shop.svc.cluster.local" in text(step(answer, Part.ROUTE))
    named = told("tcp://app:9080", *PLAIN, sidecar("own", app="web", egress=[out]))
    assert step(named, Part.ROUTE).verdict is Verdict.OK


def test_an_address_that_is_taken_is_said_where_nothing_listens() -> None:
    own = sidecar("own", app="web", egress=[{"bind": "127.0.0.1", "port": {"number": 9080}, "hosts": ["./*"]}])
    answer = told("http://app:9080", *PLAIN, own)
    assert answer.ending is Ending.REFUSED
    assert "127.0.0.1:9080 is taken by the application of ingress[0]" in text(step(answer, Part.LISTENER))


def test_a_service_that_is_hidden_by_another_of_its_host_is_said_to_be() -> None:
    def entry(space: str, port: int) -> Resource:
        spec = {
            "hosts": ["api.test"],
            "ports": [{"number": port, "name": "http", "protocol": "HTTP"}],
            "resolution": "STATIC",
            "endpoints": [{"address": "10.9.9.9"}],
        }
        return make("ServiceEntry", "api", space, spec)

    own = sidecar("own", app="web", egress=[{"bind": "127.0.0.2", "port": {"number": 9080}, "hosts": ["*/*"]}])
    answer = told("http://api.test:9080", *PLAIN, own, entry("a", 80), entry("b", 9080))
    assert answer.ending is Ending.NO_HOST
    assert "ServiceEntry b/api is hidden: ServiceEntry a/api has the host api.test" in text(step(answer, Part.ROUTE))


def test_a_service_without_an_export_says_whom_it_is_exported_to() -> None:
    metadata = {"name": "app", "namespace": "bank", "annotations": {"networking.istio.io/exportTo": "~"}}
    hidden = document({"kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 9080, "name": "http"}]}})
    answer = told("http://app.bank:9080", *PLAIN, hidden)
    assert "Service bank/app is exported to nobody" in text(step(answer, Part.ROUTE))


def test_who_exports_a_host_too_narrowly_is_told_the_field_that_its_kind_has() -> None:
    ports = [{"number": 9080, "name": "http", "protocol": "HTTP"}]
    spec = {"hosts": ["api.example.com"], "ports": ports, "resolution": "DNS", "exportTo": ["."]}
    hidden = make("ServiceEntry", "api", "bank", spec)
    answer = step(told("http://api.example.com:9080", *PLAIN, hidden), Part.ROUTE)
    assert (answer.do, "is exported to bank" in text(answer)) == ("add shop to its exportTo", True)


@pytest.mark.parametrize(
    ("target", "ending", "says"),
    [
        ("http://127.0.0.1:9080", Ending.ANSWERED, "is the application itself"),
        ("http://127.0.0.9:9080", Ending.REFUSED, "nothing of the proxy listens at 127.0.0.9:9080"),
        ("http://10.0.0.2:9080", Ending.CUT, "STRICT, the default without a PeerAuthentication"),
        ("http://10.0.0.2:1", Ending.NOT_KNOWN, "whose proxy does not listen there"),
        ("http://192.0.2.1:443", Ending.NOT_KNOWN, "no workload's of the mesh"),
        ("http://10.0.0.9:80", Ending.NOT_KNOWN, "that of shop/machine, which has no proxy"),
    ],
)
def test_a_call_past_the_proxy_is_told_as_far_as_it_is_known(target: str, ending: Ending, says: str) -> None:
    machine = make("WorkloadEntry", "machine", "shop", {"address": "10.0.0.9"}, app="machine")
    answer = told(target, *PLAIN, machine)
    assert answer.ending is ending
    assert says in text(answer.steps[-1])


def test_endpoints_that_take_the_call_and_some_that_do_not_are_doubtful() -> None:
    deaf = sidecar("deaf", app="odd", ingress=[], egress=[])
    odd = make("Service", "both", "shop", {"selector": {"tier": "x"}, "ports": [{"port": 9080, "name": "http"}]})
    tasks = [task("a1", "app", "10.0.0.2", labels={"tier": "x"}), task("d1", "odd", "10.0.0.3", labels={"tier": "x"})]
    answer = told("http://both:9080", *without("a1", *tasks, deaf, odd, group("odd")))
    assert (step(answer, Part.RECEIVER).verdict, answer.ending) == (Verdict.DOUBTFUL, Ending.ANSWERED)
    assert "the proxy of shop/d1 does not listen at 10.0.0.3:9080" in text(step(answer, Part.RECEIVER))
    assert answer.summary == "would be answered by shop/a1 (10.0.0.2:9080), but see step 6"


def test_a_receiver_whose_proxy_refused_its_listener_is_not_reached() -> None:
    refused = Observed(refused=(Refusal(LISTENER, "10.0.0.2_9080", "cannot bind"),))
    answer = told("http://app:9080", observed={APP: refused})
    assert answer.ending is Ending.NOT_REACHED
    assert "its proxy refused this listener" in text(step(answer, Part.RECEIVER))


@pytest.mark.parametrize(
    ("mode", "ending", "says"),
    [
        ("STRICT", Ending.NOT_REACHED, "TLS with ALPN mesh, h2, which none of its filter chains takes"),
        ("PERMISSIVE", Ending.NOT_REACHED, "TLS with ALPN mesh, h2, which is handed on to the application unopened"),
        ("DISABLE", Ending.GARBLED, "HTTP/2, which is handed on as bytes"),
    ],
)
def test_a_service_of_requests_before_an_ingress_of_bytes_is_stopped(mode: str, ending: Ending, says: str) -> None:
    port = {"number": 9080, "name": "main", "protocol": "TCP"}
    taken = [{"port": port, "defaultEndpoint": "127.0.0.1:9080"}]
    answer = told("http://app:9080", *PLAIN, sidecar("bytes", app="app", ingress=taken), demand("mode", mode))
    assert answer.ending is ending
    assert says in text(step(answer, Part.RECEIVER))


def test_an_endpoint_says_who_demands_what_and_what_the_caller_shows() -> None:
    answer = told("http://app:9080", *PLAIN, demand("relaxed", "PERMISSIVE"))
    receiver = step(answer, Part.RECEIVER)
    assert receiver.resource == "PeerAuthentication shop/relaxed"
    assert "PERMISSIVE, says PeerAuthentication shop/relaxed" in text(receiver)
    assert "the caller shows spiffe://cluster.local/ns/shop/sa/web" in receiver.notes


def test_many_endpoints_are_counted_not_all_listed() -> None:
    many = [task(f"m{number}", "app", f"10.0.1.{number}") for number in range(1, 31)]
    answer = told("http://app:9080", *PLAIN, *many)
    endpoints = step(answer, Part.ENDPOINTS)
    assert endpoints.says == "31 endpoints"
    assert (len(endpoints.notes), endpoints.notes[-1]) == (11, "… and 21 more")
    assert "and 30 more like it" in step(answer, Part.RECEIVER).notes
    assert answer.summary.startswith("would be answered by one of 31: ")


def test_endpoints_of_the_own_zone_are_chosen_and_others_told_of() -> None:
    near = make(
        "Service",
        "app",
        "shop",
        {"selector": {"app": "app"}, "ports": [{"port": 9080, "name": "http"}], "trafficDistribution": "PreferClose"},
    )
    west = [task("w1", "web", "10.0.0.1", locality="eu/a"), task("a1", "app", "10.0.0.2", locality="eu/b")]
    answer = told(
        "http://app:9080", sidecar("all"), group("app"), near, *west, task("a2", "app", "10.0.0.4", locality="eu/a")
    )
    assert answer.summary == "would be answered by shop/a2 (10.0.0.4:9080)"
    assert any("10.0.0.2:9080 ready" in note and "priority 0" in note for note in step(answer, Part.ENDPOINTS).notes)


def test_a_workload_whose_agent_said_why_it_is_not_ready_is_quoted() -> None:
    unready = without("a1", task("a1", "app", "10.0.0.2", reason=ReadyReason.UNHEALTHY))
    quoted = Observed(ready=Observation(False, "Unhealthy", "nothing accepts on 9080"))
    answer = told("http://app:9080", *unready, observed={APP: quoted})
    assert answer.ending is Ending.NO_ENDPOINT
    assert "shop/a1 (10.0.0.2) is not ready: Unhealthy: nothing accepts on 9080" in text(step(answer, Part.ENDPOINTS))


@pytest.mark.parametrize(("reason", "tells"), [("Starting", True), ("Unhealthy", True), ("Disconnected", False)])
def test_where_a_probe_may_be_wrong_it_is_said_how_a_corrected_one_reaches_who_runs(reason: str, tells: bool) -> None:
    unready = without("a1", task("a1", "app", "10.0.0.2", reason=ReadyReason.UNHEALTHY))
    observed = Observed(ready=Observation(False, reason, "GET /healthy: 404"), group="app", task="0123456789")
    answer = told("http://app:9080", *unready, observed={APP: observed})
    do = step(answer, Part.ENDPOINTS).do
    assert ("correct the WorkloadGroup and `kubectl delete war -n shop a1`" in do) is tells
    assert "see the log of its task" in do


def test_a_service_of_another_mesh_is_none() -> None:
    other = (namespace("far", "second"), service("app", "far"))
    answer = told("http://app.far:9080", *PLAIN, *other, trusts=(trust(), trust("second", "second.test")))
    assert "no service of the mesh is called 'app.far'" in text(step(answer, Part.ROUTE))


def test_an_unknown_host_may_leave_by_the_egress_proxy() -> None:
    way = {"mode": "ALLOW_ANY", "egressProxy": {"host": "app.shop.svc.cluster.local", "port": {"number": 9080}}}
    answer = told("http://example.test:9080", *PLAIN, sidecar("own", app="web", outboundTrafficPolicy=way))
    assert "no service here has the host 'example.test': it is let out" in text(step(answer, Part.ROUTE))
    assert answer.answered


def test_a_name_that_two_services_claim_says_which_is_not_reached_by_it() -> None:
    ports = [{"port": 9080, "name": "http"}]
    one, two = (make("Service", name, "shop", {"clusterIP": "10.5.5.5", "ports": ports}) for name in ("one", "two"))
    route = step(told("http://10.5.5.5:9080", *PLAIN, one, two, via="127.0.0.2:9080"), Part.ROUTE)
    assert route.resource == "Service shop/one"
    assert "'10.5.5.5' leads to one.shop.svc.cluster.local, not to two.shop.svc.cluster.local" in route.notes


def test_an_ipv6_address_of_a_service_is_a_name_like_others() -> None:
    spec = {"clusterIP": "fd00::5", "selector": {"app": "app"}, "ports": [{"port": 9080, "name": "http"}]}
    addressed = make("Service", "six", "shop", spec)
    assert told("http://[fd00::5]:9080/", *PLAIN, addressed, via="127.0.0.2:9080").answered
    elsewhere = told("http://[fd00::5]:80/", *PLAIN, addressed, via="127.0.0.2:80")
    assert elsewhere.ending is Ending.REFUSED


def test_a_step_names_the_resource_behind_it() -> None:
    assert step(told("http://app:9080"), Part.ENDPOINTS).resource == str(Key("", "Service", "", "shop", "app"))
