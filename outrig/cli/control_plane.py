"""`outrig cp`: run the control plane, show its settings, migrate its database."""

import asyncio
import os
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from outrig.errors import OutrigError
from outrig.server.environment import check_mode, check_names, warn_of_ignored, warn_of_unused
from outrig.server.kuma_file import KumaFile, read_kuma_file
from outrig.server.logs import configure_logs
from outrig.server.settings import PREFIX, Settings, as_text, load_settings, postgres_settings

app = typer.Typer(no_args_is_help=True, help="The control plane.", add_completion=False, pretty_exceptions_enable=False)
migrate = typer.Typer(no_args_is_help=True, help="The schema of the control plane's database.")
app.add_typer(migrate, name="migrate")

File = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings (`name: value`).")]
KumasFile = Annotated[
    Path | None, typer.Option("-c", "--config-file", help="A configuration file of Kuma's control plane (YAML).")
]
LogLevel = Annotated[str, typer.Option("--log-level", help="What is logged: debug, info, warning, error.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Directory of its database, keys and certificates.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One setting, such as xds_port=0; repeatable.")
]


class BadFlag(OutrigError):
    """A `--set` that is not NAME=VALUE."""

    code = "OUT002"


@app.command()
def run(
    *,
    data_dir: DataDir = None,
    config: File = None,
    config_file: KumasFile = None,
    set_: Set = None,
    log_level: LogLevel = "",
) -> None:
    """Run the control plane until SIGTERM or Ctrl-C.

    Settings come from --config, --config-file, variables (KUMA_*, then OUTRIG_*) and --set; the later wins.
    `settings` shows them.
    """
    settings = _settings(data_dir, config, config_file=config_file, pairs=_levelled(set_, log_level))
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read as grpc is imported; what matters is in our own log
    from outrig.server.run import run as run_control_plane

    asyncio.run(run_control_plane(settings))


@app.command("settings")
def show(*, data_dir: DataDir = None, config: File = None, config_file: KumasFile = None, set_: Set = None) -> None:
    """Print every setting with the value it would have, given the same options and environment."""
    settings = _settings(data_dir, config, config_file=config_file, pairs=set_)
    for setting in fields(Settings):
        typer.echo(f"{PREFIX}{setting.name.upper()}={as_text(getattr(settings, setting.name))}")


@migrate.command()
def up(
    *,
    data_dir: DataDir = None,
    config: File = None,
    config_file: KumasFile = None,
    set_: Set = None,
    log_level: LogLevel = "",
) -> None:
    """Make the tables of a PostgreSQL database, or bring them up to date.

    It can be run as often as wanted, and from several places at once. `run` needs it done first.
    """
    pairs = _levelled(set_, log_level)
    place = postgres_settings(_settings(data_dir, config, config_file=config_file, pairs=pairs))
    if place is None:
        typer.echo("the store is a SQLite file, which `run` brings up to date itself: nothing to do")
        return
    from outrig.store.postgres import migrate_postgres

    done = asyncio.run(migrate_postgres(place))
    if done.before == done.after:
        typer.echo(f"{place.place}: the schema is current ({done.after}), nothing to do")
    else:
        typer.echo(f"{place.place}: migrated from {done.before or 'nothing'} to {done.after}")


def _settings(
    data_dir: Path | None, config: Path | None, *, config_file: Path | None, pairs: list[str] | None
) -> Settings:
    """What is in force; what looks like a setting and is none is logged."""
    flags = dict(_pair(text) for text in pairs or [])
    if data_dir is not None:
        flags["data_dir"] = str(data_dir)
    theirs = read_kuma_file(config_file) if config_file else KumaFile()
    environment = {**theirs.variables, **os.environ}
    places = {name: place for name, place in theirs.places.items() if name not in os.environ}
    check_mode(environment, places)
    check_names(os.environ)
    settings = load_settings(file=config, environment=environment, flags=flags, places=places)
    configure_logs(level=settings.log_level)
    if config_file:
        warn_of_ignored(config_file, theirs.ignored)
    warn_of_unused(os.environ)
    return settings


def _levelled(pairs: list[str] | None, level: str) -> list[str]:
    """The same with the option of its own that Kuma has for the level."""
    return [*(pairs or []), *([f"log_level={level}"] if level else [])]


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise BadFlag("--set", f"{text!r} has no `=`", "write --set NAME=VALUE")
    return name, value
