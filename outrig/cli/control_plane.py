"""`outrig cp`: run the control plane, show its settings, migrate its database."""

import asyncio
import os
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from outrig.errors import OutrigError
from outrig.server.environment import warn_of_unused
from outrig.server.logs import configure_logs
from outrig.server.settings import PREFIX, Settings, as_text, load_settings, postgres_settings

app = typer.Typer(no_args_is_help=True)
migrate = typer.Typer(no_args_is_help=True, help="The schema of the control plane's database.")
app.add_typer(migrate, name="migrate")

File = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings (`name: value`).")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Directory of its database, keys and certificates.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One setting, such as xds_port=0; repeatable.")
]


class BadFlag(OutrigError):
    """A `--set` that is not NAME=VALUE."""

    code = "OUT002"


@app.command()
def run(data_dir: DataDir = None, config: File = None, set_: Set = None) -> None:
    """Run the control plane until SIGTERM or Ctrl-C.

    Settings come from --config, OUTRIG_* variables and the command line; the later wins. See `outrig cp settings`.
    """
    settings = _settings(data_dir, config, set_)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read as grpc is imported; what matters is in our own log
    from outrig.server.run import run as run_control_plane

    asyncio.run(run_control_plane(settings))


@app.command("settings")
def show(data_dir: DataDir = None, config: File = None, set_: Set = None) -> None:
    """Print every setting with the value it would have, given the same options and environment."""
    settings = _settings(data_dir, config, set_)
    for setting in fields(Settings):
        typer.echo(f"{PREFIX}{setting.name.upper()}={as_text(getattr(settings, setting.name))}")


@migrate.command()
def up(data_dir: DataDir = None, config: File = None, set_: Set = None) -> None:
    """Make the tables of a PostgreSQL database, or bring them up to date.

    It can be run as often as wanted, and from several places at once. `outrig cp run` needs it done first.
    """
    place = postgres_settings(_settings(data_dir, config, set_))
    if place is None:
        typer.echo("the store is a SQLite file, which `outrig cp run` brings up to date itself: nothing to do")
        return
    from outrig.store.postgres import migrate_postgres

    done = asyncio.run(migrate_postgres(place))
    if done.before == done.after:
        typer.echo(f"{place.place}: the schema is current ({done.after}), nothing to do")
    else:
        typer.echo(f"{place.place}: migrated from {done.before or 'nothing'} to {done.after}")


def _settings(data_dir: Path | None, config: Path | None, pairs: list[str] | None) -> Settings:
    """What is in force; variables that look like settings and are none are logged."""
    flags = dict(_pair(text) for text in pairs or [])
    if data_dir is not None:
        flags["data_dir"] = str(data_dir)
    settings = load_settings(file=config, environment=os.environ, flags=flags)
    configure_logs()
    warn_of_unused(os.environ)
    return settings


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise BadFlag("--set", f"{text!r} has no `=`", "write --set NAME=VALUE")
    return name, value
