"""Delta xDS, rule by rule, without I/O."""

from collections.abc import Mapping

import pytest

from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, Encoded, TypeUrl
from outrig.xds.conversation import Conversation
from outrig.xds.subscription import Request, Response, blamed

Table = dict[TypeUrl, dict[str, Encoded]]


def table(versions: Mapping[TypeUrl, Mapping[str, str]]) -> Table:
    return {type_url: {n: Encoded(n, v, b"") for n, v in names.items()} for type_url, names in versions.items()}


class Stream:
    """A conversation and the snapshot it serves; requests and changes give what is sent in answer."""

    def __init__(self, versions: Mapping[TypeUrl, Mapping[str, str]]) -> None:
        self.conversation = Conversation()
        self.snapshot = table(versions)
        self.stamp = 1

    def ask(self, type_url: TypeUrl, *names: str, **versions: str) -> list[Response]:
        return self.hear(Request(type_url, subscribe=names, versions=versions))

    def hear(self, request: Request) -> list[Response]:
        self.conversation.receive(request)
        return self.sent()

    def ack(self, response: Response) -> list[Response]:
        return self.hear(Request(response.type_url, nonce=response.nonce))

    def nack(self, response: Response, error: str = "no") -> list[Response]:
        return self.hear(Request(response.type_url, nonce=response.nonce, error=error))

    def put(self, type_url: TypeUrl, name: str, version: str | None) -> list[Response]:
        """Change a resource (None: remove it) and mark it."""
        resources = self.snapshot.setdefault(type_url, {})
        if version is None:
            del resources[name]
        else:
            resources[name] = Encoded(name, version, b"")
        self.stamp += 1
        self.conversation.mark({type_url: {name}})
        return self.sent()

    def sent(self) -> list[Response]:
        responses = []
        while (response := self.conversation.next(self.snapshot, self.stamp)) is not None:
            responses.append(response)
        return responses

    def settle(self, responses: list[Response]) -> None:
        """Accept everything until nothing more comes."""
        while responses:
            responses = [more for response in responses for more in self.ack(response)]


def names(responses: list[Response]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Type, resources and removals of each, for reading."""
    return [
        (each.type_url.rpartition(".")[2], tuple(resource.name for resource in each.resources), each.removed)
        for each in responses
    ]


def settled_stream() -> Stream:
    """A client that has one listener, one route table and two clusters, all accepted."""
    stream = Stream(
        {CLUSTER: {"a": "1", "b": "1"}, ENDPOINTS: {"a": "1", "b": "1"}, LISTENER: {"l": "1"}, ROUTES: {"r": "1"}}
    )
    for type_url, subscribed in ((CLUSTER, ()), (ENDPOINTS, ("a", "b")), (LISTENER, ()), (ROUTES, ("r",))):
        stream.settle(stream.ask(type_url, *subscribed))
    assert stream.conversation.is_quiet(stream.snapshot)
    return stream


def test_an_empty_first_subscription_means_all_clusters_and_all_listeners() -> None:
    stream = Stream({CLUSTER: {"a": "1"}, LISTENER: {"l": "1"}})
    (clusters,) = stream.ask(CLUSTER)
    assert names([clusters]) == [("Cluster", ("a",), ())]
    stream.ack(clusters)
    assert names(stream.ask(LISTENER)) == [("Listener", ("l",), ())]


@pytest.mark.parametrize("type_url", [ENDPOINTS, ROUTES, SECRET, EXTENSION])
def test_an_empty_first_subscription_to_any_other_type_means_nothing(type_url: TypeUrl) -> None:
    assert Stream({type_url: {"a": "1"}}).ask(type_url) == []


def test_a_star_means_all_of_any_type() -> None:
    assert names(Stream({SECRET: {"s": "1"}}).ask(SECRET, "*")) == [("Secret", ("s",), ())]


def test_a_wildcard_is_answered_even_if_there_is_nothing() -> None:
    """An Envoy waits for the first answer before it goes on."""
    stream = Stream({})
    (response,) = stream.ask(CLUSTER)
    assert names([response]) == [("Cluster", (), ())]
    assert stream.ack(response) == []


def test_a_name_that_does_not_exist_is_answered_as_removed() -> None:
    assert names(Stream({}).ask(ENDPOINTS, "ghost")) == [("ClusterLoadAssignment", (), ("ghost",))]


def test_asking_again_for_a_name_is_answered_again() -> None:
    stream = Stream({ENDPOINTS: {"a": "1"}})
    stream.settle(stream.ask(ENDPOINTS, "a"))
    assert names(stream.hear(Request(ENDPOINTS, subscribe=("a",)))) == [("ClusterLoadAssignment", ("a",), ())]


def test_versions_that_are_current_are_not_sent_after_a_reconnect() -> None:
    stream = Stream({CLUSTER: {"a": "1"}, ENDPOINTS: {"a": "1", "b": "1"}})
    assert stream.ask(CLUSTER, a="1") == []
    assert names(stream.ask(ENDPOINTS, "a", "b", a="1")) == [("ClusterLoadAssignment", ("b",), ())]


def test_what_vanished_before_a_reconnect_is_removed() -> None:
    stream = Stream({CLUSTER: {"a": "1"}})
    assert names(stream.ask(CLUSTER, a="1", old="1")) == [("Cluster", (), ("old",))]


def test_a_change_nobody_subscribed_to_is_not_sent() -> None:
    stream = Stream({ENDPOINTS: {"a": "1", "b": "1"}})
    stream.settle(stream.ask(ENDPOINTS, "a"))
    assert stream.put(ENDPOINTS, "b", "2") == []


def test_a_mark_without_a_change_is_not_sent() -> None:
    stream = settled_stream()
    assert stream.put(ENDPOINTS, "a", "1") == []


def test_one_response_of_a_type_is_in_flight_and_newer_states_become_one() -> None:
    stream = Stream({ENDPOINTS: {"a": "1"}})
    (first,) = stream.ask(ENDPOINTS, "a")
    for version in "234":
        assert stream.put(ENDPOINTS, "a", version) == []
    (second,) = stream.ack(first)
    assert [resource.version for resource in second.resources] == ["4"]


def test_a_change_that_was_undone_while_in_flight_is_sent_as_it_is_now() -> None:
    stream = settled_stream()
    (first,) = stream.put(ENDPOINTS, "a", "2")
    stream.put(ENDPOINTS, "a", "1")
    assert [resource.version for response in stream.ack(first) for resource in response.resources] == ["1"]


def test_an_answer_to_another_response_is_none() -> None:
    stream = Stream({ENDPOINTS: {"a": "1"}})
    (first,) = stream.ask(ENDPOINTS, "a")
    stream.put(ENDPOINTS, "a", "2")
    assert stream.hear(Request(ENDPOINTS, nonce="77")) == []
    assert stream.ack(first) != []


def test_after_a_changed_cluster_its_load_assignment_is_sent_again() -> None:
    assert names(settled_stream().put(CLUSTER, "a", "2")) == [
        ("Cluster", ("a",), ()),
        ("ClusterLoadAssignment", ("a",), ()),
    ]


def test_load_assignments_in_flight_before_the_cluster_do_not_count() -> None:
    stream = settled_stream()
    (early,) = stream.put(ENDPOINTS, "a", "2")
    assert names(stream.put(CLUSTER, "a", "2")) == [("Cluster", ("a",), ())]
    assert names(stream.ack(early)) == [("ClusterLoadAssignment", ("a",), ())]


def test_listeners_and_routes_wait_for_the_clusters_answer() -> None:
    stream = settled_stream()
    cluster, endpoints = stream.put(CLUSTER, "a", "2")
    assert stream.put(ROUTES, "r", "2") == stream.put(LISTENER, "l", "2") == []
    assert stream.ack(endpoints) == []
    assert names(stream.ack(cluster)) == [("Listener", ("l",), ()), ("RouteConfiguration", ("r",), ())]


def test_a_refused_cluster_does_not_hold_routes_for_ever() -> None:
    stream = settled_stream()
    cluster, _ = stream.put(CLUSTER, "a", "2")
    stream.put(ROUTES, "r", "2")
    assert names(stream.nack(cluster)) == [("RouteConfiguration", ("r",), ())]


def test_permissions_and_secrets_wait_for_nothing() -> None:
    stream = settled_stream()
    stream.ask(SECRET, "s")
    stream.put(CLUSTER, "a", "2")
    assert names(stream.ask(EXTENSION, "rbac")) == [("TypedExtensionConfig", (), ("rbac",))]


def test_a_cluster_goes_when_the_routes_that_used_it_are_accepted_otherwise() -> None:
    stream = settled_stream()
    (routes,) = stream.put(ROUTES, "r", "2")
    assert stream.put(CLUSTER, "b", None) == stream.put(ENDPOINTS, "b", None) == []
    (removal,) = stream.ack(routes)
    assert names([removal]) == [("Cluster", (), ("b",))]
    assert names(stream.ack(removal)) == [("ClusterLoadAssignment", (), ("b",))]


def test_a_cluster_stays_while_a_refused_route_may_use_it() -> None:
    stream = settled_stream()
    (routes,) = stream.put(ROUTES, "r", "2")
    stream.put(CLUSTER, "b", None)
    assert stream.nack(routes) == []
    (routes,) = stream.put(ROUTES, "r", "3")
    assert names(stream.ack(routes)) == [("Cluster", (), ("b",))]


def test_after_a_reconnect_a_cluster_waits_until_routes_have_been_asked_for() -> None:
    stream = Stream({CLUSTER: {"a": "1"}, LISTENER: {"l": "1"}, ROUTES: {"r": "2"}})
    assert stream.ask(CLUSTER, a="1", b="1") == []
    assert stream.ask(LISTENER, l="1") == []
    (routes,) = stream.ask(ROUTES, "r", r="1")
    assert names([routes]) == [("RouteConfiguration", ("r",), ())]
    assert names(stream.ack(routes)) == [("Cluster", (), ("b",))]


def test_a_listener_that_goes_makes_room_for_the_one_that_comes_in_the_same_response() -> None:
    stream = settled_stream()
    stream.snapshot[LISTENER] = table({LISTENER: {"new": "1"}})[LISTENER]
    stream.conversation.mark({LISTENER: {"l", "new"}})
    assert names(stream.sent()) == [("Listener", ("new",), ("l",))]


def test_a_refused_version_is_not_sent_again_until_it_changes() -> None:
    stream = settled_stream()
    (bad,) = stream.put(ROUTES, "r", "2")
    assert stream.nack(bad, "no such thing") == []
    assert [(each.name, each.version, each.reason) for each in stream.conversation.rejections] == [
        ("r", "2", "no such thing")
    ]
    assert stream.put(ROUTES, "r", "2") == []
    (good,) = stream.put(ROUTES, "r", "3")
    stream.ack(good)
    assert stream.conversation.rejections == ()


def test_only_a_listener_that_could_not_be_bound_is_sent_again_unchanged_and_only_when_it_is_time() -> None:
    stream = settled_stream()
    taken = "Error adding/updating listener(s) l: cannot bind '10.0.0.1:80': Address already in use"
    (route,) = stream.put(ROUTES, "r", "2")
    stream.nack(route, "no such thing")
    assert not stream.conversation.is_blocked
    (bad,) = stream.put(LISTENER, "l", "2")
    assert stream.nack(bad, taken) == []
    assert stream.conversation.is_blocked
    stream.conversation.retry()
    (again,) = stream.sent()
    assert names([again]) == [("Listener", ("l",), ())]
    stream.ack(again)
    assert not stream.conversation.is_blocked
    stream.conversation.retry()
    assert stream.sent() == []


def test_going_back_to_the_last_good_version_needs_no_response() -> None:
    stream = settled_stream()
    (bad,) = stream.put(ROUTES, "r", "2")
    stream.nack(bad)
    assert stream.put(ROUTES, "r", "1") == []
    assert stream.conversation.rejections == ()


def test_of_a_response_refused_in_part_the_rest_counts_as_accepted() -> None:
    stream = Stream({CLUSTER: {"a": "1", "b": "1", "c": "1"}})
    (response,) = stream.ask(CLUSTER)
    assert stream.nack(response, "Error adding/updating cluster(s) b: bad address") == []
    assert [each.name for each in stream.conversation.rejections] == ["b"]
    assert names(stream.put(CLUSTER, "a", "2")) == [("Cluster", ("a",), ())]


def test_a_response_refused_as_a_whole_is_taken_apart_to_find_the_bad_one() -> None:
    stream = Stream({ROUTES: {"a": "1", "b": "1", "c": "1"}})
    (response,) = stream.ask(ROUTES, "a", "b", "c")
    (alone,) = stream.nack(response, "a value is out of range")
    assert names([alone]) == [("RouteConfiguration", ("a",), ())]
    (alone,) = stream.ack(alone)
    assert names([alone]) == [("RouteConfiguration", ("b",), ())]
    (alone,) = stream.nack(alone, "a value is out of range")
    assert names([alone]) == [("RouteConfiguration", ("c",), ())]
    assert stream.ack(alone) == []
    assert [each.name for each in stream.conversation.rejections] == ["b"]


def test_unsubscribing_ends_updates() -> None:
    stream = settled_stream()
    assert stream.hear(Request(ENDPOINTS, unsubscribe=("a",))) == []
    assert stream.put(ENDPOINTS, "a", "2") == []
    assert names(stream.put(ENDPOINTS, "b", "2")) == [("ClusterLoadAssignment", ("b",), ())]


def test_unsubscribing_a_name_that_the_wildcard_covers_is_answered_with_it() -> None:
    """The client may have dropped it: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol."""
    stream = Stream({CLUSTER: {"a": "1"}})
    stream.settle(stream.ask(CLUSTER, "*", "a"))
    assert names(stream.hear(Request(CLUSTER, unsubscribe=("a",)))) == [("Cluster", ("a",), ())]


def test_an_unknown_type_is_not_served_and_changes_nothing() -> None:
    stream = settled_stream()
    assert not stream.conversation.receive(
        Request(TypeUrl("type.googleapis.com/google.protobuf.Empty"), subscribe=("x",))
    )
    assert stream.sent() == []


def test_a_state_is_accepted_when_its_load_assignments_are() -> None:
    stream = settled_stream()
    assert stream.conversation.accepted == stream.stamp
    (response,) = stream.put(ENDPOINTS, "a", "2")
    assert stream.conversation.accepted < stream.stamp
    stream.ack(response)
    assert stream.conversation.accepted == stream.stamp


def test_a_state_is_accepted_when_the_secrets_are_that_were_asked_for() -> None:
    stream = Stream({CLUSTER: {"a": "1"}, ENDPOINTS: {"a": "1"}, SECRET: {"trust": "1"}})
    stream.settle([*stream.ask(CLUSTER), *stream.ask(ENDPOINTS, "a")])
    assert stream.conversation.accepted == stream.stamp  # it has no use for secrets
    stream.settle(stream.ask(SECRET, "trust"))
    (newer,) = stream.put(SECRET, "trust", "2")
    assert stream.conversation.accepted < stream.stamp
    stream.ack(newer)
    assert stream.conversation.accepted == stream.stamp


def test_a_refused_load_assignment_is_not_accepted() -> None:
    stream = settled_stream()
    (response,) = stream.put(ENDPOINTS, "a", "2")
    before = stream.conversation.accepted
    stream.conversation.receive(Request(ENDPOINTS, nonce=response.nonce, error="no"))
    assert stream.conversation.accepted == before


def test_a_state_is_accepted_though_newer_ones_keep_coming() -> None:
    stream = settled_stream()
    (response,) = stream.put(ENDPOINTS, "a", "2")
    reached = stream.stamp
    for version in "345":
        stream.put(ENDPOINTS, "a", version)
        (response,) = stream.ack(response)
        assert stream.conversation.accepted >= reached
        reached = stream.stamp


@pytest.mark.parametrize(
    ("error", "names", "expected"),
    [
        ("Error adding/updating listener(s) in: cannot bind '10.0.0.1:9080': Address already in use", "in out", "in"),
        ("Error adding/updating listener(s) in: cannot bind\nout: cannot bind", "in out", "in out"),
        ("Error adding/updating cluster(s) a.b|c: x, d: y", "a.b|c d e", "a.b|c d"),
        ("Error adding/updating cluster(s) web-2: x", "web web-2", "web-2"),
        ("Proto constraint validation failed (field: web: value is required)", "web", ""),
        ("", "web", ""),
    ],
)
def test_a_refusal_blames_whom_envoy_names(error: str, names: str, expected: str) -> None:
    assert blamed(error, names.split()) == set(expected.split())
