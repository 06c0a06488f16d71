"""Sends back what it gets: gRPC streams on 127.0.0.1:9090 (any method, bytes), lines over TCP on 127.0.0.1:9000.

Like any program that was not told about a mesh, it exits at once on SIGTERM.
"""

import socketserver
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

GRPC_PORT, TCP_PORT = 9090, 9000
STREAMS = 200


class Echo(grpc.GenericRpcHandler):
    """Answers every method with the messages it is sent."""

    def service(self, details: Any) -> Any:  # noqa: ARG002 - all methods are the same
        """The handler of any call."""
        return grpc.stream_stream_rpc_method_handler(echo)


def echo(messages: Iterator[bytes], context: Any) -> Iterator[bytes]:  # noqa: ARG001 - as grpc calls it
    """The same messages."""
    yield from messages


class Lines(socketserver.StreamRequestHandler):
    """Sends each line back."""

    def handle(self) -> None:
        """Until the caller has ended."""
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main() -> None:
    """Serve both for ever."""
    server = grpc.server(ThreadPoolExecutor(STREAMS), handlers=[Echo()], options=[("grpc.so_reuseport", 0)])
    server.add_insecure_port(f"127.0.0.1:{GRPC_PORT}")
    server.start()
    with Server(("127.0.0.1", TCP_PORT), Lines) as lines:
        print(f"echo: gRPC on 127.0.0.1:{GRPC_PORT}, TCP on 127.0.0.1:{TCP_PORT}", file=sys.stderr, flush=True)
        lines.serve_forever()


if __name__ == "__main__":
    main()
