"""What Bookinfo's small services have in common: an HTTP server on 127.0.0.1 that answers JSON.

Like any program that was not told about a mesh, it knows nothing of one: it exits at once on SIGTERM, and shows who
called only because its sidecar says so in `x-forwarded-client-cert`.
"""

import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, Any]]
PORT = 9080


def caller(headers: Any) -> str:
    """The SPIFFE id of the peer, as the sidecar forwards it; `-` without one."""
    fields = dict(part.split("=", 1) for part in headers.get("x-forwarded-client-cert", "").split(";") if "=" in part)
    return fields.get("URI", "-")


def serve(name: str, answer: Callable[[str], Answer | None]) -> None:
    """Serve on 127.0.0.1:9080 for ever. `answer` gives status and JSON for a path, or None for 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == "/health":
                found: Answer | None = (200, {"status": f"{name.title()} is healthy"})
            elif self.path == "/caller":
                found = (200, {"service": name, "caller": caller(self.headers)})
            else:
                found = answer(self.path)
            status, value = found or (404, {"error": f"{name} has nothing at {self.path}"})
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, form: str, *args: Any) -> None:
            print(f"{name}: {form % args} from {caller(self.headers)}", file=sys.stderr, flush=True)

    with ThreadingHTTPServer(("127.0.0.1", PORT), Handler) as server:
        print(f"{name}: listening on 127.0.0.1:{PORT}", file=sys.stderr, flush=True)
        server.serve_forever()
