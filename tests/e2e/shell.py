"""A person at a shell who brings an example up and types what it prints."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.guide import BIN


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell like that of a user, without our programs on its PATH.

    `programs`: where they are. `user`: the beginning of a command line that makes the rest somebody else's.
    """

    directory: Path
    programs: Path = BIN
    user: tuple[str, ...] = ()

    def run(self, text: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KUBECONFIG"))}
        here = kept | {"PATH": "/usr/bin:/bin", "HOME": str(self.directory.parent / "home")}
        return subprocess.run(
            [*self.user, "bash", "-c", text],
            capture_output=True,
            text=True,
            env=here,
            cwd=self.directory.parent,
            check=False,
        )


@contextmanager
def brought_up(shell: Shell, example: Path) -> Iterator[str]:
    """What `up` prints, while the scene of an example runs."""
    started = shell.run(f"{shell.programs}/outrig local up {example} --dir {shell.directory}")
    try:
        assert (started.returncode, started.stderr) == (0, "")
        yield started.stdout
    finally:
        shell.run(f"{shell.programs}/outrig local down --dir {shell.directory}")


def blocks(printed: str) -> tuple[str, list[str], str]:
    """What the shell has to be told, the commands worth trying, and how to end it."""
    _, _, after = printed.partition("\nin your shell:\n")
    told, _, after = after.partition("worth trying:\n")
    commands, _, end = after.partition("end it: ")
    return told, [line.strip() for line in commands.splitlines()], end.strip()
