"""A counter kept elsewhere: `GET /` shows it, `POST /` counts one up, `GET /ratings` shows a book's ratings.

It listens on 127.0.0.1:5000. What it calls it finds where its Dataplane says: kv at 127.0.0.1:15050, ratings at
127.0.0.1:19080. There is no name to resolve and nothing in its way but the sidecar.
"""

import http.client
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bookinfo import caller

PORT = 5000
KV, RATINGS = ("127.0.0.1", 15050), ("127.0.0.1", 19080)
COUNTER = "/counter"


def ask(whom: tuple[str, int], method: str, path: str) -> tuple[int, dict[str, Any]]:
    """The status and the answer of another service; 502 where there is none worth reading."""
    connection = http.client.HTTPConnection(*whom, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        return answer.status, json.loads(body) if answer.status == 200 else {"error": body.strip()}
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 502, {"error": repr(error)}
    finally:
        connection.close()


class Page(BaseHTTPRequestHandler):
    """The counter."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """The counter, or the ratings of a book."""
        self.reply(*(ask(RATINGS, "GET", "/ratings/0") if self.path == "/ratings" else ask(KV, "GET", COUNTER)))

    def do_POST(self) -> None:
        """One more."""
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.reply(*ask(KV, "POST", COUNTER))

    def reply(self, status: int, found: dict[str, Any]) -> None:
        """What was found, and who asked."""
        body = json.dumps({**found, "askedBy": caller(self.headers)}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form: str, *args: Any) -> None:
        """One line a request."""
        print(f"demo-app: {form % args} from {caller(self.headers)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", PORT), Page) as server:
        print(f"demo-app: listening on 127.0.0.1:{PORT}", file=sys.stderr, flush=True)
        server.serve_forever()
