"""What stands before moto: no back door, and errors in the language of the service that was called.

In: any WSGI request.  Out: moto's answer, but its refusals (one XML for all services, which not all clients can read)
become JSON for JSON services, and what REST clients expect for Route 53. What moto lacks or fails in is told as JSON
too, and not as a page of HTML. moto's own unsigned control API is not served at all.
"""

import html
import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Headers = list[tuple[str, str]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

# The names that AWS's JSON protocols use for what its query protocol calls otherwise.
_JSON_CODES = {
    "AccessDenied": "AccessDeniedException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
}
_FAILED = "outrig local failed in this call; logs/emulator.log says why"
_JSON: Headers = [("Content-Type", "application/x-amz-json-1.1")]


def guarded(moto: Application) -> Application:
    """`moto` with the above in front of it."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "").startswith("/moto-api"):
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        if "HTTP_X_AMZ_TARGET" in environ:
            return _translated(moto, environ, start_response)
        if "/route53/" in environ.get("HTTP_AUTHORIZATION", ""):
            return _unnested(moto, environ, start_response)
        return moto(environ, start_response)

    return application


def json_error(body: bytes) -> bytes | None:
    """The JSON form of an XML error document, or `None` if it is not one."""
    text = body.decode("utf-8", errors="replace")
    code, message = re.search(r"<Code>(.*?)</Code>", text), re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    if code is None:
        return None
    problem = html.unescape(message[1]) if message else ""
    return _error(_JSON_CODES.get(code[1], code[1]), problem)


def _translated(moto: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    try:
        status, headers, body = _answer(moto, environ)
    except NotImplementedError as error:
        status, headers, body = "501 Not Implemented", _JSON, _error("NotImplemented", f"outrig local: {error}")
    except Exception:  # the edge of moto's requests
        logging.exception("a call of %s failed", environ["HTTP_X_AMZ_TARGET"])
        status, headers, body = "501 Not Implemented", _JSON, _error("InternalFailure", _FAILED)
    if status.startswith("403") and (refusal := json_error(body)):
        status, headers, body = "400 Bad Request", _JSON, refusal
    start_response(status, [*_without_length(headers), ("Content-Length", str(len(body)))])
    return [body]


def _error(code: str, message: str) -> bytes:
    return json.dumps({"__type": code, "message": message}).encode()


def _unnested(moto: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """An error's document has it in the root element, where REST clients look for it."""
    status, headers, body = _answer(moto, environ)
    if status.startswith("403"):
        body = body.replace(b"<Errors>", b"").replace(b"</Errors>", b"")
    start_response(status, [*_without_length(headers), ("Content-Length", str(len(body)))])
    return [body]


def _without_length(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name.lower() != "content-length"]


def _answer(moto: Application, environ: Environ) -> tuple[str, Headers, bytes]:
    head: list[Any] = []
    body = b"".join(moto(environ, lambda *arguments: head.append(arguments)))
    return head[-1][0], head[-1][1], body
