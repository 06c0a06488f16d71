"""Where a running emulator keeps things: the files of its state directory, and the descriptors it was born with."""

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

MARK = ".outrig-local"


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The names inside one emulator's directory."""

    path: Path

    @property
    def mark(self) -> Path:
        """Its presence says the directory is ours to empty; it is locked while the emulator runs, and holds a pid."""
        return self.path / MARK

    @property
    def control(self) -> Path:
        return self.path / "control.sock"

    @property
    def published(self) -> Path:
        return self.path / "published.json"

    @property
    def credentials(self) -> Path:
        """AWS endpoint and the administrator's keys, for clients on this machine."""
        return self.path / "aws.json"

    @property
    def exports(self) -> Path:
        """What a user's shell has to be told, as shell text."""
        return self.path / "exports.sh"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def log_index(self) -> Path:
        """Which tasks had which containers, a line each."""
        return self.logs / "tasks.jsonl"

    @property
    def files(self) -> Path:
        """All that tasks see of the directory: what is meant for them, or comes from them."""
        return self.path / "files"

    @property
    def programs(self) -> Path:
        """Programs for the user's PATH that belong to this emulator."""
        return self.path / "bin"

    def sweep(self) -> None:
        """Remove all but the mark and the logs; for the holder of the mark's lock."""
        for entry in self.path.iterdir():
            if entry in (self.mark, self.logs):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def instance(self, name: str) -> Path:
        """All that an instance sees of the directory, besides `files`."""
        return self.path / name

    def task_log(self, task: str, container: str) -> Path:
        return self.logs / f"{task}-{container}.log"

    def instance_log(self, instance: str) -> Path:
        return self.logs / f"{instance}.log"


def default_directory() -> Path:
    """`$OUTRIG_LOCAL_DIR`, else `$XDG_STATE_HOME/outrig/local` or its place under the home directory."""
    if named := os.environ.get("OUTRIG_LOCAL_DIR"):
        return Path(named)
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "outrig" / "local"


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of an instance, published on the host: `descriptor` is bound to 127.0.0.1:`host_port` there."""

    descriptor: int
    port: int
    host_port: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What the launcher hands into the VPC: paths, and descriptors of sockets bound in the host."""

    directory: str
    scene: str
    api: int
    api_port: int
    control: int
    lifeline: int
    report: int
    launcher: int
    published: dict[str, dict[str, Listener]]

    def encode(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def decode(cls, document: Any) -> Self:  # JSON that the launcher wrote with `encode`
        published = {
            instance: {name: Listener(**listener) for name, listener in listeners.items()}
            for instance, listeners in document["published"].items()
        }
        return cls(**{**document, "published": published})

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(Path(self.directory))

    def descriptors(self) -> list[int]:
        listeners = [entry.descriptor for listeners in self.published.values() for entry in listeners.values()]
        return [self.api, self.control, self.lifeline, self.report, *listeners]
