"""The agent's own directory: its key, the files Envoy reads, the admin socket.

Only the owner may enter it, one agent at a time uses it, and a file in it is whole or not there: it is
written beside itself and renamed. Raises `UnusableDirectory` at the start, `CannotWrite` later.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from outrig.agent.problems import CannotWrite, UnusableDirectory

DEFAULT = "/run/outrig"
KEY, LOCK = "key.pem", "agent.lock"
LONGEST = 90  # characters; a unix socket's path ends at 107


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A directory that is ours alone."""

    path: Path

    def write(self, name: str, text: str) -> None:
        """Replace a file in one step. Mode 0600. Raises CannotWrite, with the old file untouched."""
        temporary = self.path / f".{name}.new"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except OSError as error:
            raise CannotWrite(str(self.path / name), f"cannot be written: {error.strerror}") from None

    def read(self, name: str) -> str:
        """The text of a file; empty if there is none that can be read."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            return ""

    def key(self) -> ec.EllipticCurvePrivateKey:
        """This task's P-256 key: made once, found again when the agent is restarted in place.

        One key per task holds only if the same key comes back.
        """
        file = self.path / KEY
        if not file.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            self.write(KEY, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
        try:
            key = load_pem_private_key(file.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise UnusableDirectory(str(file), f"not a private key: {error}", "remove it to make a new one") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UnusableDirectory(str(file), "not a P-256 key", "remove it to make a new one")
        return key


@contextmanager
def opened(wanted: str) -> Iterator[RunDirectory]:
    """The directory `wanted`, or the default place; locked until the end. Raises UnusableDirectory."""
    path = _prepare(Path(wanted)) if wanted else _default()
    if len(str(path)) > LONGEST:
        raise UnusableDirectory(str(path), f"longer than {LONGEST} characters: a socket in it could not be reached")
    descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield RunDirectory(path)
    except BlockingIOError:
        raise UnusableDirectory(
            str(path), "another agent uses it", "give each agent its own: --dir, or --work-dir"
        ) from None
    finally:
        os.close(descriptor)


def _default() -> Path:
    try:
        return _prepare(Path(DEFAULT))
    except UnusableDirectory:
        return _prepare(Path(tempfile.gettempdir(), f"outrig-agent-{os.geteuid()}"))


def _prepare(path: Path) -> Path:
    path = path.absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise UnusableDirectory(str(path), "not a directory of this user", "give another one: --dir, or --work-dir")
        path.chmod(0o700)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise UnusableDirectory(
            str(path), f"cannot be used: {error.strerror}", "give another one: --dir, or --work-dir"
        ) from None
