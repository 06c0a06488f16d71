"""A small key-value store: `GET /KEY` gives a number, `POST /KEY` adds one to it. HTTP on 127.0.0.1:5050.

On 127.0.0.1:6379 it sends back every line that it gets, for those who want to see a plain TCP connection live on. It
knows nothing of a mesh; who called it knows only because its sidecar says so.
"""

import json
import socketserver
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bookinfo import caller

HTTP_PORT, LINES_PORT = 5050, 6379
NUMBERS: Counter[str] = Counter()
ONE_AT_A_TIME = threading.Lock()


class Numbers(BaseHTTPRequestHandler):
    """Numbers by name."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """What the number is."""
        self.reply(0)

    def do_POST(self) -> None:
        """One more."""
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.reply(1)

    def reply(self, more: int) -> None:
        """The number after adding that."""
        key = self.path.strip("/")
        with ONE_AT_A_TIME:
            NUMBERS[key] += more
            value = NUMBERS[key]
        body = json.dumps({"key": key, "value": value, "caller": caller(self.headers)}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form: str, *args: Any) -> None:
        """One line a request."""
        print(f"kv: {form % args} from {caller(self.headers)}", file=sys.stderr, flush=True)


class Lines(socketserver.StreamRequestHandler):
    """Sends each line back."""

    def handle(self) -> None:
        """Until the caller has ended."""
        for line in self.rfile:
            self.wfile.write(line)


class LinesServer(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True


def main() -> None:
    """Serve both for ever."""
    with (
        LinesServer(("127.0.0.1", LINES_PORT), Lines) as lines,
        ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Numbers) as http,
    ):
        threading.Thread(target=lines.serve_forever, daemon=True).start()
        print(f"kv: HTTP on 127.0.0.1:{HTTP_PORT}, lines on 127.0.0.1:{LINES_PORT}", file=sys.stderr, flush=True)
        http.serve_forever()


if __name__ == "__main__":
    main()
