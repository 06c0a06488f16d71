"""What Bookinfo's small services have in common: an HTTP server on 127.0.0.1:9080, and calls to each other.

Like any program that was not told about a mesh, they know nothing of one: they call each other by name, exit at once on
SIGTERM, and show who called only because their sidecar says so in `x-forwarded-client-cert`. `/health` answers 200
until the file /tmp/sick is there, for those who want to see a task leave and come back.
"""

import http.client
import json
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Headers = Mapping[str, str]
Answer = tuple[int, dict[str, Any] | str]  # a status, and JSON or a page
PORT = 9080
SICK = Path("/tmp/sick")  # noqa: S108 - each task has a /tmp of its own
PASSED_ON = ("x-request-id", "traceparent", "tracestate", "end-user", "user-agent")


def caller(headers: Any) -> str:
    """The SPIFFE id of the peer, as the sidecar forwards it, the first if it has several; `-` without one."""
    parts = headers.get("x-forwarded-client-cert", "").split(";")
    return next((part.removeprefix("URI=") for part in parts if part.startswith("URI=")), "-")


def call(service: str, path: str, headers: Headers) -> dict[str, Any] | None:
    """What another service answers, or None if it does not answer well. Headers that belong to a request go along."""
    host = f"{service}.bookinfo"
    connection = http.client.HTTPConnection(host, PORT, timeout=10)
    try:
        connection.request("GET", path, headers={name: headers[name] for name in PASSED_ON if name in headers})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200:
            found: dict[str, Any] = json.loads(body)
            return found
        print(f"{host}{path} answered {answer.status}", file=sys.stderr, flush=True)
    except (OSError, http.client.HTTPException) as error:
        print(f"{host}{path}: {error!r}", file=sys.stderr, flush=True)
    finally:
        connection.close()
    return None


def serve(name: str, answer: Callable[[str, Headers], Answer | None]) -> None:
    """Serve for ever. `answer` gives what there is at a path, or None for 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.reply(*(answered(self.path, self.headers) or (404, {"error": f"{name} has nothing at {self.path}"})))

        def reply(self, status: int, value: dict[str, Any] | str) -> None:
            page = isinstance(value, str)
            body = (value if isinstance(value, str) else json.dumps(value)).encode()
            self.send_response(status)
            self.send_header("content-type", "text/html; charset=utf-8" if page else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, form: str, *args: Any) -> None:
            print(f"{name}: {form % args} from {caller(self.headers)}", file=sys.stderr, flush=True)

    def answered(path: str, headers: Any) -> Answer | None:
        if path == "/health":
            return (503, {"status": f"{name} is sick"}) if SICK.exists() else (200, {"status": f"{name} is healthy"})
        if path == "/caller":
            return 200, {"service": name, "caller": caller(headers)}
        return answer(path, headers)

    with ThreadingHTTPServer(("127.0.0.1", PORT), Handler) as server:
        print(f"{name}: listening on 127.0.0.1:{PORT}", file=sys.stderr, flush=True)
        server.serve_forever()
