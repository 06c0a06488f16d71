"""Where the audit log goes: a file of JSON lines, or standard output.

In: lines. Out: each appended as a whole, so that the file can be moved away or cut off at any time; SIGHUP opens it
anew. Refuses (OUT003) a file that cannot be opened at the start; later, lines that cannot be written are told to the
log, and requests go on.
"""

import os
import sys
from pathlib import Path
from typing import Final

import structlog

from outrig.server.files import BadDataDir, DataDir

STANDARD_OUTPUT: Final = "-"

_log = structlog.get_logger(__name__)


class Trail:
    """The audit log. `path` None: standard output."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = _opened(path) if path else sys.stdout.fileno()

    def write(self, line: str) -> None:
        """Append a line."""
        try:
            os.write(self._descriptor, line.encode("utf-8", "backslashreplace") + b"\n")
        except OSError as error:
            _log.error("audit line not written", file=str(self._path or STANDARD_OUTPUT), reason=error.strerror)

    def reopen(self) -> None:
        """The file was moved away: go on in a new one. Where that cannot be opened, go on in the old one."""
        if self._path is None:
            return
        try:
            fresh = _opened(self._path)
        except BadDataDir as error:
            _log.error("the audit log was not opened anew", reason=str(error))
            return
        os.close(self._descriptor)
        self._descriptor = fresh


def open_trail(setting: str, data: DataDir) -> Trail:
    """The audit log that a setting names; empty: `audit.log` in the data directory. Raises BadDataDir."""
    if setting == STANDARD_OUTPUT:
        return Trail(None)
    return Trail(Path(setting).expanduser() if setting else data.path / "audit.log")


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        hint = "OUTRIG_AUDIT_LOG names another; `-` is standard output"
        raise BadDataDir(str(path), f"the audit log cannot be opened: {error.strerror}", hint) from None
