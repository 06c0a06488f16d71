"""Keeps two connections open and says how they fare: HTTP requests on one, lines on the other, until stdin ends.

usage: lifelines HTTP_PORT LINES_PORT, both on 127.0.0.1. Prints each change of the HTTP status as it comes, and in the
end one line of JSON: `statuses` as they followed each other, `httpConnections` and `lineConnections` that were needed,
`lines` that came back.
"""

import http.client
import json
import select
import socket
import sys
from typing import Any

PAUSE = 0.1


class Requests:
    """One HTTP connection, opened anew only where it is closed."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        self.opened = 0

    def status(self) -> str:
        """Of one more request."""
        if self.connection.sock is None:
            self.connection.connect()
            self.opened += 1
        self.connection.request("GET", "/counter")
        answer = self.connection.getresponse()
        answer.read()
        return str(answer.status)


def main() -> None:
    """Until standard input ends."""
    requests = Requests(int(sys.argv[1]))
    lines = socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=5)
    seen: dict[str, Any] = {"statuses": [], "lines": 0}
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        status = requests.status()
        if seen["statuses"][-1:] != [status]:
            seen["statuses"].append(status)
            print(status, flush=True)
        lines.sendall(b"line\n")
        if lines.recv(64) != b"line\n":
            raise SystemExit("the line did not come back")
        seen["lines"] += 1
    print(json.dumps({**seen, "httpConnections": requests.opened, "lineConnections": 1}))


if __name__ == "__main__":
    main()
