"""The command line: which groups there are. Each group is a file; each loads its part only when it runs."""

import sys

import typer

from outrig import __version__
from outrig.cli import control_plane
from outrig.cli.why import why
from outrig.errors import OutrigError
from outrig.local import commands as local

app = typer.Typer(
    help="A service mesh for workloads outside Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(control_plane.app, name="cp", help="The control plane.")
app.add_typer(local.app, name="local", help="ECS on this machine.")
app.command("why")(why)


@app.command(
    "agent", help="The sidecar agent: `outrig agent --help`.", context_settings={"ignore_unknown_options": True}
)
def agent() -> None:
    """Shown in the help only; `outrig.__main__` runs it without loading this module."""


@app.command(
    "app-entrypoint",
    help="Runs an application that is to outlive the drain: `outrig app-entrypoint -- COMMAND`.",
    context_settings={"ignore_unknown_options": True},
)
def app_entrypoint() -> None:
    """Shown in the help only, as `agent` is."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> int:
    """Run; a user's mistake is one line on standard error and status 2."""
    try:
        app()
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
