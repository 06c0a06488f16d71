"""What stands before moto."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from outrig.local.gateway import guarded, json_error

XML = b"<ErrorResponse><Errors><Error><Code>AccessDenied</Code><Message>no</Message></Error></Errors></ErrorResponse>"


def answer_of(path: str, **environ: str) -> tuple[str, bytes]:
    """The gateway's answer with an application behind it that denies everything in XML."""

    def moto(_: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("403 FORBIDDEN", [("Content-Type", "text/html")])
        return [XML]

    seen: list[str] = []
    body = guarded(moto)({"PATH_INFO": path, **environ}, lambda status, _: seen.append(status))
    return seen[0], b"".join(body)


def test_the_unsigned_control_api_is_hidden() -> None:
    assert answer_of("/moto-api/reset-auth") == ("404 Not Found", b"")


def test_json_services_get_json_errors_and_others_their_own() -> None:
    status, body = answer_of("/", HTTP_X_AMZ_TARGET="AmazonEC2ContainerServiceV20141113.ListTasks")
    assert (status, json.loads(body)) == ("400 Bad Request", {"__type": "AccessDeniedException", "message": "no"})
    assert answer_of("/") == ("403 FORBIDDEN", XML)


def test_route_53_gets_its_errors_where_its_clients_look() -> None:
    status, body = answer_of("/2013-04-01/hostedzone", HTTP_AUTHORIZATION="AWS4 Credential=A/1/us-east-1/route53/aws4")
    assert (status, body) == ("403 FORBIDDEN", XML.replace(b"<Errors>", b"").replace(b"</Errors>", b""))


@pytest.mark.parametrize(
    ("failure", "code", "text"),
    [
        (NotImplementedError("no such action"), "NotImplemented", "no such action"),
        (KeyError("x"), "InternalFailure", "log"),
    ],
)
def test_what_moto_fails_in_is_told_as_json_and_not_worth_a_retry(failure: Exception, code: str, text: str) -> None:
    def moto(_: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise failure

    seen: list[str] = []
    environ = {"PATH_INFO": "/", "HTTP_X_AMZ_TARGET": "AmazonEC2ContainerServiceV20141113.New"}
    (body,) = guarded(moto)(environ, lambda status, _: seen.append(status))
    assert seen == ["501 Not Implemented"]
    assert json.loads(body)["__type"] == code
    assert text in json.loads(body)["message"]


def test_a_body_that_is_no_error_document_is_left_alone() -> None:
    assert json_error(b'{"a": 1}') is None
