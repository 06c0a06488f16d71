"""When a workload may take calls: the decision alone."""

from dataclasses import replace

import pytest

from outrig.agent.admin import Upstream, read_application, read_listeners, read_statistics
from outrig.agent.readiness import Fitness, Listener, Observed, Verdict, judge
from outrig.wire.stream import State

OPEN = Listener("in:9080", inbound=True, active=True)
WARMING = replace(OPEN, name="in:9081", active=False)
REFUSED = Listener("out:9080", inbound=False, active=False, refused="cannot bind")
GOOD = Observed(running=True, workers_started=True, connected=True, configured=True, listeners=(OPEN,))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Observed(running=False), "Envoy is not running"),
        (replace(GOOD, configured=False), "Envoy waits for its configuration from the control plane"),
        (replace(GOOD, connected=False), "Envoy waits for its configuration from the control plane"),
        (replace(GOOD, workers_started=False), "Envoy waits for a part of its configuration"),
        (replace(GOOD, listeners=(OPEN, WARMING)), "listener in:9081 is not open yet"),
        (replace(GOOD, configured=False, listeners=(REFUSED,)), "Envoy refused listener out:9080: cannot bind"),
        (Observed(running=True, silent=True), "Envoy does not answer"),
        (replace(GOOD, fitness=Fitness(problem="GET /: status 500")), "GET /: status 500"),
        (replace(GOOD, fitness=Fitness(unproven="GET /: not tried yet")), "GET /: not tried yet"),
    ],
)
def test_a_starting_workload_says_what_it_waits_for(seen: Observed, reason: str) -> None:
    assert judge(State.STARTING, seen) == Verdict(State.STARTING, reason)


@pytest.mark.parametrize("before", [State.STARTING, State.READY, State.UNHEALTHY])
def test_all_good_is_ready(before: State) -> None:
    assert judge(before, GOOD) == Verdict(State.READY)


def test_a_workload_that_only_calls_needs_no_inbound_listener() -> None:
    assert judge(State.STARTING, replace(GOOD, listeners=())).state is State.READY


@pytest.mark.parametrize(
    "seen",
    [
        replace(GOOD, connected=False),
        replace(GOOD, listeners=(OPEN, WARMING)),
        replace(GOOD, listeners=(OPEN, REFUSED)),
        replace(GOOD, fitness=Fitness(unproven="a new probe: not tried yet")),
    ],
)
def test_a_ready_workload_stays_ready_without_control_plane_and_through_changes(seen: Observed) -> None:
    assert judge(State.READY, seen) == Verdict(State.READY)


@pytest.mark.parametrize(
    "seen",
    [
        Observed(running=False),
        Observed(running=True, silent=True),
        replace(GOOD, fitness=Fitness(problem="closed")),
        replace(GOOD, listeners=(WARMING,)),
    ],
)
def test_a_ready_workload_that_cannot_serve_is_unhealthy(seen: Observed) -> None:
    verdict = judge(State.READY, seen)
    assert verdict.state is State.UNHEALTHY
    assert verdict.reason


def test_an_unhealthy_workload_needs_its_configuration_again_but_no_connection() -> None:
    assert judge(State.UNHEALTHY, replace(GOOD, configured=False)).state is State.UNHEALTHY
    assert judge(State.UNHEALTHY, replace(GOOD, connected=False)).state is State.READY


def test_draining_is_final() -> None:
    assert judge(State.DRAINING, GOOD).state is State.DRAINING


def test_listeners_are_read_with_their_direction_and_their_refusal() -> None:
    dump = {
        "configs": [
            {"name": "a", "active_state": {"listener": {"traffic_direction": "INBOUND"}}},
            {"name": "b", "warming_state": {"listener": {"traffic_direction": "INBOUND"}}},
            {"name": "c", "error_state": {"details": "cannot\nbind"}},
            {"name": "d", "active_state": {"listener": {}}, "error_state": {"details": "new one refused"}},
        ]
    }
    assert list(read_listeners(dump)) == [
        Listener("a", inbound=True, active=True),
        Listener("b", inbound=True, active=False),
        Listener("c", inbound=False, active=False, refused="cannot bind"),
        Listener("d", inbound=False, active=True, refused="new one refused"),
    ]


def test_only_inbound_clusters_lead_to_the_application() -> None:
    def cluster(name: str, address: dict[str, object]) -> dict[str, object]:
        return {"name": name, "host_statuses": [{"address": address}]}

    document = {
        "cluster_statuses": [
            cluster("inbound|9080||", {"socket_address": {"address": "127.0.0.1", "port_value": 9080}}),
            cluster("inbound|9081||", {"pipe": {"path": "/run/app.sock"}}),
            cluster("outbound|9080||x", {"socket_address": {"address": "10.0.0.1", "port_value": 9080}}),
            {"name": "inbound|1||"},
        ]
    }
    assert list(read_application(document)) == [Upstream("127.0.0.1", 9080), Upstream("/run/app.sock", 0)]


@pytest.mark.parametrize("reader", [read_listeners, read_application, read_statistics])
def test_an_empty_answer_means_nothing_there(reader) -> None:  # type: ignore[no-untyped-def]
    assert list(reader({})) == []
