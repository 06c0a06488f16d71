"""The command line: which commands there are. Each group is a file, loaded when it is asked for, or for the help."""

import sys
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final

import typer

from outrig import __version__
from outrig.errors import OutrigError

Add = Callable[[typer.Typer], None]


def _control_plane(app: typer.Typer) -> None:
    from outrig.cli import control_plane

    app.add_typer(control_plane.app, name="cp")


def _local(app: typer.Typer) -> None:
    from outrig.local import commands

    app.add_typer(commands.app, name="local", help="ECS on this machine.")


def _tokens(app: typer.Typer) -> None:
    from outrig.cli import tokens

    app.add_typer(tokens.app, name="token")


def _users(app: typer.Typer) -> None:
    from outrig.cli import users

    app.add_typer(users.app, name="kubeconfig")


def _resources(app: typer.Typer) -> None:
    from outrig.cli.applying import apply
    from outrig.cli.resources import delete, get

    for command in (apply, get, delete):
        app.command()(command)


def _inspect(app: typer.Typer) -> None:
    from outrig.cli.inspecting import inspect

    app.command()(inspect)


def _why(app: typer.Typer) -> None:
    from outrig.cli.why import why

    app.command()(why)


def _sidecar(app: typer.Typer) -> None:
    """Shown in the help only: `outrig.__main__` runs these without loading this module."""
    app.command("agent", help="The sidecar agent: `outrig agent --help`.")(_elsewhere)
    app.command("dp", help="The sidecar agent as a data plane of Kuma: `outrig dp --help`.")(_elsewhere)
    app.command(
        "app-entrypoint", help="Runs an application that is to outlive the drain: `outrig app-entrypoint -- COMMAND`."
    )(_elsewhere)


def _elsewhere() -> None: ...


def _version(app: typer.Typer) -> None:
    def version() -> None:
        """Print the version."""
        typer.echo(__version__)

    app.command()(version)


_COMMANDS: Final = MappingProxyType(
    {
        "apply": _resources,
        "get": _resources,
        "delete": _resources,
        "inspect": _inspect,
        "why": _why,
        "token": _tokens,
        "kubeconfig": _users,
        "cp": _control_plane,
        "local": _local,
        "agent": _sidecar,
        "version": _version,
    }
)


def assembled(words: Sequence[str] = ()) -> typer.Typer:
    """The application for a command line that begins with these words; with all commands if they name none."""
    app = typer.Typer(
        help="A service mesh for workloads outside Kubernetes.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_elsewhere)  # a group, even of a single command
    wanted = _COMMANDS.get(words[0]) if words else None
    for add in [wanted] if wanted else dict.fromkeys(_COMMANDS.values()):
        add(app)
    return app


def main() -> int:
    """Run; a user's mistake is one line on standard error and status 2."""
    return _told(assembled(sys.argv[1:2]), name="outrig")


def kuma_cp() -> int:
    """The same as the program `kuma-cp`, which is the control plane alone."""
    from outrig.cli.control_plane import app

    _version(app)
    return _told(app, name="kuma-cp")


def _told(app: typer.Typer, *, name: str) -> int:
    try:
        app(prog_name=name)
    except OutrigError as error:
        print(error, file=sys.stderr)
        return 2
    except ExceptionGroup as group:  # from within a group of loops
        known, rest = group.split(OutrigError)
        if known is None or rest is not None:
            raise
        print(*leaves(known), sep="\n", file=sys.stderr)
        return 2
    return 0


def leaves(group: ExceptionGroup[OutrigError]) -> list[OutrigError]:
    """The errors in a group, however deep."""
    nested = (leaves(each) if isinstance(each, ExceptionGroup) else [each] for each in group.exceptions)
    return [error for errors in nested for error in errors]
