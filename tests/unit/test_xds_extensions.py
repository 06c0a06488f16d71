"""Extensions of filters on a delta xDS stream: asked for by name, and gone only after the listener that names them."""

from outrig.snapshot import CLUSTER, EXTENSION, LISTENER, Encoded, Snapshot, TypeUrl
from outrig.xds.conversation import Conversation
from outrig.xds.subscription import Request, Response


def resource(name: str, version: str = "1") -> Encoded:
    return Encoded(name, version, f"{name}@{version}".encode())


def snapshot(**versions: str) -> Snapshot:
    """A listener, unless `listener` is empty, and extensions."""
    listener = versions.pop("listener", "1")
    return {
        CLUSTER: {},
        EXTENSION: {name: resource(name, version) for name, version in versions.items()},
        LISTENER: {"in": resource("in", listener)} if listener else {},
    }


class Client:
    """Speaks as Envoy does."""

    def __init__(self, there: Snapshot) -> None:
        self.talk, self.there, self.stamp = Conversation(), there, 0
        for type_url in (CLUSTER, LISTENER):
            self.talk.receive(Request(type_url))
            self.answer()

    def ask(self, *names: str, held: dict[str, str] | None = None) -> None:
        self.talk.receive(Request(EXTENSION, subscribe=names, versions=held or {}))

    def change(self, there: Snapshot, names: dict[TypeUrl, list[str]]) -> None:
        self.there, self.stamp = there, self.stamp + 1
        self.talk.mark(names)

    def answer(self, error: str | None = None) -> list[Response]:
        """Take all there is, and accept it."""
        taken = []
        while response := self.talk.next(self.there, self.stamp):
            taken.append(response)
            self.talk.receive(Request(response.type_url, nonce=response.nonce, error=error))
        return taken

    def told(self) -> list[tuple[TypeUrl, list[str], list[str]]]:
        return [(r.type_url, [f"{e.name}@{e.version}" for e in r.resources], list(r.removed)) for r in self.answer()]


def test_they_are_sent_by_name_as_the_listener_asks_for_them() -> None:
    client = Client(snapshot(a="1", b="1"))
    assert not client.talk.is_quiet(client.there)
    client.ask("a")
    assert client.told() == [(EXTENSION, ["a@1"], [])]
    assert not client.talk.is_quiet(client.there)
    client.ask("b")
    assert client.told() == [(EXTENSION, ["b@1"], [])]
    assert client.talk.is_quiet(client.there)


def test_a_change_sends_that_one_and_nothing_else() -> None:
    client = Client(snapshot(a="1", b="1"))
    client.ask("a", "b")
    client.answer()
    client.change(snapshot(a="2", b="1"), {EXTENSION: ["a"]})
    assert client.told() == [(EXTENSION, ["a@2"], [])]
    client.change(snapshot(a="2", b="1"), {EXTENSION: ["a", "b"]})
    assert client.told() == []


def test_a_name_that_does_not_exist_is_answered_so() -> None:
    client = Client(snapshot())
    client.ask("x")
    assert client.told() == [(EXTENSION, [], ["x"])]
    client.change(snapshot(x="1"), {EXTENSION: ["x"]})
    assert client.told() == [(EXTENSION, ["x@1"], [])]


def test_a_reconnect_that_has_them_is_told_what_changed() -> None:
    client = Client(snapshot(a="2", b="1"))
    client.ask("a", "b", held={"a": "1", "b": "1"})
    assert client.told() == [(EXTENSION, ["a@2"], [])]


def test_they_go_after_the_listener_that_used_them() -> None:
    client = Client(snapshot(a="1"))
    client.ask("a")
    client.answer()
    client.change(snapshot(listener=""), {EXTENSION: ["a"], LISTENER: ["in"]})
    assert client.told() == [(LISTENER, [], ["in"]), (EXTENSION, [], ["a"])]


def test_one_that_is_refused_leaves_the_last_good_one_and_is_told_of() -> None:
    client = Client(snapshot(a="1"))
    client.ask("a")
    client.answer()
    client.change(snapshot(a="2"), {EXTENSION: ["a"]})
    client.answer("no such field")
    assert [(one.name, one.version, one.reason) for one in client.talk.rejections] == [("a", "2", "no such field")]
    client.change(snapshot(a="3"), {EXTENSION: ["a"]})
    assert client.told() == [(EXTENSION, ["a@3"], [])]
    assert client.talk.rejections == ()
