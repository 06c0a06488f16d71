"""Starting an emulator from a command: the launcher behind it, the scene's steps, and ending both together.

In: a scene and a state directory.  Out: a running emulator, or `StartFailed` with nothing left behind.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import ClassVar

from outrig.errors import OutrigError
from outrig.local.client import LocalEcs
from outrig.local.launcher import STAY, Birth
from outrig.local.namespaces import unshare_command
from outrig.local.reports import read_reports
from outrig.local.scene import Scene, Step, load_scene
from outrig.local.surroundings import neutral

Say = Callable[[str], None]
_CODED = re.compile(r"OUT\d{3} ")


class StartFailed(OutrigError):
    """The emulator, one of its instances or one of the scene's steps did not come up."""

    code: ClassVar[str] = "OUT806"


class Relayed(StartFailed):
    """The same, in the launcher's own words, which have a code already."""

    def __str__(self) -> str:
        return self.problem


@dataclass(frozen=True, slots=True)
class Stage:
    """A running emulator that ends with this process, until `leave_running` is called."""

    scene: Scene
    emulator: LocalEcs
    launcher: "subprocess.Popen[bytes]"
    owner: int
    left: Event = field(default_factory=Event)

    def leave_running(self) -> None:
        """Let the emulator outlive this process."""
        os.write(self.owner, STAY)
        self.left.set()

    def wait_unless_left(self) -> None:
        if not self.left.is_set():
            self.launcher.wait()

    def run_steps(self, say: Say) -> None:
        """Run the scene's steps in order. Raises `StartFailed` with the output of the one that failed."""
        for step in self.scene.steps:
            say(step.name)
            _run_step(step, self.step_environment())

    def step_environment(self) -> dict[str, str]:
        """This process's environment, with AWS, `KUBECONFIG` and the interpreter's programs in front."""
        environment = {**neutral(os.environ), **self.emulator.aws_environment()}
        environment["PATH"] = self.emulator.search_path(environment.get("PATH", os.defpath))
        if self.scene.kubeconfig:
            environment["KUBECONFIG"] = self.scene.kubeconfig
            environment["KUBECACHEDIR"] = str(self.emulator.kube_cache)
        return environment


@contextmanager
def staged(scene: Path, directory: Path, say: Say) -> Iterator[Stage]:
    """Start the emulator; leaving the block ends it and waits for that, unless it was told to stay.

    Progress goes to `say`. Raises `SceneError`, `NamespacesUnavailable`, `StartFailed`.
    """
    directory = directory.resolve()
    parsed = load_scene(scene, directory)
    unshare_command()
    reports, report = os.pipe()
    theirs, owner = os.pipe()
    birth = Birth(scene=str(scene.absolute()), directory=str(directory), report=report, owner=theirs)
    stage = Stage(parsed, LocalEcs(directory), _spawn(birth), owner)
    os.close(report)
    os.close(theirs)
    try:
        _follow(reports, scene, say)
        yield stage
    finally:
        os.close(owner)
        stage.wait_unless_left()


def _follow(reports: int, scene: Path, say: Say) -> None:
    with open(reports, encoding="utf-8") as stream:
        for update in read_reports(stream):
            if update.kind == "failed":
                raise (Relayed if _CODED.match(update.text) else StartFailed)(str(scene), update.text)
            if update.text:
                say(update.text)


def _spawn(birth: Birth) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "outrig.local.launcher", json.dumps(asdict(birth))],
        pass_fds=(birth.report, birth.owner),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _run_step(step: Step, environment: dict[str, str]) -> None:
    result = subprocess.run(
        ["/bin/sh", "-ec", step.run],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise StartFailed(step.name, f"the step ended with status {result.returncode}:\n{result.stdout.rstrip()}")
