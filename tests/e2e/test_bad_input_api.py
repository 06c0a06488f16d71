"""Bad input at the API: refused in words, nothing of it applied, and the control plane serves on."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from outrig.ca.authority import new_authority
from tests.attacks.scene import AwsServer
from tests.e2e.bad_input import (
    GUIDE,
    Answer,
    ControlPlane,
    Member,
    control_plane,
    eventually,
    exchange,
    foreign_client,
    joined,
    read_answer,
    unhurt,
    written,
)

pytestmark = pytest.mark.slow

ACCOUNTS = "/api/v1/namespaces/bookinfo/serviceaccounts"
GROUPS = "/apis/networking.istio.io/v1/namespaces/bookinfo/workloadgroups"
POLICIES = "/apis/authorization.onboarding.tetrate.io/v1alpha1/namespaces/bookinfo/onboardingpolicies"
RIGHT_AFTER_ALL = {"x": {"label"}, "{'a': {}}": {"template"}, "[]": {"owners", "finalizers"}}
WRONG: tuple[object, ...] = (1, "x", [], True, 1.5, "a" * 300, [[]], {"a": {}})


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A control plane with the guide's documents, that one task has joined."""
    directory = tmp_path_factory.mktemp("api")
    aws = AwsServer()
    try:
        with control_plane(directory / "cp", aws, loopback_is_admin="true") as plane:
            assert plane.kubectl("apply", "-f", "-", stdin=GUIDE).returncode == 0
            yield joined(plane, aws.task(aws.role("ratings")), directory)
    finally:
        aws.close()


@pytest.fixture
def plane(member: Member) -> Iterator[ControlPlane]:
    """That control plane, which no test may hurt."""
    with unhurt(member.plane):
        yield member.plane


def refused(answer: Answer, *statuses: int) -> str:
    """What a Kubernetes Status of one of these codes says."""
    assert answer.status in statuses, answer
    assert answer.json["kind"] == "Status"
    assert answer.json["code"] == answer.status
    return answer.message


def account(**metadata: object) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}).encode()


def group(**changes: object) -> bytes:
    sound = {"metadata": {"name": "new"}, "spec": {"template": {}}}
    return json.dumps({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup", **sound, **changes}).encode()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\x00\xff{", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"null", "must be one object"),
        (b'{"metadata":{"name":"\xff"}}', "not valid JSON"),
        (b'{"metadata":{"name":"\\ud800"}}', "valid Unicode"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
        (b'{"a":' + b"9" * 6000 + b"}", "not valid JSON"),
        (b'{"a":1e999}', "finite"),
    ],
    ids=range(9),
)
def test_a_body_that_is_not_one_object_is_refused(plane: ControlPlane, body: bytes, says: str) -> None:
    assert says in refused(plane.api("POST", ACCOUNTS, body), 400)


@pytest.mark.parametrize(
    "body", [b"a: &a [x]\nb: *a", b"[" * 60_000, b"- " * 30_000, b'!!python/object/apply:os.system ["id"]', b"!!int x"]
)
def test_yaml_that_does_more_than_say_values_is_refused(plane: ControlPlane, body: bytes) -> None:
    assert refused(plane.api("POST", ACCOUNTS, body, content_type="application/yaml"), 400)


def test_a_wrong_type_is_refused_wherever_it_stands(plane: ControlPlane) -> None:
    for wrong in WRONG:
        places: dict[str, dict[str, object]] = {
            "metadata": {"metadata": wrong},
            "spec": {"spec": wrong},
            "template": {"spec": {"template": wrong}},
            "kind": {"kind": wrong},
            "labels": {"metadata": {"name": "new", "labels": wrong}},
            "label": {"metadata": {"name": "new", "labels": {"a": wrong}}},
            "owners": {"metadata": {"name": "new", "ownerReferences": wrong}},
            "owner": {"metadata": {"name": "new", "ownerReferences": [wrong]}},
            "finalizers": {"metadata": {"name": "new", "finalizers": wrong}},
        }
        taken = {
            place
            for place, changes in places.items()
            if plane.api("POST", f"{GROUPS}?dryRun=All", group(**changes)).status not in (400, 422)
        }
        assert taken == RIGHT_AFTER_ALL.get(str(wrong), set()), wrong


def test_a_patch_that_spoils_the_object_is_refused(plane: ControlPlane) -> None:
    kinds = {"merge": b'{"spec":1}', "strategic-merge": b'{"metadata":1}', "json": b'[{"op":"remove","path":"/spec"}]'}
    for kind, body in kinds.items():
        for sent in (body, b"1", b"{", b'[{"op":"replace","path":"/metadata/name","value":"other"},1]'):
            answer = plane.api("PATCH", f"{GROUPS}/ratings", sent, content_type=f"application/{kind}-patch+json")
            assert refused(answer, 400, 415, 422), (kind, sent)


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", "%2e%2e", "A", "a b", "\u00e9", "a\n", "-", "a" * 254, "\u202e", "'"]
)
def test_a_name_that_is_none_is_refused(plane: ControlPlane, name: str) -> None:
    assert "metadata.name" in refused(plane.api("POST", ACCOUNTS, account(name=name)), 422)


@pytest.mark.parametrize(
    "path",
    ["/api//v1/namespaces", "/api/v1/namespaces/../../apis", "/api/v1/namespaces/%2e%2e/x", "/%00",
     "/api/v1/namespaces/book%2finfo", "/api/v1/namespaces/%ff%fe", "/openapi/v3/../..", f"{ACCOUNTS}/..",
     f"{ACCOUNTS}/%2e%2e%2fworkloadgroups"],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_not_found(plane: ControlPlane, path: str) -> None:
    assert refused(plane.api("GET", path), 404)
    assert refused(plane.api("DELETE", path), 404)


def test_two_ways_of_writing_a_path_ask_for_the_same_rights(plane: ControlPlane) -> None:
    for path in (
        "//api/v1/namespaces",
        "/api/v1/namespaces/bookinfo%2Fserviceaccounts",
        "/api/v1/namespaces/bookinfo/",
    ):
        assert refused(plane.api("GET", path, authorization=""), 403)


def test_ten_megabytes_are_refused_unread_however_they_come(plane: ControlPlane) -> None:
    assert plane.api("POST", ACCOUNTS, b"x" * 10_000_000).status == 413
    head = written("POST", ACCOUNTS, authorization=f"Bearer {plane.token}", content_type="application/json",
                   content_length="", transfer_encoding="chunked")  # fmt: skip
    chunks = [b"%x\r\n%s\r\n" % (65536, b"x" * 65536)] * 160
    assert read_answer(plane.send("apiHttps", [head, *chunks, b"0\r\n\r\n"])).status == 413


def test_too_much_in_a_small_body_is_told_at_once(plane: ControlPlane) -> None:
    many = {f"/{number}": "-" for number in range(100_000)}
    assert "more than 20000 keys" in refused(plane.api("POST", ACCOUNTS, account(name="new", labels=many)), 400)
    some = {f"a{number}": 1 for number in range(9_000)}
    unknown = group(spec={"template": some})
    assert "unknown field" in refused(plane.api("POST", f"{GROUPS}?fieldValidation=Strict", unknown), 400)


def test_an_account_id_without_quotes_is_told_to_be_quoted(plane: ControlPlane) -> None:
    policy = GUIDE.split("---")[2].replace('"123456789012"', "123456789012").replace("allow-ecs", "new")
    said = plane.kubectl("apply", "-f", "-", stdin=policy)
    assert said.returncode == 1
    assert "spec.allow[0].workloads[0].aws.accounts[0]: Invalid value: 123456789012: quote it" in said.stderr
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "text", [b"a: [\xff", b"a: [", b"apiVersion: foo/v1\nkind: Foo\nmetadata: {name: x}", b"kind: 1"]
)
def test_garbage_through_kubectl_is_refused(plane: ControlPlane, text: bytes) -> None:
    said = plane.kubectl("apply", "-f", "-", stdin=text)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr


def test_the_namespaces_are_not_deleted_all_at_once(plane: ControlPlane) -> None:
    assert "does not allow this method" in refused(plane.api("DELETE", "/api/v1/namespaces"), 405)


def test_credentials_of_others_open_nothing(member: Member, plane: ControlPlane, tmp_path: Path) -> None:
    ask = written("GET", ACCOUNTS)
    named_alike = new_authority("outrig clients", now=datetime.now(UTC), lifetime=timedelta(days=1))
    for files in (
        foreign_client(tmp_path).files,
        foreign_client(tmp_path, like=named_alike).files,
        member.identity.files,
    ):
        try:
            answer = plane.send("apiHttps", ask, certificate=files)
        except OSError:
            answer = b""
        assert answer == b"", "TLS let it in"
    refused(read_answer(plane.send("apiHttps", ask)), 403)
    for wrong in ("Bearer x", "Bearer", f"Basic {plane.token}", "Bearer \xff\xfe", f"Bearer {plane.token}x"):
        refused(plane.api("GET", ACCOUNTS, authorization=wrong), 401)


def test_a_body_of_somebody_without_rights_is_not_even_read(plane: ControlPlane) -> None:
    for wrong, status in (("", 403), ("Bearer x", 401)):
        assert plane.api("POST", ACCOUNTS, b"[" * 2_000_000, authorization=wrong).status == status


def test_loopback_is_no_administrator_for_web_pages(plane: ControlPlane) -> None:
    def ask(**headers: str) -> int:
        with socket.create_connection(("127.0.0.1", plane.ports["apiHttp"])) as connection:
            return read_answer(exchange(connection, written("GET", ACCOUNTS, **headers))).status

    assert ask() == 200
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "localhost@evil", "[::1].evil"):
        assert ask(host=host) in (400, 403), host
    for origin in ("http://evil.example", "null", "https://localhost.evil.example"):
        assert ask(origin=origin) == 403
    assert ask(x_forwarded_for="127.0.0.1") == 403


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /version HTTP/1.0\r\n\r\n", 200),
        (b"GET /version HTTP/1.1\r\n\r\n", 400),
        (b"GET /version HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET /version HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 300_000 + b"\r\n\r\n", 400),
        (b"GET /version HTTP/1.1\r\nhost: a\r\n" + b"x: a\r\n" * 60_000 + b"\r\n", 400),
        (b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400),
        (b"POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: -3\r\n\r\n", 400),
        (b"POST /api HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\x00\r\n\r\n", 400),
    ],
    ids=range(10),
)
def test_bytes_that_are_not_quite_http_are_answered_and_cut(plane: ControlPlane, sent: bytes, status: int) -> None:
    assert read_answer(plane.send("apiHttps", sent)).status == status


def test_requests_in_a_row_are_answered_in_a_row_a_bad_one_among_them(plane: ControlPlane) -> None:
    bearer = f"Bearer {plane.token}"
    good = written("GET", ACCOUNTS, connection="keep-alive", authorization=bearer)
    bad = written(
        "POST", ACCOUNTS, b"{", connection="keep-alive", authorization=bearer, content_type="application/json"
    )
    answered = plane.send("apiHttps", good * 20 + bad + good * 20 + written("GET", "/version"))
    statuses = [int(part[:3]) for part in answered.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200] * 20 + [400] + [200] * 21


def test_hundreds_of_half_open_connections_keep_nobody_out(plane: ControlPlane) -> None:
    with ExitStack() as stack:
        for port in ("apiHttps", "agents", "xds", "apiHttp", "diagnostics"):
            for number in range(100):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", plane.ports[port])))
                connection.sendall((b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nho")[number % 3])
        assert plane.is_ready()
        assert refused(plane.api("POST", ACCOUNTS, b"{"), 400)


def test_bodies_that_do_not_arrive_wait_alone(plane: ControlPlane) -> None:
    head = written("POST", ACCOUNTS, authorization=f"Bearer {plane.token}", content_type="application/json",
                   content_length="1000")  # fmt: skip
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(plane.connect("apiHttps")).sendall(head + b"{")
        assert plane.api("GET", ACCOUNTS).status == 200
        assert plane.is_ready()


def test_an_upgrade_is_refused(plane: ControlPlane) -> None:
    upgrade = {"connection": "Upgrade, close", "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    asked = written("GET", ACCOUNTS, upgrade="websocket", sec_websocket_version="13", content_length="", **upgrade)
    assert read_answer(plane.send("apiHttps", asked)).status == 403
    asked = written("GET", ACCOUNTS, upgrade="h2c", authorization=f"Bearer {plane.token}", **upgrade)
    assert read_answer(plane.send("apiHttps", asked)).status == 200


def test_watches_that_nobody_reads_do_not_hold_up_a_write(plane: ControlPlane) -> None:
    ask = written("GET", f"{ACCOUNTS}?watch=1", authorization=f"Bearer {plane.token}")
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(plane.connect("apiHttps")).sendall(ask)
        for number in range(20):
            body = account(name=f"w{number}", annotations={"a": "b" * 100_000})
            assert plane.api("POST", ACCOUNTS, body).status == 201
        for number in range(20):
            assert plane.api("DELETE", f"{ACCOUNTS}/w{number}").status == 200
    eventually(plane.is_ready, "it serves on")
