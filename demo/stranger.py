"""Calls a task's address with a certificate, as a sidecar would: TLS with ALPN `mesh`, then one request.

usage: stranger.py ADDRESS PORT CERTIFICATE KEY, or stranger.py ADDRESS PORT WORKLOAD_JSON
Prints the answer's first line, or why there was none. Offering `mesh` matters: without it any caller is turned away,
and that would say nothing about the certificate.
"""

import json
import socket
import ssl
import sys
import tempfile
from pathlib import Path


def context(paths: list[str]) -> ssl.SSLContext:
    """A client with that certificate. The server's is not checked: it is the server that is put to the test."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["mesh", "http/1.1"])
    if len(paths) == 1:  # an agent's secret file
        secret = json.loads(Path(paths[0]).read_text(encoding="utf-8"))["resources"][0]["tls_certificate"]
        parts = [secret["certificate_chain"]["inline_string"], secret["private_key"]["inline_string"]]
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("".join(parts))
            file.flush()
            made.load_cert_chain(file.name)
    else:
        made.load_cert_chain(*paths)
    return made


def main() -> None:
    """Call and print."""
    address, port, *paths = sys.argv[1:]
    try:
        with context(paths).wrap_socket(socket.create_connection((address, int(port)), timeout=5)) as connection:
            connection.sendall(b"GET /ratings/0 HTTP/1.1\r\nHost: ratings.bookinfo:9080\r\nConnection: close\r\n\r\n")
            print(connection.recv(4096).decode().partition("\r\n")[0] or "closed without an answer")
    except OSError as error:
        print(f"turned away: {error}")


if __name__ == "__main__":
    main()
