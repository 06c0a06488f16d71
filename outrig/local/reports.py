"""How a start goes, told up a pipe to the command that asked for it: lines of progress, then ready or failed."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TextIO

Kind = Literal["progress", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Report:
    """One line. Nothing follows `ready` or `failed`."""

    kind: Kind
    text: str = ""


class Reporter:
    """The telling end. The command may have left: then nobody is told."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def progress(self, text: str) -> None:
        self._write("progress", text)

    def ready(self) -> None:
        self._write("ready", "")
        self._close()

    def failed(self, text: str) -> None:
        self._write("failed", text)
        self._close()

    def _write(self, kind: Kind, text: str) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps([kind, text]).encode() + b"\n")
        except BrokenPipeError:
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_reports(stream: TextIO) -> Iterator[Report]:
    """The listening end; a stream that ends without `ready` or `failed` means the start died."""
    for line in stream:
        kind, text = json.loads(line)
        yield Report(kind, text)
        if kind != "progress":
            return
    yield Report("failed", "it ended before it was ready; logs/emulator.log in its directory says why")
