"""What stands before moto: no back door, and errors in the language of the service that was called.

In: any WSGI request.  Out: moto's answer, but its refusals of JSON services become JSON (moto answers them in XML,
which clients cannot read). moto's own unsigned control API is not served at all.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

# The names that AWS's JSON protocols use for what its query protocol calls otherwise.
_JSON_CODES = {
    "AccessDenied": "AccessDeniedException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
}


def guarded(moto: Application) -> Application:
    """`moto` with the above in front of it."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "").startswith("/moto-api"):
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        if "HTTP_X_AMZ_TARGET" not in environ:
            return moto(environ, start_response)
        return _translated(moto, environ, start_response)

    return application


def json_error(body: bytes) -> bytes | None:
    """The JSON form of an XML error document, or `None` if it is not one."""
    text = body.decode("utf-8", errors="replace")
    code, message = re.search(r"<Code>(.*?)</Code>", text), re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    if code is None:
        return None
    problem = message[1] if message else ""
    return json.dumps({"__type": _JSON_CODES.get(code[1], code[1]), "message": problem}).encode()


def _translated(moto: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    head: list[Any] = []
    body = b"".join(moto(environ, lambda *arguments: head.append(arguments)))
    status, headers = head[-1][0], head[-1][1]
    error = json_error(body) if status.startswith("403") else None
    if error is None:
        start_response(status, headers)
        return [body]
    start_response(
        "400 Bad Request", [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(error)))]
    )
    return [error]
