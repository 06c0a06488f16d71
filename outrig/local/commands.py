"""`outrig local`: start, look at, enter and end an emulator. A thin layer over `stage` and `client`."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from outrig.errors import OutrigError
from outrig.local.choosing import beside
from outrig.local.client import LocalEcs
from outrig.local.layout import StateDirectory, default_directory
from outrig.local.logs import follow, log_file
from outrig.local.namespaces import NamespacesUnavailable
from outrig.local.stage import Stage, staged
from outrig.local.surroundings import MISLEADING, neutral

app = typer.Typer(no_args_is_help=True, help="ECS on one machine.")


class Output(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    JSON = "json"


_PROGRAMS = shlex.quote(str(Path(sys.executable).parent))
SceneArgument = Annotated[Path, typer.Argument(help="a directory with scene.yaml")]
DirOption = Annotated[
    Path | None,
    typer.Option("--dir", help="state directory; default $OUTRIG_LOCAL_DIR, else ~/.local/state/outrig/local"),
]
ContainerOption = Annotated[
    str | None, typer.Option("--container", help="default: the one named like the service, else the first")
]
TaskArgument = Annotated[str, typer.Argument(help="task id, its beginning, a service or an instance")]


@app.command()
def up(scene: SceneArgument, directory: DirOption = None) -> None:
    """Start a scene and leave it running."""
    with _reported(), staged(scene, directory or default_directory(), typer.echo) as stage:
        stage.run_steps(typer.echo)
        stage.leave_running()
        _introduce(stage, directory)


@app.command()
def run(scene: SceneArgument, directory: DirOption = None) -> None:
    """Run a scene in the foreground; Ctrl-C ends all of it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _reported(), staged(scene, directory or default_directory(), typer.echo) as stage:
        stage.run_steps(typer.echo)
        _introduce(stage, directory)
        typer.echo("Ctrl-C ends it")
        stage.launcher.wait()
        raise typer.Exit(1)


@app.command()
def down(directory: DirOption = None) -> None:
    """End the emulator and everything in it."""
    with _reported():
        typer.echo("ended" if LocalEcs(directory).down() else "nothing was running")


@app.command()
def env(directory: DirOption = None) -> None:
    """Print what a shell needs for kubectl, aws and outrig to reach the scene: eval "$(outrig local env)"."""
    with _reported():
        typer.echo(LocalEcs(directory).exports(), nl=False)


@app.command()
def status(
    directory: DirOption = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="text or json")] = Output.TEXT,
) -> None:
    """Tasks, containers, pids, addresses, instances and published ports."""
    with _reported():
        document = LocalEcs(directory).status()
    typer.echo(json.dumps(document, indent=2) if output is Output.JSON else "\n".join(_lines(document)))


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
def exec_(
    task: TaskArgument,
    command: Annotated[list[str], typer.Argument(help="what to run, after --")],
    container: ContainerOption = None,
    directory: DirOption = None,
) -> None:
    """Run a command in a task's container, with its environment and user."""
    with _reported():
        raise typer.Exit(LocalEcs(directory).exec(task, command, container=container))


@app.command()
def logs(
    task: TaskArgument,
    container: ContainerOption = None,
    directory: DirOption = None,
    follow_on: Annotated[bool, typer.Option("-f", "--follow", help="go on as it grows")] = False,
) -> None:
    """Print what a container has written; tasks that stopped are found too, even when all has ended."""
    with _reported():
        log, passed_over = log_file(_state(directory), task, container)
        if passed_over:
            typer.echo(beside(log.container, passed_over), err=True)
        for chunk in follow(log.file, on=follow_on):
            sys.stdout.write(chunk)
            sys.stdout.flush()


@app.command()
def kill(
    task: TaskArgument,
    container: ContainerOption = None,
    directory: DirOption = None,
    number: Annotated[str, typer.Option("--signal", help="name or number")] = "KILL",
) -> None:
    """Signal a container's or instance's main process, and nothing else."""
    with _reported():
        name = LocalEcs(directory).kill(task, container=container, number=_signal(number))
        typer.echo(f"signalled {name}")


@app.command(context_settings={"ignore_unknown_options": True})
def aws(arguments: Annotated[list[str], typer.Argument(help="for aws, after --")], directory: DirOption = None) -> None:
    """Run the real `aws` against the emulator as its administrator."""
    with _reported():
        environment = {**neutral(os.environ), **LocalEcs(directory).aws_environment()}
        environment["PATH"] = LocalEcs(directory).search_path(environment.get("PATH", os.defpath))
    raise typer.Exit(subprocess.run(["aws", *arguments], env=environment, check=False).returncode)


def _state(directory: Path | None) -> StateDirectory:
    return StateDirectory((directory or default_directory()).absolute())


@contextmanager
def _reported() -> Iterator[None]:
    """Turn our errors into one message and an exit status: 2 where the machine does not allow namespaces."""
    try:
        yield
    except NamespacesUnavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except OutrigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo("stopped", err=True)
        raise typer.Exit(130) from error


def _signal(text: str) -> int:
    try:
        return int(text) if text.isdigit() else int(signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"])
    except KeyError as error:
        raise typer.BadParameter(f"unknown signal {text!r}") from error


def _introduce(stage: Stage, directory: Path | None) -> None:
    state = shlex.quote(str((directory or default_directory()).absolute()))
    exports = [f"unset {' '.join(MISLEADING)}", *(f"export {name}={value}" for name, value in _exports(stage, state))]
    _state(directory).exports.write_text("\n".join(exports) + "\n", encoding="utf-8")
    typer.echo("\nready\n\nin your shell:")
    typer.echo(f'  eval "$({_PROGRAMS}/outrig local env --dir {state})"')
    if stage.scene.hints:
        typer.echo("worth trying:")
    for hint in stage.scene.hints:
        typer.echo(f"  {hint}")
    typer.echo(f"end it: {_PROGRAMS}/outrig local down --dir {state}")


def _exports(stage: Stage, state: str) -> Iterator[tuple[str, str]]:
    """What any shell has to be told for the hints to work there as they are printed."""
    yield "PATH", f'{state}/bin:{_PROGRAMS}:"$PATH"'
    yield "OUTRIG_LOCAL_DIR", state
    yield "NO_PROXY", '"127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"'
    yield "no_proxy", '"127.0.0.1,localhost${no_proxy:+,$no_proxy}"'
    if stage.scene.kubeconfig:
        yield "KUBECONFIG", shlex.quote(stage.scene.kubeconfig)
        yield "KUBECACHEDIR", shlex.quote(str(stage.emulator.kube_cache))
    for name, value in stage.emulator.aws_environment().items():
        yield name, shlex.quote(value)


def _lines(document: dict[str, Any]) -> Iterator[str]:
    for instance in document["instances"]:
        ports = " ".join(f"{name}=127.0.0.1:{port}" for name, port in instance["published"].items())
        state = "ready" if instance["ready"] else "starting"
        yield f"instance {instance['name']}  {instance['address']}  {state}{_process(instance)}  {ports}".rstrip()
    for task in document["tasks"]:
        state = f"{task['lastStatus']}  {task['address']}  {task['zone']}  {task['stoppedReason']}".rstrip()
        yield f"task {task['id']}  {task['group']}  {state}"
        for one in task["containers"]:
            health = "" if one["health"] in (None, "UNKNOWN") else f"  {one['health']}"
            yield f"  {one['name']}  {one['status']}{health}{_process(one)}  {one['log']}"
    if not document["instances"] and not document["tasks"]:
        yield "no tasks, no instances"


def _process(part: dict[str, Any]) -> str:
    """Its pid or its exit code, as far as it has one."""
    known = (("pid", part.get("pid")), ("exit", part.get("exitCode")))
    return "".join(f"  {name} {value}" for name, value in known if value is not None)
