"""Which form of a document a client gets, and when none is sent again."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from outrig.api.kube.renditions import FOR_EVER, Rendition, rendition, respond_with
from outrig.api.refusals import ApiError

TEXT = rendition(b'{"swagger": "2.0"}')
MESSAGE = rendition(b"\n\x032.0", media="application/message.v2+protobuf", also="application/message@v2+protobuf")


def answered(*forms: Rendition, query: str = "", **headers: str) -> Response:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": raw}
    return respond_with(Request(scope), forms or (TEXT, MESSAGE))


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("application/*", TEXT),
        ("application/json, */*", TEXT),
        ("text/html, */*;q=0.1", TEXT),
        ("application/message@v2+protobuf", MESSAGE),
        ("Application/Message.v2+protobuf, application/json", MESSAGE),
    ],
)
def test_the_first_form_that_is_taken_is_sent(accept: str, form: Rendition) -> None:
    answer = answered(accept=accept)
    assert (answer.status_code, answer.body, answer.media_type) == (200, form.text, form.media)
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize("accept", ["nonsense", "text/html", "application/json;q=0", "application/protobuf", "text/*"])
def test_a_form_that_there_is_not_is_refused(accept: str) -> None:
    with pytest.raises(ApiError) as refused:
        answered(accept=accept)
    assert refused.value.reason == "NotAcceptable"


def test_each_form_has_a_tag_of_its_own() -> None:
    assert answered().headers["etag"] == f'"{TEXT.tag}"' != f'"{MESSAGE.tag}"'
    assert answered(accept=MESSAGE.also).headers["etag"] == f'"{MESSAGE.tag}"'


@pytest.mark.parametrize("condition", [f'"{TEXT.tag}"', f'W/"{TEXT.tag}"', f'"other", "{TEXT.tag}"', "*"])
def test_a_client_that_has_the_form_is_not_sent_it_again(condition: str) -> None:
    answer = answered(if_none_match=condition)
    assert (answer.status_code, answer.body, answer.headers["etag"]) == (304, b"", f'"{TEXT.tag}"')


@pytest.mark.parametrize("condition", ["", '"other"', TEXT.tag, f'"{MESSAGE.tag}"'])
def test_a_client_that_has_another_is_sent_it(condition: str) -> None:
    assert answered(if_none_match=condition).body == TEXT.text


def test_a_url_with_the_hash_is_kept_for_ever_and_one_with_an_older_hash_is_not() -> None:
    assert answered(query=f"hash={TEXT.tag}").headers["cache-control"] == FOR_EVER
    assert "cache-control" not in answered(query="hash=0123").headers
